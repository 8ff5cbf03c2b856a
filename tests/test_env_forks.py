"""Forks, deep copies and snapshots of an environment without wrappers (tests/test_forking.py has those)."""

import copy
import json
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import pytest

from aepo_env.env import Snapshot, ToolEnv
from aepo_env.episode import StopReason
from aepo_env.errors import ForkNotSupported
from aepo_env.tools.tool import ForkCost, Forking, Tool
from tests.fakes import (
    CounterTool,
    EchoTool,
    FaultyTool,
    HoldingTool,
    UnforkableTool,
    make_env,
)
from tests.test_env import TURNS, counting_env, started, transcript

# --------------------------------------------------------------------------------------------------------------- forks


@pytest.mark.parametrize("at", range(len(TURNS)))
def test_twins_given_equal_actions_give_equal_everything(at: int) -> None:
    env = started(counting_env(), *TURNS[:at])
    twin = env.fork(rng="same")[0]
    assert transcript(twin, TURNS[at:]) == transcript(env, TURNS[at:])
    assert twin.reset() == env.reset(), "and so does what comes after the episode"


def test_a_parent_is_unchanged_by_anything_done_to_a_child() -> None:
    env, untouched = started(counting_env(), *TURNS[:2]), started(counting_env(), *TURNS[:2])
    env.action_space.seed(1)
    untouched.action_space.seed(1)
    before = env.episode
    for rng in ("same", "split"):
        (child,) = env.fork(rng=rng)  # type: ignore[arg-type]
        *_, info = transcript(child, TURNS[2:])[-1]
        info["rewards"]["total"] = 99.0
        info["left"].clear()
        child.action_space.sample()
        child.action_space.seed(3)
        child.observation_space.sample()
        child.np_random.random()
        child.reset(seed=99)
        child.close()
    assert env.episode is before
    assert env.action_space.sample() == untouched.action_space.sample()
    assert transcript(env, TURNS[2:]) == transcript(untouched, TURNS[2:])
    assert env.reset() == untouched.reset()


def test_a_child_is_unchanged_by_anything_done_to_its_parent() -> None:
    env, untouched = started(counting_env(), *TURNS[:2]), started(counting_env(), *TURNS[:2])
    (child,) = env.fork(rng="same")
    transcript(env, TURNS[2:])
    env.reset(seed=5)
    env.close()
    assert transcript(child, TURNS[2:]) == transcript(untouched, TURNS[2:])


def test_an_info_that_is_changed_by_its_reader_changes_no_record() -> None:
    env = started(make_env())
    *_, info = env.step("<answer>x</answer>")
    info["rewards"]["total"] = 5.0
    assert env.episode.rewards == {"exact_match": 0.0, "total": 0.0}


def test_forking_does_not_disturb_the_parents_own_future() -> None:
    env, untouched = started(counting_env(), TURNS[0]), started(counting_env(), TURNS[0])
    env.fork(3)
    env.fork(1)[0].fork(2)
    copy.deepcopy(env)
    env.snapshot().release()
    assert transcript(env, TURNS[1:]) == transcript(untouched, TURNS[1:])
    assert [env.reset() for _ in range(3)] == [untouched.reset() for _ in range(3)]


def test_split_forks_and_their_forks_draw_on_streams_of_their_own() -> None:
    env = started(counting_env(), "<count>x</count>")
    family = [*env.fork(3), *env.fork(2)]
    family += [grandchild for child in family[:2] for grandchild in child.fork(2)]
    env.step("<count>x</count>")
    family += [env, *env.fork(1)]
    drawn = [member.step("<count>x</count>")[0].split("drawn")[1] for member in family]
    assert len(set(drawn)) == len(family)
    assert len({str(member.np_random.random()) for member in family}) == len(family)
    assert len({member.episode.lineage for member in family}) == len(family)


def test_split_forks_of_different_episodes_draw_differently() -> None:
    drawn = set()
    for seed in range(4):
        (child,) = started(counting_env(), "<count>x</count>", seed=seed).fork()
        drawn |= {child.step("<count>x</count>")[0], str(child.np_random.random())}
    assert len(drawn) == 8


def test_same_forks_and_their_forks_repeat_the_parents_streams() -> None:
    env = started(counting_env(), "<count>x</count>")
    family = [env, *env.fork(2, rng="same")]
    family += family[1].fork(2, rng="same")
    assert len({member.step("<count>x</count>")[0] for member in family}) == 1
    assert len({str(member.np_random.random()) for member in family}) == 1


def test_a_split_child_does_not_claim_its_parents_seed() -> None:
    env = started(counting_env(), seed=7)
    same, split = env.fork(rng="same")[0], env.fork(rng="split")[0]
    assert (env.np_random_seed, same.np_random_seed, split.np_random_seed) == (7, 7, -1)


def test_ten_children_in_threads_are_independent() -> None:
    env = started(counting_env(), *TURNS[:2])
    alone = [transcript(child, TURNS[2:]) for child in env.fork(10)]
    again = started(counting_env(), *TURNS[:2])
    with ThreadPoolExecutor(10) as threads:
        together = list(threads.map(lambda child: transcript(child, TURNS[2:]), again.fork(10)))
    assert together == alone
    assert len(env.episode.turns) == 2


def test_budgets_are_copied_to_the_child() -> None:
    env = started(make_env(tool_calls=2, turns=4), "<search>a</search>")
    (child,) = env.fork()
    child.step("<search>b</search>")
    assert child.step("<search>c</search>")[4]["stop_reason"] == StopReason.MAX_TOOL_CALLS
    assert env.step("<search>b</search>")[4]["left"] == {"turns": 2, "tool_calls": 0, **_left_of_text(env)}


def _left_of_text(env: ToolEnv) -> dict[str, int]:
    limits, spent = env.rules.limits, env.episode.spent
    return {"characters": limits.characters - spent.characters, "malformed": limits.malformed - spent.malformed}


def test_time_spent_is_copied_to_the_child() -> None:
    env = started(make_env(episode_seconds=100))
    env._episode = env.episode._replace(spent=env.episode.spent._replace(seconds=99.9999))
    (child,) = env.fork()
    assert child.step("<search>" + "a" * 10 + "</search>")[4]["left"]["tool_calls"] == 11
    child._episode = child.episode._replace(spent=child.episode.spent._replace(seconds=101.0))
    assert child.fork()[0].step("<search>a</search>")[4]["stop_reason"] == StopReason.DEADLINE


def test_a_deep_copy_is_a_fork() -> None:
    env = started(counting_env(), *TURNS[:2])
    twin = copy.deepcopy(env)
    assert twin.rules is env.rules
    assert transcript(twin, TURNS[2:]) == transcript(env, TURNS[2:])


def test_a_deep_copy_outside_an_episode_shares_no_generator() -> None:
    env = started(counting_env())
    env.close()
    twin = copy.deepcopy(env)
    expected = twin.reset()
    assert env.reset() == expected
    copy.deepcopy(make_env()).reset(seed=1)


def test_a_pickled_environment_goes_on() -> None:
    env = started(counting_env(), *TURNS[:2])
    twin = pickle.loads(pickle.dumps(env))
    assert transcript(twin, TURNS[2:]) == transcript(env, TURNS[2:])


def test_a_tool_that_cannot_be_forked_is_refused_by_name() -> None:
    env = started(make_env([EchoTool(), UnforkableTool()]), "<browser>x</browser>")
    for attempt in (env.fork, env.snapshot, lambda: copy.deepcopy(env)):
        with pytest.raises(ForkNotSupported, match="browser"):
            attempt()
    env.step("<browser>x</browser>")


@pytest.mark.parametrize("wrong", [{"rng": "other"}, {"n": -1}, {"n": 1.5}])
def test_bad_arguments_of_fork(wrong: dict[str, Any]) -> None:
    env = started(make_env())
    with pytest.raises(ValueError, match="must be"):
        env.fork(**wrong)
    assert env.fork(0) == []


@pytest.mark.parametrize(
    ("tools", "cost"),
    [
        ([EchoTool(), CounterTool()], "free"),
        ([EchoTool(), HoldingTool()], "cheap"),
        ([HoldingTool(), UnforkableTool(), EchoTool()], "impossible"),
    ],
)
def test_info_says_what_a_fork_here_costs(tools: list[Tool], cost: str) -> None:
    env = make_env(tools)
    assert env.reset()[1]["fork"] == cost
    for turn in ("<search>a</search>", "hm", "<answer>4</answer>"):
        assert env.step(turn)[4]["fork"] == cost
    assert json.dumps(cost) == json.dumps(env.reset()[1]["fork"])


def test_a_tool_says_at_every_step_what_its_own_fork_costs_and_the_dearest_counts() -> None:
    class Growing(CounterTool):
        forking = Forking.PROCESS

        def __init__(self, name: str, costs: Sequence[ForkCost]) -> None:
            self.name, self.costs = name, costs

        def fork_cost(self, state: Any) -> ForkCost:
            return self.costs[state[0]]

    free, cheap, costly, impossible = ForkCost
    env = make_env([Growing("one", [free, costly, impossible]), EchoTool(), Growing("two", [free, cheap, free])])
    costs = [env.reset()[1]["fork"]]
    costs += [env.step(f"<{name}>x</{name}>")[4]["fork"] for name in ("two", "one", "search", "one", "two")]
    assert costs == [free, cheap, costly, costly, impossible, impossible]


def test_handles_are_given_back_exactly_once() -> None:
    tool = HoldingTool()
    env = started(make_env([tool]))
    children = env.fork(3)
    with env.snapshot() as moment:
        children[0].restore(moment)
        children[0].restore(moment)
        assert tool.open == 5
    moment.release()
    assert tool.open == 4
    for child in children:
        child.close()
        child.close()
    env.reset()
    assert tool.open == 1
    env.close()
    assert tool.open == 0


def test_a_fork_that_fails_half_way_leaves_nothing_behind() -> None:
    first, second = HoldingTool("first"), HoldingTool("second", refuse_after=2)
    env = started(make_env([first, second]))
    with pytest.raises(RuntimeError):
        env.fork(5)
    assert (first.open, second.open) == (1, 1)
    with pytest.raises(RuntimeError):
        env.snapshot()
    assert (first.open, second.open) == (1, 1)
    env.step("<first>x</first>")


# ----------------------------------------------------------------------------------------------- snapshot and restore


def test_restoring_rewinds_as_often_as_wanted() -> None:
    env = started(counting_env(), *TURNS[:2])
    moment = env.snapshot()
    first = [*transcript(env, TURNS[2:]), env.reset(), env.np_random_seed]
    for _ in range(3):
        env.restore(moment)
        assert [*transcript(env, TURNS[2:]), env.reset(), env.np_random_seed] == first


def test_a_snapshot_survives_pickling_and_another_environment() -> None:
    env = started(counting_env(), *TURNS[:2])
    moment: Snapshot = pickle.loads(pickle.dumps(env.snapshot()))
    twin = counting_env()
    twin.restore(moment)
    assert transcript(twin, TURNS[2:]) == transcript(env, TURNS[2:])
    assert twin.reset() == env.reset()
    moment.release()


def test_a_snapshot_remembers_how_many_forks_there_were() -> None:
    """Else the first fork after restoring would draw the very numbers of the first fork before."""
    env = started(counting_env(), TURNS[0])
    (before,) = env.fork()
    moment = env.snapshot()
    env.restore(moment)
    (after,) = env.fork()
    assert before.episode.lineage != after.episode.lineage
    assert before.step("<count>x</count>")[0] != after.step("<count>x</count>")[0]


def test_a_snapshot_of_an_ended_episode_restores_its_end() -> None:
    env = started(make_env(), "<answer>x</answer>")
    moment = env.snapshot()
    env.reset()
    env.restore(moment)
    with pytest.raises(gymnasium.error.ResetNeeded, match="answered"):
        env.step("x")


def test_a_snapshot_of_other_tools_is_refused_and_the_episode_goes_on() -> None:
    moment = started(make_env([EchoTool(), CounterTool()])).snapshot()
    env = started(make_env([CounterTool(), EchoTool()]))
    with pytest.raises(ValueError, match="same arguments"):
        env.restore(moment)
    env.step("<count>x</count>")


def test_a_restore_that_fails_leaves_the_episode_whole() -> None:
    tool = HoldingTool(refuse_after=1)
    env = started(make_env([tool]))
    moment = env.snapshot()
    with pytest.raises(RuntimeError):
        env.restore(moment)
    env.step("<hold>x</hold>")
    env.close()
    moment.release()
    assert tool.open == 0


def test_faults_do_not_end_the_parent() -> None:
    tool = FaultyTool(["fine", RuntimeError("down")])
    env = started(make_env([tool]), "<search>a</search>")
    (child,) = env.fork()
    assert child.step("<search>b</search>")[4]["stop_reason"] == StopReason.TOOL_FAULT
    assert env.episode.stop_reason is None
