"""What Gymnasium asks of an environment: its checker, `make`, and its vector environments in every autoreset mode."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from aepo_env.env import ToolEnv
from aepo_env.episode import StopReason
from tests.fakes import TASKS, CounterTool, EchoTool, UnforkableTool, exact_match, make_env

ID = "aepo_env_tests/Fake-v0"


def make_fake(tools: str = "echo", render_mode: str | None = None) -> ToolEnv:
    kits: dict[str, list[Any]] = {
        "echo": [EchoTool()],
        "both": [EchoTool(), CounterTool()],
        "unforkable": [UnforkableTool()],
    }
    return ToolEnv(TASKS, kits[tools], exact_match, render_mode=render_mode)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register(ID, make_fake)
    yield
    del gymnasium.registry[ID]


@pytest.mark.parametrize("tools", ["echo", "both", "unforkable"])
@pytest.mark.filterwarnings("error")
def test_check_env(tools: str) -> None:
    check_env(gymnasium.make(ID, tools=tools).unwrapped)


@pytest.mark.filterwarnings("error")
def test_a_made_environment_plays_and_its_passive_checker_has_nothing_to_say() -> None:
    env = gymnasium.make(ID, tools="both", render_mode="ansi")
    env.reset(seed=1)
    env.step("<search>a</search>")
    assert "<search>a</search>" in str(env.render())
    assert env.step("<answer>x</answer>")[2]
    env.close()


def test_attributes_of_wrappers_follow_the_environment() -> None:
    env = gymnasium.wrappers.TimeLimit(gymnasium.make(ID), 10)
    env.reset(seed=1)
    for turns in range(3):
        assert len(env.get_wrapper_attr("episode").turns) == turns
        env.step("<search>a</search>")
    env.reset()
    assert len(env.get_wrapper_attr("episode").turns) == 0
    assert env.get_wrapper_attr("fork") == env.unwrapped.fork  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ vector environments

RIGHT, WRONG, CALL = "<answer>\\boxed{6}</answer>", "<answer>no</answer>", "<search>a</search>"


def sync(mode: AutoresetMode) -> VectorEnv[Any, Any, Any]:
    return SyncVectorEnv([make_env] * 3, autoreset_mode=mode)


def processes(mode: AutoresetMode) -> VectorEnv[Any, Any, Any]:
    return AsyncVectorEnv([make_env] * 3, autoreset_mode=mode, shared_memory=False)


Maker = Callable[[AutoresetMode], VectorEnv[Any, Any, Any]]


@pytest.mark.parametrize("maker", [sync, processes])
def test_the_terminal_observation_and_info_survive_same_step_autoreset(maker: Maker) -> None:
    env = maker(AutoresetMode.SAME_STEP)
    try:
        env.reset(seed=1, options={"task": 3})
        observations, rewards, terminated, truncated, infos = env.step((CALL, RIGHT, WRONG))
        assert list(terminated) == [False, True, True]
        assert list(rewards) == [0.0, 1.0, 0.0]
        assert not truncated.any()
        assert observations[0] == "<result>\na\n</result>"
        assert all(observation.startswith("What is") for observation in observations[1:]), "the next question"
        assert list(infos["final_obs"]) == [None, "", ""]
        final = infos["final_info"]
        assert list(final["answer"][1:]) == ["6", "no"]
        assert list(final["stop_reason"][1:]) == [StopReason.ANSWERED] * 2
        assert list(final["rewards"]["total"][1:]) == [1.0, 0.0]
        assert list(final["rewards"]["exact_match"][1:]) == [1.0, 0.0]
        assert list(infos["turn"]) == [1, 0, 0]
    finally:
        env.close()


@pytest.mark.parametrize("maker", [sync, processes])
def test_the_terminal_observation_and_info_survive_next_step_autoreset(maker: Maker) -> None:
    env = maker(AutoresetMode.NEXT_STEP)
    try:
        env.reset(seed=1, options={"task": 3})
        observations, rewards, terminated, _, infos = env.step((CALL, RIGHT, WRONG))
        assert list(terminated) == [False, True, True]
        assert list(rewards) == [0.0, 1.0, 0.0]
        assert list(observations) == ["<result>\na\n</result>", "", ""]
        assert list(infos["answer"]) == [None, "6", "no"]
        assert list(infos["stop_reason"]) == [None, StopReason.ANSWERED, StopReason.ANSWERED]
        assert list(infos["rewards"]["total"]) == [0.0, 1.0, 0.0]
        assert list(infos["rewards"]["_total"]) == [False, True, True]
        observations, rewards, terminated, _, infos = env.step((CALL, "ignored", "ignored"))
        assert not terminated.any()
        assert not rewards.any()
        assert list(infos["turn"]) == [2, 0, 0]
        assert all(observation.startswith("What is") for observation in observations[1:])
    finally:
        env.close()


@pytest.mark.parametrize("maker", [sync, processes])
def test_without_autoreset_finished_ones_are_reset_by_mask(maker: Maker) -> None:
    env = maker(AutoresetMode.DISABLED)
    try:
        env.reset(seed=1, options={"task": 3})
        observations, _, terminated, _, infos = env.step((CALL, RIGHT, WRONG))
        assert list(observations) == ["<result>\na\n</result>", "", ""]
        assert list(infos["rewards"]["total"]) == [0.0, 1.0, 0.0]
        observations, infos = env.reset(options={"reset_mask": np.array(terminated), "task": 4})
        assert list(observations) == ["<result>\na\n</result>", "What is 4 and 4?", "What is 4 and 4?"]
    finally:
        env.close()


def test_the_order_in_which_environments_end_does_not_matter() -> None:
    """A value that is a dict in one environment and None in another broke Gymnasium's collecting of infos."""
    for first, second in ((CALL, RIGHT), (RIGHT, CALL)):
        env = SyncVectorEnv([make_env] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
        env.reset(seed=1, options={"task": 3})
        *_, infos = env.step((first, second))
        assert sorted(infos["rewards"]["total"]) == [0.0, 1.0]
        env.close()


def test_both_kinds_of_vector_environment_say_the_same() -> None:
    seen = []
    for maker in (sync, processes):
        env = maker(AutoresetMode.NEXT_STEP)
        log = [list(env.reset(seed=5)[0])]
        for _ in range(4):
            observations, rewards, *_ = env.step((CALL, "long " * 2_000 + CALL, "äß😀 <answer>4</answer>"))
            log.append([*observations, *rewards])
        seen.append(log)
        env.close()
    assert seen[0] == seen[1]


def test_shared_memory_is_an_error_and_not_wrong_text() -> None:
    with pytest.raises(ValueError, match="shared_memory=False"):
        AsyncVectorEnv([make_env] * 2, shared_memory=True)
