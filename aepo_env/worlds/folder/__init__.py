"""A folder of pages and questions as a world: the same tools over any text a user has.

    world = folder_world("my_pages")                       # pages.jsonl or files, and questions.jsonl
    world = folder_world("my_pages", split="train")        # four fifths of the questions, always the same ones

What may lie in the folder is told in `pages.py`. `questions.jsonl` holds one JSON object a line: question;
answers (a list of accepted ones) or answer (one); optional id and metadata (any JSON object).
The index is built once, into the cache folder, under a fingerprint of the pages' contents: any edit gives a new
index, the same pages open in milliseconds, and the folder itself is never written to.
Left out: questions without answers, and oracles for questions that do not name their gold pages
(`metadata.supporting_pages`: a list of {"title": …, "url": …}).
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from aepo_env.corpus import cached_corpus
from aepo_env.tasks import Task
from aepo_env.worlds.folder.oracle import GoldPagesOracle, SnippetOracle
from aepo_env.worlds.folder.pages import FolderError, fingerprint, json_lines, read_pages, text_field
from aepo_env.worlds.world import World

Row = TypeVar("Row")

Split = Literal["all", "train", "dev", "test"]
_SHARES = (("train", 80), ("dev", 90), ("test", 100))  # upper bounds, in hundredths of all ids


def folder_world(
    directory: str | os.PathLike[str],
    *,
    questions: str | os.PathLike[str] | Iterable[Task] | None = None,
    split: Split = "all",
) -> World:
    """The world in `directory`.

    Args:
        directory: the folder of pages.
        questions: a file as described above, or tasks; by default `questions.jsonl` in the folder. An empty list
            gives a world with pages and no tasks.
        split: which tasks: "all", or the fixed 80 / 10 / 10 per cent by a hash of their ids.

    Raises:
        FolderError: one sentence that names file, line, what was expected, what came and what to do.
    """
    folder = Path(directory).expanduser()
    corpus = cached_corpus(f"folder-{fingerprint(folder)}", lambda: read_pages(folder))
    if questions is None or isinstance(questions, str | os.PathLike):
        tasks = read_questions(folder / "questions.jsonl" if questions is None else Path(questions).expanduser())
    else:
        tasks = list(questions)
    return World(f"folder {folder.name}, {split}", select_split(tasks, split), GoldPagesOracle, corpus, SnippetOracle)


def read_questions(path: Path) -> list[Task]:
    """The tasks in a questions file. Raises FolderError at the first mistake."""
    if not path.is_file():
        raise FolderError(
            f"{path}: expected a file of questions, found none; write one JSON object a line with question and "
            "answers, or pass questions=."
        )
    tasks = tasks_of_rows(json_lines(path), _task)
    if not tasks:
        raise FolderError(f"{path}: expected one question a line, found an empty file; put questions in.")
    return tasks


def tasks_of_rows(rows: Iterable[tuple[str, Row]], task_of: Callable[[Row, str], Task]) -> list[Task]:
    """A task of each (place, row), in order. Raises FolderError where an id comes twice, and what `task_of` raises."""
    tasks: list[Task] = []
    places: dict[str, str] = {}
    for place, row in rows:
        task = task_of(row, place)
        if task.id in places:
            raise FolderError(f'{place}: the id "{task.id}" is already that of {places[task.id]}; give another.')
        places[task.id] = place
        tasks.append(task)
    return tasks


def _task(record: dict[str, Any], place: str) -> Task:
    question = text_field(record, "question", place, required=True)
    identifier = text_field(record, "id", place) or hashlib.sha256(question.encode()).hexdigest()[:16]
    metadata = record.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise FolderError(f'{place}: expected an object in the field "metadata", found {metadata!r:.60}; correct it.')
    source = metadata.get("source")
    family = f"folder/{source}" if isinstance(source, str) and source else "folder"
    return Task(identifier, question, _answers(record, place), family, metadata)


def _answers(record: dict[str, Any], place: str) -> tuple[str, ...]:
    answers = record.get("answers")
    if answers is None or isinstance(answers, str):
        answers = [text_field(record, "answer" if answers is None else "answers", place, required=True)]
    if not (isinstance(answers, list) and answers and all(isinstance(a, str) and a.strip() for a in answers)):
        raise FolderError(
            f'{place}: expected texts in the field "answers" such as ["Paris"], found {answers!r:.60}; correct it.'
        )
    return tuple(answers)


def select_split(tasks: Sequence[Task], split: str) -> list[Task]:
    """The tasks of one split, in their order. A task's split depends on its id alone, so files may grow."""
    names = ("all", *(name for name, _ in _SHARES))
    if split not in names:
        raise ValueError(f"split: expected one of {', '.join(names)}, got {split!r}.")
    return list(tasks) if split == "all" else [task for task in tasks if split_of(task.id) == split]


def split_of(identifier: str) -> str:
    """train, dev or test, by a hash that is the same in every process and on every machine."""
    digest = hashlib.sha256(identifier.encode("utf-8", "replace")).digest()
    hundredth = int.from_bytes(digest[:8], "big") % 100
    return next(name for name, bound in _SHARES if hundredth < bound)
