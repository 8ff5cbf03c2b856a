"""Generated code tasks: determinism, disjoint splits, variety, and what a guesser without tools gets."""

import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from aepo_env.tasks import Task
from aepo_env.worlds.code import Difficulty, generated_code
from aepo_env.worlds.code.difficulty import DIFFICULTIES, FAMILIES

NAMES = tuple(DIFFICULTIES)
SHOW = """
from aepo_env.worlds.code import generated_code
print([repr(task) for name in {names} for task in generated_code(split="test", seed=3, difficulty=name).tasks[40:60]])
"""


@pytest.mark.parametrize("difficulty", NAMES)
def test_a_task_depends_on_its_index_alone(difficulty: str) -> None:
    tasks = generated_code(seed=5, difficulty=difficulty).tasks  # type: ignore[arg-type]
    backwards = [tasks[index] for index in range(30, -1, -1)]
    assert backwards[::-1] == generated_code(seed=5, difficulty=difficulty).tasks[:31]  # type: ignore[arg-type]


def test_tasks_are_equal_in_every_process() -> None:
    code = SHOW.format(names=NAMES)
    shown = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
        ).stdout
        for environment in ({"PYTHONHASHSEED": "1", "PYTHONPATH": "."}, {"PYTHONHASHSEED": "2", "PYTHONPATH": "."})
    }
    here = [repr(t) for n in NAMES for t in generated_code(split="test", seed=3, difficulty=n).tasks[40:60]]  # type: ignore[arg-type]
    assert shown == {f"{here}\n"}


def test_another_seed_gives_other_tasks() -> None:
    first, second = (generated_code(seed=seed).tasks[:200] for seed in (0, 1))
    assert not {task.question for task in first} & {task.question for task in second}


def _without_wording(task: Task) -> str:
    """What a task computes: its cells, less the sealed message (which changes with the wording of the second half)."""
    plan = task.metadata["plan"]
    return re.sub(r'fromhex\("[0-9a-f]*"\)', "", f"{plan['first']}{plan['then']}{plan['branches']}{task.answers}")


@pytest.mark.parametrize("difficulty", ["tiny", "easy"])
def test_splits_share_no_task_whatever_the_seed(difficulty: str) -> None:
    contents = {
        split: {
            _without_wording(task)
            for seed in (0, 1)
            for task in generated_code(split=split, seed=seed, difficulty=difficulty).tasks[:700]  # type: ignore[arg-type]
        }
        for split in ("train", "dev", "test")
    }
    for left, right in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not contents[left] & contents[right], (left, right)


def test_ids_are_unique_and_name_the_setting() -> None:
    tasks = [
        task
        for split in ("train", "test")
        for name in NAMES
        for task in generated_code(split=split, difficulty=name).tasks[:50]  # type: ignore[arg-type]
    ]
    assert len({task.id for task in tasks}) == len(tasks)


@pytest.mark.parametrize("difficulty", NAMES)
def test_at_least_half_of_the_tasks_need_state(difficulty: str) -> None:
    tasks = generated_code(difficulty=difficulty).tasks[:1000]  # type: ignore[arg-type]
    assert sum(task.metadata["state"] for task in tasks) >= 500


def test_kinds_and_wordings_are_many() -> None:
    kinds: dict[str, set[str]] = defaultdict(set)
    wordings: dict[str, set[int]] = defaultdict(set)
    for task in generated_code().tasks[:3000]:
        kinds[task.family].add(task.metadata["kind"])
        wordings[task.metadata["kind"]].add(task.metadata["wording"])
    assert set(kinds) == {f"code/{family}" for family in FAMILIES}
    assert min(len(found) for found in kinds.values()) >= 4
    assert len(wordings) >= 16
    assert {kind: len(found) for kind, found in wordings.items() if len(found) < 5} == {}


def test_tiny_questions_are_short_and_hold_every_number_of_the_oracles_cells() -> None:
    for task in generated_code(difficulty="tiny").tasks[:500]:
        plan = task.metadata["plan"]
        cells = [cell.replace("[::-1]", "") for cell in (plan["first"], *plan["branches"].values())]
        assert len(task.question) <= 120
        asked = re.findall(r"\d+", task.question)
        assert all(figure in asked for cell in cells for figure in re.findall(r"\d+", cell))


TOKEN = re.compile(r"\d{4}-\d{2}-\d{2}|\d+|[a-z]+")


def _guesser(tasks: list[Task]) -> dict[tuple[str, bool], tuple[str, object]]:
    """For each kind the better of: its commonest answer; the place in the question where answers stand most often."""
    answers: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    places: dict[tuple[str, bool], Counter[int]] = defaultdict(Counter)
    for task in tasks:
        kind = (task.metadata["kind"], task.metadata["state"])
        answers[kind][task.answers[0]] += 1
        words = TOKEN.findall(task.question)
        for place in range(min(len(words), 25)):
            places[kind].update(at for at in (place, -1 - place) if words[at] == task.answers[0])
    guesses: dict[tuple[str, bool], tuple[str, object]] = {}
    for kind, found in answers.items():
        answer, often = found.most_common(1)[0]
        place, hits = (places[kind].most_common(1) or [(0, 0)])[0]
        guesses[kind] = ("answer", answer) if often >= hits else ("place", place)
    return guesses


@pytest.mark.parametrize("difficulty", NAMES)
def test_a_fitted_guesser_without_tools_fails(difficulty: str) -> None:
    train = generated_code(difficulty=difficulty).tasks[:1500]  # type: ignore[arg-type]
    guesses = _guesser(list(train))
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for task in generated_code(split="dev", difficulty=difficulty).tasks[:600]:  # type: ignore[arg-type]
        how, what = guesses[task.metadata["kind"], task.metadata["state"]]
        words = TOKEN.findall(task.question)
        guess = what if how == "answer" else words[what] if -len(words) <= what < len(words) else ""  # type: ignore[index, operator]
        asked[task.family] += 1
        right[task.family] += guess == task.answers[0]
    assert right.total() <= 0.08 * asked.total()
    assert set(asked) == {f"code/{family}" for family in FAMILIES}
    assert max(right[family] / count for family, count in asked.items()) <= 0.30, (right, asked)
    assert all(right[family] <= 0.30 * asked[family] for family in asked)


def test_mistakes_in_the_arguments_are_told() -> None:
    with pytest.raises(ValueError, match="difficulty to be one of"):
        generated_code(difficulty="silly")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="split to be one of"):
        generated_code(split="valid")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="families must be some of"):
        Difficulty("mine", rows=5, digits=2, families=("tables",))
    with pytest.raises(IndexError, match="numbered 0 to"):
        generated_code().tasks[10**9]


def test_families_can_be_chosen() -> None:
    tasks = generated_code(families=("code/text", "code/dates")).tasks[:60]
    assert {task.family for task in tasks} == {"code/text", "code/dates"}


def test_a_difficulty_of_ones_own_keeps_to_its_families() -> None:
    own = Difficulty("own", rows=4, digits=3, families=("dates",), state_share=1.0)
    tasks = generated_code(difficulty=own).tasks[:50]
    assert {task.family for task in tasks} == {"code/dates"}
    assert all(task.metadata["state"] for task in tasks)
