"""The code tasks' oracle: solves every family through an interpreter, needs its memory, and takes values from it."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from aepo_env.tasks import Task
from aepo_env.worlds.code import Difficulty, generated_code
from aepo_env.worlds.code.difficulty import DIFFICULTIES, FAMILIES
from aepo_env.worlds.code.oracle import PARAMETER, filled, printed_text
from aepo_env.worlds.code.seal import NOTICES, STREAM_ENDINGS, opening_code, seal
from aepo_env.worlds.code.tasks import KINDS
from aepo_env.worlds.world import World
from tests.worlds.cells import Cells


def play(world: World, task: Task, cells: Cells) -> tuple[str, list[str]]:
    """The oracle's answer and what each of its calls printed."""
    agent = world.oracle(task)
    observation, printed = task.question, []
    for _ in range(4):
        action = agent.act(observation, {})
        answer = re.search(r"<answer>\\boxed\{(.*)\}</answer>", action)
        if answer:
            return answer.group(1), printed
        cell = re.search(r"<python>(.*)</python>", action, re.DOTALL)
        assert cell, action
        printed.append(cells.run(task.id, cell.group(1)))
        observation = f"<result>\n{printed[-1]}\n</result>"
    return "", printed


def wrong(world: World, tasks: Iterable[Task], cells: Cells) -> list[str]:
    return [task.id for task in tasks if play(world, task, cells)[0] != task.answers[0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_oracle_solves_500_tasks_of_each_family(family: str) -> None:
    world = generated_code(split="train", difficulty=replace(DIFFICULTIES["easy"], families=(family,)))
    with Cells() as cells:
        assert len(wrong(world, world.tasks[:500], cells)) <= 5


@pytest.mark.parametrize("difficulty", ["tiny", "medium", "hard"])
def test_oracle_solves_every_other_difficulty(difficulty: str) -> None:
    world = generated_code(split="test", seed=2, difficulty=difficulty)  # type: ignore[arg-type]
    with Cells() as cells:
        assert wrong(world, world.tasks[:200], cells) == []


@pytest.mark.parametrize("difficulty", ["tiny", "easy"])
def test_without_memory_the_oracles_cells_fail_on_tasks_with_state_and_only_there(difficulty: str) -> None:
    world = generated_code(seed=4, difficulty=difficulty)  # type: ignore[arg-type]
    solved: Counter[bool] = Counter()
    asked: Counter[bool] = Counter()
    with Cells(remembers=False) as cells:
        for task in world.tasks[:400]:
            answer, printed = play(world, task, cells)
            state = task.metadata["state"]
            assert len(printed) == task.metadata["calls"]
            asked[state] += 1
            solved[state] += answer == task.answers[0]
    assert solved[True] == 0
    assert solved[False] == asked[False]
    assert asked[True] > asked[False] > 0


def test_a_sealed_question_cannot_be_read_before_the_first_call() -> None:
    world = generated_code(difficulty=replace(DIFFICULTIES["easy"], state_share=1.0))
    with Cells() as cells:
        for task in world.tasks[:200]:
            _, printed = play(world, task, cells)
            message = printed[0].strip()
            assert len(message.split()) > 5
            assert message not in task.question


def test_a_wrong_key_opens_nothing() -> None:
    sealed, _ = seal("Multiply the sum of the next 12 values by 7.", 4711)
    opened = bytes(byte ^ draw for byte, draw in zip(bytes.fromhex(sealed), _draws(4712), strict=False))
    assert not opened.isascii()


def _draws(key: int) -> Iterable[int]:
    generator = Random(key)
    return (generator.getrandbits(8) for _ in range(1000))


def test_the_generator_goes_on_where_the_message_ends() -> None:
    sealed, following = seal("abc", 99)
    with Cells() as cells:
        cells.run("one", "result = 99\n" + opening_code(sealed))
        assert cells.run("one", "print(r.getrandbits(20))").strip() == str(following)


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_every_wording_of_a_second_question_shows_its_parameters_in_order(difficulty: str) -> None:
    size = DIFFICULTIES[difficulty]
    for kinds in KINDS.values():
        for name, kind in kinds.items():
            for seed in range(12):
                then = kind(Random(seed), size).then
                names = list(then.parameters)
                template = "".join(f"${each}|" for each in names)
                expected = "".join(f"{then.parameters[each]}|" for each in names)
                for wording in then.wordings:
                    message = wording.format(**then.parameters)
                    assert filled(template, names, message) == expected, (name, message)
                    assert all(re.search(rf"\${each}\b", then.code) for each in names), name
                    assert message.isascii()


def test_the_oracle_ignores_the_answers_it_is_not_meant_to_know() -> None:
    world = generated_code(seed=6)
    with Cells() as cells:
        for task in world.tasks[:40]:
            masked = replace(task, answers=("masked",))
            assert play(world, masked, cells)[0] == task.answers[0]


def test_a_second_cell_without_its_values_is_not_invented() -> None:
    task = next(t for t in generated_code(seed=1).tasks[:50] if t.metadata["plan"]["reads"])
    agent = generated_code().oracle(task)
    agent.act(task.question, {})
    assert "<answer>" in agent.act("<result>\nTimeoutError\n</result>", {})


def test_printed_text_is_the_last_result() -> None:
    assert printed_text("<result>\n1\n</result> and <result>\n2\n</result>") == "2"
    assert printed_text("no tags") == "no tags"


def test_seal_notices_and_endings_read_as_prose() -> None:
    assert len(NOTICES) >= 5
    assert all(notice.count("{sealed}") == 1 for notice in NOTICES)
    assert all(PARAMETER.findall(ending)[0][2] == "20" for ending in STREAM_ENDINGS)


def test_tasks_of_another_world_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a code task"):
        generated_code().oracle(Task(id="w1", question="Who?", answers=("she",), family="web/1-hop"))


def test_long_puzzles_stay_solvable() -> None:
    world = generated_code(difficulty=Difficulty("long", rows=60, digits=6, state_share=0.5))
    with Cells() as cells:
        assert wrong(world, world.tasks[:40], cells) == []
