"""Task files: both layouts in both formats, what is refused with its line, and environments over them."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import aepo_env  # noqa: F401  # registers the environments
from aepo_env.task_files import read_tasks
from aepo_env.tasks import Task

VERL = {
    "data_source": "mix",
    "prompt": [{"role": "system", "content": "Use \bboxed."}, {"role": "user", "content": "What is 2 + 2?"}],
    "ability": "math",
    "reward_model": {"ground_truth": "4", "style": "rule"},
    "extra_info": {"index": 3, "question": "What is 2 + 2?", "split": "valid", "need_tools_kwargs": None},
    "metadata": None,
}
OFFICIAL = Task("valid:3", "What is 2 + 2?", ("4",), "tasks/math", {"ability": "math", "data_source": "mix"})


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_lines_of_questions_and_answers(tmp_path: Path) -> None:
    rows = [
        {"question": "Who?", "answers": ["Ada", "Ada Brum"], "id": 7, "family": "mine", "metadata": {"a": 1}},
        {"question": "When?", "answer": 1912},
    ]
    first, second = read_tasks(lines(tmp_path / "mine.jsonl", rows))
    assert first == Task("7", "Who?", ("Ada", "Ada Brum"), "mine", {"a": 1})
    assert (second.question, second.answers, second.family) == ("When?", ("1912",), "tasks")
    assert len(second.id) == 16
    assert read_tasks(tmp_path / "mine.jsonl") == [first, second]


def test_ids_are_kept_and_can_be_written(tmp_path: Path) -> None:
    rows = [{"question": f"Who is {one!r}?", "answer": "x", "id": one} for one in (0, "\ud800", 10**400)]
    found = [task.id for task in read_tasks(lines(tmp_path / "mine.jsonl", rows))]
    assert found == ["0", "?", str(10**400)]
    assert "".join(found).encode()


def test_rows_of_verl_as_lines(tmp_path: Path) -> None:
    assert read_tasks(lines(tmp_path / "rows.jsonl", [VERL])) == [OFFICIAL]
    bare = {name: VERL[name] for name in ("prompt", "reward_model")}
    (task,) = read_tasks(lines(tmp_path / "rows.jsonl", [bare]))
    assert (task.question, task.answers, task.family) == ("What is 2 + 2?", ("4",), "tasks")


def test_rows_of_verl_and_plain_ones_as_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet needs the extra 'parquet'")
    parquet = pytest.importorskip("pyarrow.parquet")
    row = {**VERL, "extra_info": {**VERL["extra_info"], "need_tools_kwargs": False}}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "rows.parquet")
    assert read_tasks(tmp_path / "rows.parquet") == [OFFICIAL]
    plain = pyarrow.Table.from_pylist([{"id": "a", "question": "Who?", "answers": ["Ada"]}])
    parquet.write_table(plain, tmp_path / "plain.parquet")
    assert read_tasks(tmp_path / "plain.parquet") == [Task("a", "Who?", ("Ada",), "tasks")]
    parquet.write_table(pyarrow.Table.from_pylist([{"text": "Who?"}]), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"row 1: expected the columns question and answers .* found text"):
        read_tasks(tmp_path / "other.parquet")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "", "answer": "x"}, "is empty"),
        ({"question": 3, "answer": "x"}, 'expected text in the field "question"'),
        ({"question": "Who?"}, 'expected texts in the field "answers"'),
        ({"question": "Who?", "answers": []}, 'expected texts in the field "answers"'),
        ({"question": "Who?", "answers": ["x", " "]}, 'expected texts in the field "answers"'),
        ({"question": "Who?", "answer": True}, 'expected texts in the field "answers"'),
        ({"question": "Who?", "answers": {"a": 1}}, 'expected texts in the field "answers"'),
        ({"question": "Who?", "answer": float("nan")}, 'expected texts in the field "answers"'),
        ({"question": "Who?", "answer": "x", "id": {"a": 1}}, 'expected a text or a number in the field "id"'),
        ({"question": "Who?", "answer": "x", "metadata": 3}, 'expected an object in the field "metadata"'),
        ({"question": "First?", "answer": "y", "id": "1"}, 'the id "1" is already that of .*line 1'),
        ({"prompt": [], "reward_model": {"ground_truth": "4"}}, 'in the field "question", found nothing'),
        ({"prompt": [], "reward_model": {}}, "expected reward_model.ground_truth"),
    ],
)
def test_a_mistake_is_named_with_its_line(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = lines(tmp_path / "mine.jsonl", [{"question": "First?", "answer": "y", "id": "1"}, row])
    with pytest.raises(ValueError, match=f"mine.jsonl, line 2: .*{words}"):
        read_tasks(file)


def test_splits_share_no_task_and_pages_are_those_of_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "keld.txt").write_text("Keld is a town. Its mayor is Ada Brum.", "utf-8")
    rows = [{"question": f"Who is mayor number {number}?", "answer": "Ada Brum"} for number in range(60)]
    file = str(lines(tmp_path / "mine.jsonl", rows))
    made = {}
    for split in ("train", "dev", "test", "all"):
        env = gymnasium.make(
            "aepo_env/Web-v0", corpus=str(tmp_path / "pages"), tasks=file, split=split, tools=["search"]
        )
        made[split] = {task.id for task in env.unwrapped.tasks}  # type: ignore[attr-defined]
        env.reset(seed=0)
        assert "Ada Brum" in env.step("<search>mayor of Keld</search>")[0]
        env.close()
    assert len(made["all"]) == 60
    assert made["train"] | made["dev"] | made["test"] == made["all"]
    assert len(made["train"]) + len(made["dev"]) + len(made["test"]) == 60
    assert len(made["train"]) > 40


def test_code_takes_tasks_of_a_file(tmp_path: Path) -> None:
    rows = [{"question": f"What is {number} + 1?", "answer": number + 1} for number in range(5)]
    file = str(lines(tmp_path / "sums.jsonl", rows))
    env = gymnasium.make("aepo_env/Code-v0", tasks=file, split="all", reward="maths")
    env.reset(options={"task": 2})
    *_, info = env.step(r"<answer>\boxed{3}</answer>")
    assert info["rewards"]["total"] == 1.0
    env.close()
    with pytest.raises(ValueError, match=r"No task of .*sums.jsonl is of the families code/table; they are of tasks"):
        gymnasium.make("aepo_env/Code-v0", tasks=file, families=["code/table"])
