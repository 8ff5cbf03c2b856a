"""Whatever policies write and tools do: budgets add up, nothing is held, questions are independent. Random scripts."""

import random
from typing import Any

import pytest

from aepo_env.tools.tool import CallContext, Fault, ToolResult
from algorithms.rollout.aepo import EntropyBalanced
from algorithms.rollout.arpo import EntropyBranching
from algorithms.rollout.branching import ForkRule
from algorithms.rollout.independent import Independent
from algorithms.rollout.inputs import TokenLimits
from tests.algorithms.rollout.scripted import play
from tests.fakes import TASKS, HoldingTool, make_env


class Moody(HoldingTool):
    """Fails on the argument "bad"; holds a handle per state, which must be given back once."""

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        if argument == "bad":
            return ToolResult("failed", state, fault=Fault("network", "failed"))
        return ToolResult(f"found {argument}", state)


def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
    """Depends on the path's key and its past alone."""
    source = random.Random(f"{key} {len(before)}")
    search = f"<search>{'a' * source.randint(1, 30)}</search>"
    chosen = source.choices(
        [search, "<search>bad</search>", "<answer>0</answer>", "hm\0", "\0", "x" * 100, search * 2],
        [8, 1, 2, 1, 2, 1, 1],
    )
    return chosen[0], source.random() * 5


def strategy_of(seed: int) -> Any:
    source = random.Random(seed)
    rule = ForkRule(base=source.random(), weight=source.random(), penalty=source.choice([0.0, 0.1, 0.5]))
    budget, look_ahead = source.randint(1, 12), source.choice([1, 3, 15, 200])
    return source.choice(
        [
            Independent(budget, look_ahead),
            EntropyBranching(budget, source.randint(1, budget), rule, look_ahead, "mean"),
            EntropyBalanced(budget, 5.0, rule, look_ahead, "mean", keep_probe=source.random() < 0.7),
            EntropyBalanced(budget, 5.0, rule, look_ahead, "mean", premonitor=False),
        ]
    )


@pytest.mark.parametrize("seed", range(60))
def test_budgets_add_up_nothing_is_held_and_company_changes_nothing(seed: int) -> None:
    strategy, tool = strategy_of(seed), Moody("search")
    env = make_env([tool], turns=4, malformed=2)
    options: dict[str, Any] = {"limits": TokenLimits(60, random.Random(seed).choice([150, 400])), "seed": seed}
    together, _ = play(strategy, write, env, TASKS[:3], **options)
    assert tool.open == 0
    for tree, report in zip(together.trees, together.reports, strict=True):
        probes_thrown_away = getattr(strategy, "premonitor", False) and not strategy.keep_probe
        lost = strategy.budget - len(tree.leaves)
        assert 0 <= lost <= report.dropped <= lost + probes_thrown_away
        assert len({leaf.node for leaf in tree.leaves}) == len(tree.leaves) == len(report.leaves)
        forks = sum(record.outcome == "forked" for record in report.forks)
        assert forks <= max(0, strategy.budget - 1)
        assert all(leaf.rewards.keys() >= {"total"} for leaf in tree.leaves)
        for record, leaf in zip(report.leaves, tree.leaves, strict=True):
            assert tree.fork_point(record.origin) == record.origin
            assert record.parent is not None or leaf.trunk == record.path, "what begins at the prompt is its own trunk"
        assert all(tree.nodes[leaf.node].end <= options["limits"].total for leaf in tree.leaves)
    alone, _ = play(strategy, write, env, TASKS[1:2], **options)
    assert alone.trees[0].to_plain() == together.trees[1].to_plain()
    assert alone.reports[0] == together.reports[1]


def test_the_random_courses_meet_everything_they_are_meant_to() -> None:
    reports = []
    for seed in range(60):
        env = make_env([Moody("search")], turns=4, malformed=2)
        limits = TokenLimits(60, 400 if seed % 2 else 150)
        reports += play(strategy_of(seed), write, env, TASKS[:2], limits=limits, seed=seed)[0].reports
    assert {leaf.stop_reason for report in reports for leaf in report.leaves} >= {
        "answered",
        "max_turns",
        "malformed",
        "max_turn_tokens",
        "max_context",
    }
    assert {record.outcome for report in reports for record in report.forks} == {"forked", "draw", "budget"}
    assert sum(report.dropped for report in reports) > 5
    assert sum(report.retried for report in reports) > 30
    assert any(leaf.retried and leaf.parent is not None for report in reports for leaf in report.leaves)
