"""Code tasks in the environment: the oracle plays through the real python tool, in the box, forks included."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from aepo_env.agent import Oracle, play
from aepo_env.env import ToolEnv
from aepo_env.episode import Episode
from aepo_env.rewards.reward import Score
from aepo_env.tools.python import PythonTool
from aepo_env.worlds.code import generated_code
from aepo_env.worlds.code.difficulty import DIFFICULTIES
from aepo_env.worlds.world import World

pytest.importorskip("aepo_env.sandbox.local_box", reason="the box is not built yet")


def right(episode: Episode) -> Score:
    found = float(episode.answer in episode.task.answers)
    return Score(total=found, parts={"right": found})


@pytest.fixture(scope="module")
def tool() -> Iterator[PythonTool]:
    tool = PythonTool()
    world = generated_code(difficulty="tiny")
    env = ToolEnv(world.tasks, [tool], right)
    env.reset(seed=0)
    env.step("<python>print(1)</python>")
    faults = [call.fault for turn in env.episode.turns for call in turn.calls if call.fault is not None]
    env.close()
    if faults:
        pytest.skip(f"the box cannot be had on this machine: {faults[0].message}")
    yield tool
    tool.close()


def environment(world: World, tool: PythonTool) -> ToolEnv:
    return ToolEnv(world.tasks, [tool], right, world=world)


@pytest.mark.parametrize("difficulty", list(DIFFICULTIES))
def test_the_oracle_solves_code_tasks_in_the_box(difficulty: str, tool: PythonTool) -> None:
    env = environment(generated_code(split="dev", difficulty=difficulty), tool)  # type: ignore[arg-type]
    oracle = Oracle(env)
    try:
        for index in range(60):
            episode = play(env, oracle, seed=index, options={"task": index})
            assert episode.answer == episode.task.answers[0], (episode.task.id, episode.response())
    finally:
        env.close()


def test_branches_forked_between_the_two_calls_all_reach_the_answer(tool: PythonTool) -> None:
    world = generated_code(difficulty=replace(DIFFICULTIES["easy"], state_share=1.0))
    env = environment(world, tool)
    for index in range(12):
        observation, info = env.reset(seed=index, options={"task": index})
        task = env.episode.task
        agent = world.oracle(task)
        observation, *_ = env.step(agent.act(observation, info))
        second = agent.act(observation, {})
        branches = [env, *env.fork(2, rng="same")]
        printed = [branch.step(second)[0] for branch in branches]
        assert all(task.answers[0] in observation for observation in printed), (task.id, printed)
        for child in branches[1:]:
            child.close()
    env.close()
