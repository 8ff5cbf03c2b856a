import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers

from aepo_env.env import ToolEnv
from aepo_env.errors import ForkNotSupported
from aepo_env.forking import fork, restore, snapshot
from tests.fakes import CounterTool, EchoTool, HoldingTool, make_env

CALL = "<count>x</count>"


class Shout(gymnasium.ActionWrapper[str, str, str]):
    """Keeps nothing: no word is needed about forking."""

    def action(self, action: str) -> str:
        return action.replace("!", "")


class History(gymnasium.Wrapper[str, str, str, str]):
    """Keeps the past, and says how to copy it."""

    def __init__(self, env: gymnasium.Env[str, str], width: int) -> None:
        super().__init__(env)
        self.width = width
        self.past: list[str] = []

    def reset(self, **options: Any) -> tuple[str, dict[str, Any]]:
        observation, info = self.env.reset(**options)
        self.past = [observation]
        return observation, info

    def step(self, action: str) -> Any:
        observation, *rest = self.env.step(action)
        self.past += [action, observation]
        return (" | ".join(self.past)[-self.width :], *rest)

    def fork_state(self) -> dict[str, Any]:
        return {"past": self.past, "width": self.width}


class Unknown(gymnasium.Wrapper[str, str, str, str]):
    def __init__(self, env: gymnasium.Env[str, str]) -> None:
        super().__init__(env)
        self.steps = 0


class Restarting(gymnasium.Wrapper[str, str, str, str], gymnasium.utils.EzPickle):
    """A deep copy of it is built anew from its arguments, and would count from nothing."""

    def __init__(self, env: gymnasium.Env[str, str], start: int = 0) -> None:
        gymnasium.utils.EzPickle.__init__(self, env, start)
        gymnasium.Wrapper.__init__(self, env)
        self.count = start

    def step(self, action: str) -> Any:
        self.count += 1
        observation, *rest = self.env.step(action)
        return (f"{self.count}: {observation}", *rest)

    def fork_state(self) -> dict[str, Any]:
        return {"count": self.count}


def bare() -> ToolEnv:
    return make_env([CounterTool(), EchoTool()])


STACKS: dict[str, Any] = {
    "none": bare,
    "checked": lambda: wrappers.PassiveEnvChecker(wrappers.OrderEnforcing(bare())),
    "time limit": lambda: wrappers.TimeLimit(bare(), 4),
    "statistics": lambda: wrappers.RecordEpisodeStatistics(wrappers.TimeLimit(bare(), 4)),
    "functions": lambda: wrappers.TransformReward(
        wrappers.TransformAction(bare(), lambda action: action.strip(), None), lambda reward: reward + 1.0
    ),
    "stateless": lambda: Shout(bare()),
    "history": lambda: History(wrappers.TimeLimit(bare(), 4), 30),
    "ez pickle": lambda: wrappers.TimeLimit(Restarting(bare(), 10), 4),
}


@pytest.fixture(params=STACKS.values(), ids=STACKS.keys())
def stack(request: pytest.FixtureRequest) -> Any:
    env = request.param()
    env.reset(seed=3)
    env.step(CALL)
    return env


def rest(env: Any) -> list[Any]:
    """Everything that comes of playing on, but the clock that RecordEpisodeStatistics puts into its info."""
    seen: list[Any] = []
    for action in (CALL, "<search>a</search>", CALL, "<answer>x</answer>"):
        observation, reward, terminated, truncated, info = env.step(action)
        info.get("episode", {}).pop("t", None)
        seen.append((observation, reward, terminated, truncated, info))
        if terminated or truncated:
            break
    return seen


def layers(env: Any) -> list[type]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        found.append(type(env))
        env = env.env
    return [*found, type(env)]


def test_twins_given_equal_actions_give_equal_everything(stack: Any) -> None:
    first, second = fork(stack, 2, rng="same")
    assert layers(first) == layers(stack)
    expected = rest(stack)
    assert rest(first) == expected
    assert rest(second) == expected


def test_a_parent_is_unchanged_by_anything_done_to_a_child(stack: Any) -> None:
    (untouched,) = fork(stack, rng="same")
    (child,) = fork(stack)
    rest(child)
    child.reset(seed=9)
    child.close()
    assert rest(stack) == rest(untouched)


def test_ten_children_in_threads_are_independent(stack: Any) -> None:
    alone = [rest(child) for child in fork(stack, 10, rng="same")]
    with ThreadPoolExecutor(10) as threads:
        together = list(threads.map(rest, fork(stack, 10, rng="same")))
    assert together == alone


def test_a_snapshot_restores_the_wrappers_too(stack: Any) -> None:
    moment = snapshot(stack)
    expected = rest(stack)
    for _ in range(2):
        restore(stack, moment)
        assert rest(stack) == expected
    moment.release()
    moment.release()


@pytest.mark.parametrize("name", [name for name in STACKS if name != "functions"])  # a lambda does not pickle
def test_a_snapshot_survives_pickling_into_another_stack(name: str) -> None:
    env, twin = STACKS[name](), STACKS[name]()
    env.reset(seed=3)
    env.step(CALL)
    twin.reset()
    restore(twin, pickle.loads(pickle.dumps(snapshot(env))))
    assert rest(twin) == rest(env)


def test_a_time_limit_goes_on_counting_in_the_child() -> None:
    env = wrappers.TimeLimit(bare(), 3)
    env.reset()
    env.step(CALL)
    (child,) = fork(env)
    assert [child.step(CALL)[3] for _ in range(2)] == [False, True]
    assert [env.step(CALL)[3] for _ in range(2)] == [False, True]


def test_statistics_count_the_steps_before_the_fork() -> None:
    env = wrappers.RecordEpisodeStatistics(bare())
    env.reset()
    env.step(CALL)
    (child,) = fork(env)
    child.step(CALL)
    assert child.step("<answer>x</answer>")[4]["episode"]["l"] == 3
    assert env.step("<answer>x</answer>")[4]["episode"]["l"] == 2
    assert (list(env.length_queue), list(child.length_queue)) == ([2], [3])  # type: ignore[attr-defined]


def test_a_wrapper_of_unknown_state_is_refused_by_name_and_nothing_is_left_behind() -> None:
    tool = HoldingTool()
    env = Unknown(wrappers.TimeLimit(make_env([tool]), 5))
    env.reset()
    for attempt in (fork, snapshot):
        with pytest.raises(ForkNotSupported, match=r"Unknown keeps state \(steps\).*fork_state"):
            attempt(env)
    assert tool.open == 1


def test_a_subclass_of_a_known_wrapper_is_not_known() -> None:
    class Patient(wrappers.TimeLimit):  # type: ignore[misc]
        pass

    with pytest.raises(ForkNotSupported, match="Patient"):
        fork(Patient(bare(), 3))


def test_a_wrapper_must_hand_over_a_dict_without_the_environment() -> None:
    class Wrong(History):
        given: Any = None

        def fork_state(self) -> Any:
            return self.given

    env = Wrong(bare(), 10)
    env.reset()
    with pytest.raises(TypeError, match="must give a dict"):
        fork(env)
    Wrong.given = {"env": env.env}
    with pytest.raises(TypeError, match="leave out 'env'"):
        fork(env)


def test_an_ez_pickle_wrapper_is_not_restarted_and_still_pickles() -> None:
    env = Restarting(bare(), 10)
    env.reset()
    env.step(CALL)
    (child,) = fork(env)
    assert child.step(CALL)[0].startswith("12: ")
    assert pickle.loads(pickle.dumps(child)).count == 10, "its own pickling still works as Gymnasium made it"


def test_an_ez_pickle_wrapper_without_state_needs_no_word() -> None:
    class Plain(gymnasium.Wrapper[str, str, str, str], gymnasium.utils.EzPickle):
        def __init__(self, env: gymnasium.Env[str, str]) -> None:
            gymnasium.utils.EzPickle.__init__(self, env)
            gymnasium.Wrapper.__init__(self, env)

    env = Plain(bare())
    env.reset()
    (child,) = fork(env)
    child.step(CALL)
    assert len(env.unwrapped.episode.turns) == 0  # type: ignore[attr-defined]


def test_a_wrappers_own_space_draws_on_its_own_in_the_child() -> None:
    env = Shout(bare())
    env.action_space = copy.deepcopy(env.action_space)
    env.action_space.seed(1)
    env.reset()
    (child,) = fork(env, rng="same")
    drawn = [child.action_space.sample() for _ in range(3)]
    assert [env.action_space.sample() for _ in range(3)] == drawn


def test_other_environments_are_refused() -> None:
    with pytest.raises(ForkNotSupported, match="CartPole"):
        fork(gymnasium.make("CartPole-v1"))


def test_a_snapshot_of_another_stack_is_refused_and_the_episode_goes_on() -> None:
    env = wrappers.TimeLimit(bare(), 4)
    env.reset()
    for other in (bare(), Shout(bare()), wrappers.TimeLimit(Shout(bare()), 4)):
        other.reset()
        with pytest.raises(ValueError, match="stack made alike"):
            restore(env, snapshot(other))
    env.step(CALL)


def test_a_child_closes_alone() -> None:
    tool = HoldingTool()
    env = wrappers.TimeLimit(make_env([tool]), 5)
    env.reset()
    for child in fork(env, 3):
        child.close()
    assert tool.open == 1
    env.step("<hold>x</hold>")


@pytest.mark.parametrize("number", [-1, 2.0, "2"])
def test_only_a_number_of_children_is_a_number(stack: Any, number: Any) -> None:
    with pytest.raises(ValueError, match="whole number of children"):
        fork(stack, number)
    assert len(fork(stack, np.int64(2))) == 2, "as numpy's own are"


def test_the_two_sorts_of_snapshots_are_told_apart(stack: Any) -> None:
    with pytest.raises(TypeError, match=r"aepo_env\.restore"):
        stack.unwrapped.restore(snapshot(stack))
    with pytest.raises(TypeError, match=r"unwrapped\.restore"):
        restore(stack, stack.unwrapped.snapshot())
