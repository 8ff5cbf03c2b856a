"""What happens to a path on its way: limits, environments, faults, threads. Strategies have a file of their own."""

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import pytest
from gymnasium.wrappers import TimeLimit

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode
from aepo_env.errors import ForkNotSupported
from aepo_env.rewards.reward import Score
from aepo_env.tools.tool import CallContext, Fault, ToolResult
from algorithms.rollout.aepo import EntropyBalanced
from algorithms.rollout.arpo import EntropyBranching
from algorithms.rollout.branching import ForkRule
from algorithms.rollout.grow import grow
from algorithms.rollout.independent import Independent
from algorithms.rollout.inputs import TokenLimits
from algorithms.tree import Kind
from tests.algorithms.rollout.scripted import (
    Branch,
    Bytes,
    Drawn,
    ScriptedEngine,
    Write,
    assert_all_given_back,
    play,
    searches,
    text_of,
)
from tests.fakes import TASKS, EchoTool, FaultyTool, HoldingTool, SlowTool, make_env

ALWAYS = EntropyBranching(6, 2, ForkRule(base=1.0, weight=0.0, penalty=0.0), 4, "mean")
DOWN = Fault("network", "the network is down")


def never(budget: int, initial: int) -> EntropyBranching:
    return EntropyBranching(budget, initial, ForkRule(base=0.0, weight=0.0, penalty=0.0), 4, "mean")


def by_attempt(turns: int, tool: str = "search") -> Write:
    """Each turn names its path and attempt."""

    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        turn = before.count("</result>")
        if turn >= turns:
            return "<answer>0</answer>", 1.0
        return f"<{tool}>{key[3]}.{key[4]} turn {turn}</{tool}>", 1.0

    return write


def turns_of(text: str) -> list[str]:
    return [part.partition("</search>")[0] for part in text.split("<search>")[1:]]


# -------------------------------------------------------------------------------------------------------------- limits


def test_a_turn_that_reaches_its_limit_ends_the_path_and_nothing_is_forced_behind_it() -> None:
    grown, _ = play(Independent(2), searches(3), make_env(), limits=TokenLimits(turn=5))
    tree = grown.trees[0]
    assert [leaf.stop_reason for leaf in tree.leaves] == ["max_turn_tokens"] * 2
    assert text_of(tree, 0) == "What is 0 and 0?<sear"
    assert [leaf.rewards["total"] for leaf in tree.leaves] == [0.0, 0.0]


def test_the_reward_reads_the_turn_that_was_cut() -> None:
    def reads(episode: Episode) -> Score:
        return Score(float([turn.text for turn in episode.turns] == ["<sear"]), {})

    grown, _ = play(Independent(1), searches(3), make_env(reward=reads), limits=TokenLimits(turn=5))
    assert grown.trees[0].leaves[0].rewards["total"] == 1.0


def test_a_trajectory_never_grows_beyond_its_limit() -> None:
    for total in range(17, 120):
        grown, _ = play(Independent(1), searches(2), make_env(), limits=TokenLimits(total=total))
        (leaf,) = grown.trees[0].leaves
        assert grown.trees[0].nodes[leaf.node].end <= total
        assert leaf.stop_reason == "max_context"
        assert grown.trees[0].nodes[leaf.node].kind == Kind.POLICY, "an observation nobody can answer is left out"


def test_the_models_longest_position_is_a_stop_reason_too() -> None:
    engine = ScriptedEngine(searches(2), longest=60)
    grown = grow(TASKS[:1], make_env(), engine, Bytes(), Independent(1), seed=0, step=0)  # type: ignore[arg-type]
    assert grown.trees[0].leaves[0].stop_reason == "max_context"


def test_a_prompt_without_room_is_an_error_that_leaves_nothing_open() -> None:
    engine = ScriptedEngine(searches(2))
    with pytest.raises(ValueError, match="prompt of task-1 has 16 tokens"):
        grow(
            TASKS[1:2],
            make_env(),
            engine,  # type: ignore[arg-type]
            Bytes(),
            Independent(1),
            seed=0,
            step=0,
            limits=TokenLimits(total=16),
        )
    assert engine.open_branches == []


@pytest.mark.parametrize("look_ahead", [4, 30, 500])
def test_paths_may_be_cut_at_or_behind_their_look_ahead(look_ahead: int) -> None:
    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        return ("<search>a</search>", 1.0) if "</result>" not in before else ("x" * 100, 2.0)

    strategy = EntropyBranching(6, 2, ForkRule(base=1.0, weight=0.0, penalty=0.0), look_ahead, "mean")
    grown, _ = play(strategy, write, make_env(), limits=TokenLimits(turn=30))
    tree = grown.trees[0]
    assert [leaf.stop_reason for leaf in tree.leaves] == ["max_turn_tokens"] * 6
    assert [record.outcome for record in grown.reports[0].forks] == ["forked"] * 2
    assert all(text_of(tree, leaf).endswith("x" * 30) for leaf in range(6))


# -------------------------------------------------------------------------------------------------------- environments


def test_a_child_has_the_budgets_its_parent_had_left() -> None:
    grown, _ = play(ALWAYS, searches(10), make_env(tool_calls=3))
    assert [leaf.stop_reason for leaf in grown.reports[0].leaves] == ["max_tool_calls"] * 6
    assert {leaf.turns for leaf in grown.reports[0].leaves} == {4}
    assert any(leaf.origin for leaf in grown.reports[0].leaves)
    assert grown.reports[0].calls == {"search": 2 + 4 + 6}, "a refused call is none"


def test_a_malformed_turn_is_no_tool_result() -> None:
    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        turns = ["hm\0", "<search>a</search>", "<answer>0</answer>"]
        return turns[before.count("</result>")], 1.0 + before.count("</result>")

    grown, _ = play(ALWAYS, write, make_env())
    tree, report = grown.trees[0], grown.reports[0]
    assert [record.round for record in report.forks] == [1, 1]
    assert all(b"<result>\na\n" in bytes(tree.nodes[record.node].tokens) for record in report.forks)
    assert tree.leaves[0].rewards["total"] == 1.0


def test_wrappers_take_part() -> None:
    env: gymnasium.Env[str, str] = TimeLimit(make_env(), max_episode_steps=2)
    grown, _ = play(ALWAYS, searches(5), env)  # type: ignore[arg-type]
    assert [(leaf.stop_reason, leaf.turns) for leaf in grown.reports[0].leaves] == [("truncated", 2)] * 6
    assert [leaf.rewards["total"] for leaf in grown.trees[0].leaves] == [0.0] * 6


def test_the_environment_given_is_never_stepped() -> None:
    env = make_env()
    env.reset(seed=5)
    before = env.episode
    play(ALWAYS, searches(2), env)
    assert env.episode is before


def test_what_is_no_environment_of_ours_is_refused() -> None:
    with pytest.raises(TypeError, match="environment of aepo_env"):
        play(ALWAYS, searches(2), gymnasium.make("CartPole-v1"))  # type: ignore[arg-type]


def test_all_environments_are_given_back() -> None:
    tool = HoldingTool("search")
    grown, _ = play(ALWAYS, searches(4), make_env([tool]), TASKS[:3])
    assert sum(report.calls["search"] for report in grown.reports) > 20
    assert len(tool.handles) > 20
    assert tool.open == 0


class Refusing(HoldingTool):
    """Says at some of its forks that it cannot be forked now."""

    def __init__(self, refused: set[int]) -> None:
        super().__init__("search")
        self.refused, self.asked = refused, 0

    def fork(self, state: Any, *, rng: str, seed: int) -> Any:
        self.asked += 1
        if self.asked - 1 in self.refused:
            raise ForkNotSupported("an interpreter has live threads")
        return super().fork(state, rng=rng, seed=seed)


# Forks in order: 0 snapshot of the prompt, 1 the first root, 2 snapshot behind the first result, 3 the child there.


def test_where_no_snapshot_can_be_had_there_is_no_decision_and_it_is_counted() -> None:
    tool = Refusing({2})
    grown, _ = play(EntropyBranching(2, 1, ALWAYS.rule, 4, "mean"), searches(3), make_env([tool]))
    (report,) = grown.reports
    assert (report.unforkable, [record.round for record in report.forks]) == (1, [2])
    assert tool.open == 0


def test_where_a_child_cannot_be_had_the_record_says_so() -> None:
    tool = Refusing({3})
    grown, _ = play(EntropyBranching(2, 1, ALWAYS.rule, 4, "mean"), searches(3), make_env([tool]))
    assert [(r.round, r.outcome, r.streak) for r in grown.reports[0].forks] == [(1, "environment", 0), (2, "forked", 0)]
    assert len(grown.trees[0].leaves) == 2
    assert tool.open == 0


# --------------------------------------------------------------------------------------------------------------- faults


def test_an_invalid_path_begins_again_at_the_prompt_where_no_nearer_snapshot_is_held() -> None:
    env = make_env([FaultyTool(["fine", DOWN, "fine"])])
    grown, _ = play(Independent(1), by_attempt(3), env)
    (report,) = grown.reports
    assert turns_of(text_of(grown.trees[0], 0)) == ["0.1 turn 0", "0.1 turn 1", "0.1 turn 2"]
    assert (report.retried, report.dropped, report.leaves[0].retried) == (1, 0, True)


def test_an_invalid_path_begins_again_at_the_observation_it_last_stood_at() -> None:
    env = make_env([FaultyTool(["fine", "fine", DOWN, "fine"])])
    grown, _ = play(never(2, 1), by_attempt(4), env)
    tree, report = grown.trees[0], grown.reports[0]
    assert turns_of(text_of(tree, 0)) == ["0.0 turn 0", "0.0 turn 1", "0.1 turn 2", "0.1 turn 3"]
    assert [(leaf.retried, leaf.turns) for leaf in report.leaves] == [(True, 5), (False, 5)]
    assert report.calls == {"search": 9}, "the call that failed was made too"
    assert len(tree.covered()) < len(tree.nodes), "the failed turn is on no leaf's path"


def test_an_invalid_child_begins_again_where_it_was_forked() -> None:
    # The original, which has its look-ahead written already, calls second, the child third.
    env = make_env([FaultyTool(["fine", "fine", DOWN, "fine"])])
    grown, _ = play(EntropyBranching(2, 1, ALWAYS.rule, 4, "mean"), by_attempt(3), env)
    tree, (original, child) = grown.trees[0], grown.reports[0].leaves
    assert (original.retried, child.retried) == (False, True)
    assert (child.parent, child.origin) == (0, grown.reports[0].forks[0].node)
    assert turns_of(text_of(tree, 1)) == ["0.0 turn 0", "1.1 turn 1", "1.1 turn 2"]


def test_a_probe_that_begins_again_is_measured_from_its_new_beginning() -> None:
    env = make_env([FaultyTool(["fine", DOWN, "fine"])])
    strategy = EntropyBalanced(4, look_ahead=4, scale="mean")
    grown, _ = play(strategy, searches(3, entropies=(1.0, 2.0)), env)
    assert grown.reports[0].gap == pytest.approx((1.0 - 2.0) / math.log(256), rel=1e-12)


def test_a_path_that_fails_twice_is_dropped_and_counted() -> None:
    grown, _ = play(never(4, 2), searches(2), make_env([FaultyTool([DOWN])]))
    (report,) = grown.reports
    assert (report.retried, report.dropped, len(report.leaves)) == (4, 4, 0)
    assert grown.trees[0].leaves == []


def test_a_dropped_probe_splits_the_budget_evenly() -> None:
    env = make_env([FaultyTool([DOWN, DOWN, "fine"])])
    grown, _ = play(EntropyBalanced(4, look_ahead=4, scale="mean"), searches(2), env)
    (report,) = grown.reports
    assert (report.roots, report.dropped, len(report.leaves), report.gap) == (2, 1, 3, None)


def test_a_judge_out_of_reach_is_a_fault_of_the_path_also_where_it_was_cut() -> None:
    for limits in (TokenLimits(), TokenLimits(turn=5), TokenLimits(total=60)):
        failures = [OSError("no judge")]

        def judged(episode: Episode, failures: list[OSError] = failures) -> Score:
            if failures:
                raise failures.pop()
            return Score(0.5, {})

        for strategy in (Independent(1), never(2, 1)):
            failures[:] = [OSError("no judge")]
            grown, _ = play(strategy, by_attempt(2), make_env(reward=judged), limits=limits)
            assert [leaf.rewards["total"] for leaf in grown.trees[0].leaves] == [0.5] * strategy.budget
            assert (grown.reports[0].retried, grown.reports[0].dropped) == (1, 0)


@pytest.mark.parametrize("forks", range(14))
def test_whenever_forking_raises_everything_is_given_back(forks: int) -> None:
    tool, engine = HoldingTool("search", refuse_after=forks), ScriptedEngine(searches(3))
    with pytest.raises(RuntimeError, match="cannot fork"):
        grow(TASKS[:2], make_env([tool]), engine, Bytes(), ALWAYS, seed=0, step=0)  # type: ignore[arg-type]
    assert_all_given_back(engine, [])
    assert tool.open == 0


@pytest.mark.parametrize("steps", [1, 20, 40, 60, 100])
def test_whenever_the_engine_raises_everything_is_given_back(steps: int) -> None:
    class Breaking(ScriptedEngine):
        def step(self) -> Any:
            if self.steps == steps:
                self.requests.clear()
                raise MemoryError("out of memory")
            return super().step()

    tool, engine = HoldingTool("search"), Breaking(searches(3))
    with pytest.raises(MemoryError):
        grow(TASKS[:2], make_env([tool]), engine, Bytes(), ALWAYS, seed=0, step=0)  # type: ignore[arg-type]
    assert_all_given_back(engine, [])
    assert tool.open == 0


@pytest.mark.parametrize("threads", [0, 2])
def test_a_mistake_in_the_reward_goes_up_and_everything_is_given_back(threads: int) -> None:
    def mistaken(episode: Episode) -> Score:
        raise ZeroDivisionError

    tool, engine = HoldingTool("search"), ScriptedEngine(searches(2))
    env = make_env([tool], reward=mistaken)
    with pytest.raises(ZeroDivisionError):
        grow(TASKS[:2], env, engine, Bytes(), ALWAYS, seed=0, step=0, threads=threads)  # type: ignore[arg-type]
    assert_all_given_back(engine, [])
    end = time.monotonic() + 10  # threads may still be inside a step
    while tool.open and time.monotonic() < end:
        time.sleep(0.01)
    assert tool.open == 0


# --------------------------------------------------------------------------------------------------------------- audits


class DriftingText(Bytes):
    """Decodes the same tokens to something else each time."""

    def __init__(self) -> None:
        self.asked = 0

    def text(self, tokens: Sequence[int]) -> str:
        self.asked += 1
        return super().text(tokens) + " " * self.asked


class DriftingObservation(Bytes):
    def __init__(self) -> None:
        self.asked = 0

    def observation(self, text: str) -> list[int]:
        self.asked += 1
        return [*super().observation(text), self.asked]


class Lying(ScriptedEngine):
    """Writes other tokens into the tree than it reports."""

    def _written(self, branch: Branch, tokens: list[int]) -> Drawn:
        drawn = super()._written(branch, tokens)
        return Drawn([*drawn.tokens[:-1], 0], drawn.log_probs, drawn.entropies)


@pytest.mark.parametrize(
    ("codec", "engine", "complaint"),
    [
        (DriftingText(), ScriptedEngine(searches(1)), "the environment was given"),
        (DriftingObservation(), ScriptedEngine(searches(1)), "not what the environment said"),
        (Bytes(), Lying(searches(0)), "not the sampled ones"),
    ],
)
def test_a_leaf_that_is_not_what_was_sampled_or_read_stops_the_run(
    codec: Bytes, engine: ScriptedEngine, complaint: str
) -> None:
    tool = HoldingTool("search")
    with pytest.raises(RuntimeError, match=complaint):
        grow(TASKS[:2], make_env([tool]), engine, codec, Independent(2), seed=0, step=0)  # type: ignore[arg-type]
    assert_all_given_back(engine, [])
    assert tool.open == 0


# -------------------------------------------------------------------------------------------------------------- threads


class Gathering(EchoTool):
    """Answers when several calls are inside at once, so that it shows whether they are."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(together)

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        self.barrier.wait(timeout=20)
        return super().call(state, argument, context)


def leaves(grown: Any) -> list[list[str]]:
    return [[text_of(tree, leaf) for leaf in range(len(tree.leaves))] for tree in grown.trees]


def test_threads_step_environments_at_once_and_change_no_leaf() -> None:
    strategy = Independent(2)
    here, _ = play(strategy, searches(2), make_env(), TASKS[:2])
    away, _ = play(strategy, searches(2), make_env([Gathering(4)]), TASKS[:2], threads=4)
    assert leaves(away) == leaves(here)
    assert away.reports == here.reports


def test_forks_are_the_same_with_threads() -> None:
    strategy = EntropyBalanced(8, look_ahead=4, scale="mean")
    here, _ = play(strategy, searches(3), make_env(), TASKS[:4])
    away, _ = play(strategy, searches(3), make_env([SlowTool(0.002)]), TASKS[:4], threads=3)
    decisions = [
        [[(r.round, r.path, r.draw, r.outcome) for r in report.forks] for report in grown.reports]
        for grown in (here, away)
    ]
    assert decisions[0] == decisions[1]


def test_a_step_beyond_its_time_is_a_fault_of_its_path() -> None:
    tool = SlowTool(0.5)
    grown, _ = play(Independent(1), searches(1), make_env([tool]), threads=2, step_seconds=0.05)
    assert (grown.reports[0].retried, grown.reports[0].dropped) == (1, 1)


def test_settings_of_threads_are_checked() -> None:
    env: ToolEnv = make_env()
    with pytest.raises(ValueError, match="threads >= 0"):
        play(Independent(1), searches(1), env, threads=-1)
    with pytest.raises(ValueError, match="seconds > 0"):
        play(Independent(1), searches(1), env, step_seconds=0.0)


# ------------------------------------------------------------------------------------------- schedule, streaks


def slow_second_path(key: tuple[Any, ...], before: str) -> tuple[str, float]:
    """Path 1 writes long queries: its results come late."""
    if before.count("</result>") >= 2:
        return "<answer>0</answer>", 1.0
    return f"<search>{'a' * (40 if key[3] == 1 else 1)}</search>", 1.0


def first_forks(schedule: str) -> list[tuple[int, str]]:
    strategy = EntropyBranching(3, 2, ForkRule(base=1.0, weight=0.0, penalty=0.0), 4, "mean")
    grown, _ = play(strategy, slow_second_path, make_env(), TASKS * 3, schedule=schedule)
    return [(report.forks[0].path, report.forks[0].outcome) for report in grown.reports]


def test_by_arrival_whoever_comes_first_is_decided_on_first() -> None:
    assert set(first_forks("arrival")) == {(0, "forked")}


def test_in_logical_time_the_slower_path_has_the_same_chance() -> None:
    assert set(first_forks("logical")) == {(0, "forked"), (1, "forked")}


def test_by_arrival_every_budget_is_spent() -> None:
    strategy = EntropyBalanced(8, look_ahead=4, scale="mean")
    grown, _ = play(strategy, searches(3), make_env([SlowTool(0.002)]), TASKS[:4], threads=3, schedule="arrival")
    assert [len(tree.leaves) for tree in grown.trees] == [8] * 4


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="logical, arrival"):
        play(Independent(1), searches(1), make_env(), schedule="soon")


def test_a_questions_streak_counts_for_all_of_its_paths() -> None:
    rule = ForkRule(base=0.5, weight=0.0, penalty=0.0, streaks="question")
    grown, _ = play(EntropyBranching(40, 4, rule, 4, "mean"), searches(4), make_env(), TASKS * 2)
    for report in grown.reports:
        streak = 0
        for round_ in range(1, 5):
            forks = [fork for fork in report.forks if fork.round == round_]
            assert {fork.streak for fork in forks} <= {streak}
            streak = streak + 1 if any(fork.outcome == "forked" for fork in forks) else 0
