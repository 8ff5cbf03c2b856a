"""Task files: questions of one's own as JSON lines or parquet, also in the row layout of verl (and so of ARPO, AEPO).

    tasks = read_tasks("mine.jsonl")                    # question, answers (or answer); optional id, family, metadata
    tasks = read_tasks("rl_datasets/valid.parquet")     # prompt, reward_model.ground_truth, extra_info
    gymnasium.make("aepo_env/Web-v0", corpus="my_pages", tasks="mine.jsonl", split="dev")

A row of the verl layout asks `extra_info.question` (else its last user message), is answered by
`reward_model.ground_truth`, and its system prompt is left aside: the environment writes its own. Parquet needs the
extra `parquet`. Left out: other formats, and questions without answers.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aepo_env.errors import MissingExtra
from aepo_env.tasks import Task
from aepo_env.worlds.folder import tasks_of_rows
from aepo_env.worlds.folder.pages import FolderError, json_lines, text_field

SUFFIXES = (".jsonl", ".parquet")

_EXTRA = "Parquet files need pyarrow: pip install 'aepo-env[parquet]', or convert the file to JSON lines."


def read_tasks(path: str | os.PathLike[str]) -> list[Task]:
    """The tasks of a file, in its order.

    Raises:
        FolderError: a ValueError of one sentence that names file, line or row, what was expected and what to do.
        MissingExtra: a parquet file, and pyarrow is not installed.
    """
    file = Path(path).expanduser()
    if file.suffix not in SUFFIXES:
        raise FolderError(f"{file}: expected a name that ends in .jsonl or .parquet; convert the file or rename it.")
    if not file.is_file():
        raise FolderError(f"{file}: expected a file of tasks, found {'a folder' if file.is_dir() else 'none'}.")
    rows = json_lines(file) if file.suffix == ".jsonl" else _parquet_rows(file)
    tasks = tasks_of_rows(rows, task_of_row)
    if not tasks:
        raise FolderError(f"{file}: expected one task a row, found an empty file; put questions in.")
    return tasks


def task_of_row(row: Mapping[str, Any], place: str) -> Task:
    """A task of one row in either layout; `place` names it in errors."""
    if "question" not in row and "reward_model" in row:
        row = _of_verl(row, place)
    if "question" not in row:
        raise FolderError(
            f"{place}: expected the columns question and answers (or verl's prompt and reward_model), found "
            f"{', '.join(map(str, row)) or 'none'}; rename them."
        )
    question = text_field(dict(row), "question", place, required=True)
    identifier = _identifier(row, place) or hashlib.sha256(question.encode()).hexdigest()[:16]
    family = text_field(dict(row), "family", place) or "tasks"
    metadata = row.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise FolderError(f'{place}: expected an object in the field "metadata", found {metadata!r:.60}; correct it.')
    return Task(identifier, question, _answers(row, place), family, dict(metadata))


def _answers(row: Mapping[str, Any], place: str) -> tuple[str, ...]:
    name = "answers" if row.get("answers") is not None else "answer"
    given = row.get(name)
    answers = given if isinstance(given, list | tuple) else [given]
    # A number is an answer too; true and false, which nobody writes so, are none.
    texts = [str(one) for one in answers if isinstance(one, str) or _is_number(one)]
    if not texts or len(texts) < len(answers) or not all(text.strip() for text in texts):
        raise FolderError(
            f'{place}: expected texts in the field "answers" such as ["Paris"], found {given!r:.60}; correct it.'
        )
    return tuple(one.encode("utf-8", "replace").decode() for one in texts)


def _identifier(row: Mapping[str, Any], place: str) -> str:
    """The row's id as text that can be hashed and written; empty where it has none."""
    given = row.get("id")
    if given is None or isinstance(given, str) or _is_number(given):
        return "" if given is None else str(given).encode("utf-8", "replace").decode()
    raise FolderError(f'{place}: expected a text or a number in the field "id", found {given!r:.60}; correct it.')


def _is_number(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, float) and math.isfinite(value))


def _of_verl(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A row of verl's layout with the names used here."""
    reward, extra = row.get("reward_model"), row.get("extra_info") or {}
    if not (isinstance(reward, Mapping) and isinstance(extra, Mapping) and reward.get("ground_truth") is not None):
        raise FolderError(f"{place}: expected reward_model.ground_truth with the answer, found {reward!r:.60}; add it.")
    prompt = row.get("prompt")
    asked = [one for one in prompt if isinstance(one, Mapping)] if isinstance(prompt, list) else []
    said = [one.get("content") for one in asked if one.get("role") == "user"]
    ability = row.get("ability")
    kept = {"ability": ability, "data_source": row.get("data_source")}
    made = {
        "question": extra.get("question") or (said[-1] if said else None),
        "answers": reward["ground_truth"],
        "family": f"tasks/{ability}" if isinstance(ability, str) and ability else "tasks",
        "metadata": {name: value for name, value in kept.items() if value is not None},
    }
    split, index = extra.get("split"), extra.get("index")
    return made if index is None else {**made, "id": f"{split or 'row'}:{index}"}


def _parquet_rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra(_EXTRA) from error
    try:
        table = parquet.read_table(file)
    except (ArrowException, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise FolderError(f"{file}: cannot be read as parquet ({first}); write it again.") from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{file}, row {number}", row
