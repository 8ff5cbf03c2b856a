"""What can go wrong in a batch, through whole training steps of every algorithm: each goes on with finite weights, or
stops with a sentence and unchanged ones; what is left out is counted or warned of. Batches alone: test_stability."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.names import NAMES
from algorithms.policy.learner import Learner, OptimiserSettings
from algorithms.rollout.grow import Grown
from algorithms.rollout.paths import Deviations
from algorithms.rollout.records import LeafRecord, QuestionReport
from algorithms.training import trainer as module
from algorithms.training.known import algorithm, suited
from algorithms.training.trainer import Trainer
from algorithms.tree import Kind, TokenTree
from tests.algorithms.rewarded import rewarded
from tests.algorithms.training.small import config, trainer, untrained, weights
from tests.algorithms.training.test_options import with_sampled
from tests.algorithms.trees import even_tree
from tests.algorithms.whole_batches import with_steps

each = pytest.mark.parametrize("name", NAMES)
Trees = Callable[[], list[TokenTree]]


class Run:
    """A trainer that is handed its trees, with the log-probabilities its model would have sampled them with."""

    def __init__(self, name: str, trees: Trees, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
        wanted = config(algorithm=name, questions=len(trees()), audited=0.0, total_tokens=60)
        chosen = {**suited(name, wanted.settings), **settings}
        self.said: list[str] = []
        self.trainer: Trainer = trainer(replace(wanted, settings=chosen), untrained(), say=self.said.append)
        self.before = weights(self.trainer.policy.model)
        self.changed: Callable[[list[TokenTree]], None] = lambda _: None
        self.trees = trees
        monkeypatch.setattr(module, "grow", self.grow)

    def grow(self, *_: Any, **__: Any) -> Grown:
        made = self.trees()
        full = [tree for tree in made if tree.leaves]
        learner = Learner(self.trainer.policy.model, OptimiserSettings(lr=1e-3), 10**6, 1.0)
        scores = iter(learner.score(full))
        grown = [with_sampled(tree, next(scores)) if tree.leaves else tree for tree in made]
        self.changed(grown)
        reports = []
        for tree in grown:
            report = QuestionReport(tree.question, roots=2, dropped=0 if tree.leaves else 2)
            report.leaves = [
                LeafRecord(path, None, 0, 2, leaf.stop_reason, False) for path, leaf in enumerate(tree.leaves)
            ]
            reports.append(report)
        return Grown(grown, reports, Deviations())

    def steps(self, count: int) -> list[dict[str, Any]]:
        try:
            return [self.trainer.step() for _ in range(count)]
        finally:
            self.trainer.close()

    @property
    def after(self) -> torch.Tensor:
        return weights(self.trainer.policy.model)


def trees(dead: bool = False) -> list[TokenTree]:
    return [with_steps(rewarded(even_tree(seed, (4, 3, 2), (2, 2)), seed, dead)) for seed in range(3)]


def chain(name: str, reward: float, stop_reason: str = "answered") -> TokenTree:
    """One trajectory alone."""
    tree = TokenTree(name, [1, 2])
    tree.add_leaf(tree.add(tree.root, Kind.POLICY, [3, 4], [-0.5, -0.5], [0.5, 0.5]), stop_reason, {"total": reward})
    return with_steps(tree)


@each
def test_equal_rewards_for_many_steps_are_counted_and_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(name, lambda: trees(dead=True), monkeypatch)
    metrics = run.steps(11)
    assert torch.isfinite(run.after).all()
    assert all(one["rounds"] == (1 if type(algorithm(name).filter).__name__ == "KeepAll" else 10) for one in metrics)
    if all(one["dead_questions"] == one["questions"] for one in metrics):
        assert sum("gave all their trajectories the same reward" in line for line in run.said) == 1
    else:  # whose baseline is not the group's own mean, or that compares steps too
        assert name in ("empg", "gigpo", "ppo", "reinforce++", "rloo")
    if not any(one["update"]["optimiser_steps"] for one in metrics):
        assert torch.equal(run.after, run.before)
        assert sum("No optimiser step was made in the last 10 steps" in line for line in run.said) == 1
    json.dumps(metrics, allow_nan=False)


@each
def test_lone_dead_lost_and_cut_trajectories_stand_side_by_side(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed() -> list[TokenTree]:
        empty = with_steps(rewarded(even_tree(5, (4, 3), (2,)), 5))
        empty.add_leaf(empty.root, "max_context", {"total": 0.0})  # ended before a word was written
        lone = [chain("right", 1.0), chain("wrong", 0.0), chain("cut", -1.0, "max_turn_tokens")]
        return [*trees(), *lone, empty, *trees(dead=True)[:1], TokenTree("lost", [1, 2])]

    run = Run(name, mixed, monkeypatch)
    metrics = run.steps(2)
    assert torch.isfinite(run.after).all()
    assert not torch.equal(run.after, run.before)
    json.dumps(metrics, allow_nan=False)
    for one in metrics:
        assert one["lost_questions"] == one["rounds"]  # each round's own
        assert one["questions"] + one["lost_questions"] <= one["grown_questions"]
    assert sum("trajectories were lost to faults" in line for line in run.said) == 1


@each
@pytest.mark.parametrize("shift", [100.0, -100.0, 1e4])
def test_ratios_beyond_what_numbers_hold(name: str, shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the engine had quite other weights, and no audit looked."""

    def shifted(grown: list[TokenTree]) -> None:
        for tree in grown[:2]:
            for node in tree.nodes:
                if node.kind is Kind.POLICY:
                    node.log_probs[0] += shift

    run = Run(name, trees, monkeypatch)
    run.changed = shifted
    metrics = run.steps(2)
    assert torch.isfinite(run.after).all()
    json.dumps(metrics)
    assert all(math.isfinite(one["update"]["loss"]) for one in metrics if one["update"]["optimiser_steps"])


@each
@pytest.mark.parametrize("what", ["reward", "log-probability"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stops_in_a_sentence(
    name: str, what: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(grown: list[TokenTree]) -> None:
        if what == "reward":
            grown[1].leaves[0].rewards["total"] = value
        else:
            next(node for node in grown[1].nodes if node.kind is Kind.POLICY).log_probs[0] = value

    run = Run(name, trees, monkeypatch)
    run.changed = broken
    with pytest.raises((ValueError, FloatingPointError)) as stopped:
        run.steps(1)
    assert "NaN" in str(stopped.value) or "finite" in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert torch.equal(run.after, run.before)


@each
def test_trajectories_that_are_all_masked_are_counted_and_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut() -> list[TokenTree]:
        made = trees()
        for tree in made:
            for leaf in tree.leaves:
                leaf.stop_reason = "max_context"
        return made

    run = Run(name, cut, monkeypatch, mask_too_long="yes")
    metrics = run.steps(10)
    assert torch.equal(run.after, run.before)
    assert all(one["masked_leaves"] == one["leaves"] > 0 for one in metrics)
    assert sum("were masked as too long" in line for line in run.said) == 1
