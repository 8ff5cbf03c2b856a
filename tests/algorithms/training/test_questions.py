"""Questions come in a fixed order that a cursor resumes exactly; a corpus without end of worlds is asked in rounds."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.training.config import EnvironmentSettings
from algorithms.training.questions import Questions, make_environment
from tests.algorithms.training.small import WEB

SMALL = EnvironmentSettings("web", WEB.arguments, world_questions=7)


def ids(questions: Questions, *counts: int) -> list[str]:
    return [task.id for count in counts for task in questions.next(count)[1]]


@pytest.fixture
def folder(tmp_path: Path) -> EnvironmentSettings:
    """Nineteen questions over one page, of which some are training questions."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "oslo.md").write_text("# Oslo\n\nOslo is a city.\n", "utf-8")
    lines = [json.dumps({"question": f"Where is the {n}th house?", "answers": ["Oslo"]}) for n in range(19)]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return EnvironmentSettings("web", {"corpus": str(tmp_path)})


def test_a_cursor_gives_what_would_have_come_next() -> None:
    first = Questions(SMALL, seed=3)
    whole = ids(first, 5, 5, 5, 5)
    assert len(whole) == 5 + 2 + 5 + 2  # a world of seven is asked to its end before the next one opens
    assert first.cursor == 14
    assert len(set(whole)) == 14
    for cursor, counts in ((5, (5, 5, 5)), (7, (5, 5)), (9, (3, 5))):
        later = Questions(SMALL, seed=3, cursor=cursor)
        assert ids(later, *counts) == whole[cursor : cursor + len(ids(Questions(SMALL, 3, cursor), *counts))]
        assert later._env.unwrapped.world.name == first._env.unwrapped.world.name
        later.close()
    first.close()


def test_how_questions_are_cut_into_batches_does_not_change_them() -> None:
    assert ids(Questions(SMALL, 0), 7, 7) == ids(Questions(SMALL, 0), *[1] * 14)


def test_seeds_ask_other_questions() -> None:
    one, other = ids(Questions(SMALL, 0), 7, 7), ids(Questions(SMALL, 1), 7, 7)
    assert not set(one) & set(other)


def test_the_environment_is_over_the_world_of_the_tasks() -> None:
    questions = Questions(SMALL, 0)
    for _ in range(3):
        env, tasks = questions.next(7)
        inner = env.unwrapped
        assert [inner.tasks[i].id for i in range(7)] == [task.id for task in tasks]
    questions.close()
    questions.close()
    assert questions.next(1)[1][0].id != tasks[0].id  # it goes on, in an environment opened again


def test_a_file_of_tasks_is_asked_once_a_round_too(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    lines = [json.dumps({"id": f"q{n}", "question": f"What is {n} + {n}?", "answers": [str(2 * n)]}) for n in range(30)]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    settings = EnvironmentSettings("code", {"tasks": str(file)})  # fewer than `world_questions`
    env = make_environment(settings, "train")
    every = {task.id for task in env.unwrapped.tasks}
    env.close()
    questions = Questions(settings, 0)
    rounds = [ids(questions, len(every)) for _ in range(2)]
    questions.close()
    assert set(rounds[0]) == set(rounds[1]) == every
    assert rounds[0] != rounds[1]


def test_a_folder_is_asked_once_a_round_in_an_order_of_its_own(folder: EnvironmentSettings) -> None:
    env = make_environment(folder, "train")
    every = {task.id for task in env.unwrapped.tasks}
    size = len(every)
    assert size > 8
    env.close()
    rounds = {}
    for seed in (0, 1):
        questions = Questions(folder, seed)
        for number in range(3):
            found: list[str] = []
            while len(found) < size:
                found += ids(questions, 4)
            assert set(found) == every
            assert len(found) == size
            assert questions.cursor == (number + 1) * size
            rounds[seed, number] = tuple(found)
        questions.close()
    assert len(set(rounds.values())) == 6
    again = Questions(folder, 0, cursor=size + 4)
    assert tuple(ids(again, 4, 4)) == rounds[0, 1][4:12]
    again.close()
