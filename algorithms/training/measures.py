"""What a step is measured by: the plain numbers of metrics.jsonl, the same for every algorithm.

Timings stand under the keys "seconds" alone, at any depth: all else is equal when a run is repeated
(`without_timings`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from aepo_env.sandbox.pool import InterpreterPool
from algorithms.algorithm import LeafBatch
from algorithms.rollout.records import QuestionReport, summary
from algorithms.training.exploration import exploration
from algorithms.training.update_report import UpdateReport
from algorithms.tree import Kind, TokenTree


def step_metrics(
    step: int,
    trees: Sequence[TokenTree],
    reports: Sequence[QuestionReport],
    batch: LeafBatch,
    advantage: Tensor,
    report: UpdateReport,
    *,
    grown_questions: int,
) -> dict[str, Any]:
    """Numbers of one step. success: share of trajectories whose answer is wholly right. success_deviation: standard
    deviation over questions of their shares. dead_questions: that teach nothing. lost_questions: left without a
    trajectory by faults. entropy: mean over leaf tokens in nats. gaps: of AEPO's probes, H_root - H_tool, unscaled."""
    leaves = [leaf for tree in trees for leaf in tree.leaves]
    parts: Counter[str] = Counter()
    for leaf in leaves:
        parts.update(leaf.rewards)
    numbers = report.plain()
    numbers.pop("seconds")
    gaps = [one.gap for one in reports if one.gap is not None]
    entropies = None if batch.entropies is None else batch.entropies[batch.mask].double()
    informative = batch.informative(advantage)
    return {
        "step": step,
        "questions": len(trees),
        "grown_questions": grown_questions,
        "leaves": len(leaves),
        "reward": sum(leaf.rewards["total"] for leaf in leaves) / len(leaves),
        "reward_parts": {name: total / len(leaves) for name, total in sorted(parts.items()) if name != "total"},
        "success": success_of(trees),
        "success_deviation": success_deviation(trees),
        "dead_questions": int((~informative).sum()),
        "lost_questions": sum(not one.leaves for one in reports),
        "entropy": 0.0 if entropies is None else float(entropies.mean()),
        "entropy_deviation": 0.0 if entropies is None or len(entropies) < 2 else float(entropies.std()),
        "policy_tokens": int(batch.unique.max()) + 1,
        "leaf_policy_tokens": int(batch.mask.sum()),
        "unique_tokens": sum(tree.unique_tokens() for tree in trees),
        "raw_tokens": sum(tree.raw_tokens() for tree in trees),
        "turns_mean": float(np.mean([leaf.turns for one in reports for leaf in one.leaves])),
        "roots_mean": float(np.mean([one.roots for one in reports])),
        "gap_mean": float(np.mean(gaps)) if gaps else None,
        "steps": step_shares(trees),
        "exploration": exploration(trees, reports),
        "rollout": summary(reports),
        "update": numbers,
    }


def success_of(trees: Sequence[TokenTree]) -> float:
    """Share of trajectories whose answer is wholly right."""
    leaves = [leaf for tree in trees for leaf in tree.leaves]
    return sum(solved(leaf.rewards) for leaf in leaves) / len(leaves)


def success_deviation(trees: Sequence[TokenTree]) -> float | None:
    """Standard deviation over questions of their shares of right answers; None of one question."""
    shares = [np.mean([solved(leaf.rewards) for leaf in tree.leaves]) for tree in trees]
    return float(np.std(shares, ddof=1)) if len(shares) > 1 else None


def variety(trees: Sequence[TokenTree]) -> dict[str, Any]:
    """What was grown, measured alike for every algorithm; a question is a tree.

    policy_tokens: written by the policy, a shared one once: what generating cost. (What hangs on no leaf, such as a
    path lost to a fault, is not counted.) distinct: the share of a question's trajectories that differ in what the
    policy wrote, mean over questions. mixed: the share of questions with both right and wrong trajectories.
    """
    distinct, mixed = [], []
    for tree in trees:
        written = [[tree.nodes[index] for index in tree.path(leaf.node)] for leaf in tree.leaves]
        texts = {
            tuple(token for node in nodes if node.kind is Kind.POLICY for token in node.tokens) for nodes in written
        }
        distinct.append(len(texts) / len(tree.leaves))
        mixed.append(len({solved(leaf.rewards) for leaf in tree.leaves}) > 1)
    return {
        "policy_tokens": sum(len(tree.policy_log_probs()) for tree in trees),
        "distinct": float(np.mean(distinct)),
        "mixed": float(np.mean(mixed)),
    }


def step_shares(trees: Sequence[TokenTree]) -> dict[str, Any]:
    """How many different steps there were, and which share of them was taken from a state that another of the same
    question was taken from too: what GiGPO has to compare. later_grouped: of steps after a trajectory's first alone.

    A step that leaves share is one step here. Shares are None where there is nothing to take a share of.
    """
    grouped: list[tuple[bool, bool]] = []  # (is grouped, is a first step)
    for tree in trees:
        unique = {}
        for leaf in tree.leaves:
            nodes = {tree.nodes[index].start: index for index in tree.path(leaf.node)}
            for place, step in enumerate(leaf.steps):
                unique[nodes[step.start], step.start] = (step.state, place == 0)
        counts = Counter(state for state, _ in unique.values())
        grouped += [(counts[state] > 1, is_first) for state, is_first in unique.values()]
    later = [is_grouped for is_grouped, is_first in grouped if not is_first]
    return {
        "count": len(grouped),
        "grouped": sum(is_grouped for is_grouped, _ in grouped) / len(grouped) if grouped else None,
        "later_grouped": sum(later) / len(later) if later else None,
    }


def solved(rewards: Mapping[str, float]) -> bool:
    """Whether an answer was wholly right: by the part "accuracy" where the reward has one, else by its total."""
    return rewards.get("accuracy", rewards["total"]) >= 1


class Interpreters:
    """Counts what happened to live interpreters, over all pools of an environment's tools."""

    _COUNTED = ("started", "forked", "rebuilt", "refused", "evicted", "ended", "stopped")

    def __init__(self) -> None:
        self._pools: dict[int, InterpreterPool] = {}
        self._before: Counter[str] = Counter()

    def watch(self, tools: Iterable[Any]) -> None:
        """Count these tools' pools from now on."""
        for tool in tools:
            pool = getattr(tool, "pool", None)
            if isinstance(pool, InterpreterPool) and id(pool) not in self._pools:
                self._pools[id(pool)] = pool
                self._before.update({name: getattr(pool, name) for name in self._COUNTED})

    def since_last(self) -> dict[str, int]:
        """How often each thing happened since the last call."""
        now: Counter[str] = Counter()
        for pool in self._pools.values():
            now.update({name: getattr(pool, name) for name in self._COUNTED})
        counted = {name: now[name] - self._before[name] for name in self._COUNTED}
        self._before = now
        return counted


def without_timings(record: Any) -> Any:
    """A record without anything called "seconds", to compare runs."""
    if isinstance(record, dict):
        return {name: without_timings(value) for name, value in record.items() if name != "seconds"}
    if isinstance(record, list):
        return [without_timings(value) for value in record]
    return record
