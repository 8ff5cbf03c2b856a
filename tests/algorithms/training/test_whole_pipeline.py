"""AEPO, ARPO and GRPO through the whole pipeline: what they share, what they do not, and flat rows as the judge."""

import json
from copy import deepcopy
from dataclasses import replace
from types import MethodType
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from torch import Tensor

from algorithms.algorithm import LeafBatch
from algorithms.policy.learner import Learner, OptimiserSettings, Scores
from algorithms.training import trainer as module
from algorithms.training.measures import without_timings
from algorithms.training.trainer import algorithm_of
from algorithms.training.update import deal, update
from algorithms.tree import TokenTree
from tests.algorithms.policy.shared import distance, exact_norm
from tests.algorithms.rewarded import flat_update
from tests.algorithms.training.small import config, policy, trainer, weights

OFF = {
    "rollout.premonitor": "no",
    "rollout.initial": "4",
    "rollout.rule.penalty": "0",
    "advantage.weight": "0",
    "loss.balanced": "no",
}
EXACT = 1e-7
# Steps so long that clips act within two steps of two updates.
FAR = OptimiserSettings(lr=5e-3, weight_decay=0.1, max_grad_norm=0.5)


def run(monkeypatch: pytest.MonkeyPatch, wanted: Any, count: int = 2) -> tuple[list[Any], Tensor, list[TokenTree]]:
    """Metrics, final weights, and all trees as they were trained on."""
    trees: list[TokenTree] = []

    def watched(learner: Any, algorithm: Any, batch: LeafBatch, *rest: Any) -> Any:
        trees.extend(deepcopy(batch.trees))
        return update(learner, algorithm, batch, *rest)

    made = trainer(wanted)
    with monkeypatch.context() as patched:
        patched.setattr(module, "update", watched)
        metrics = [without_timings(made.step()) for _ in range(count)]
    for one in metrics:
        del one["parts"]  # what the algorithm has, acting or not
    made.close()
    return metrics, weights(made.policy.model), trees


def test_aepo_with_every_part_off_is_grpo(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = {"questions": 6, "optimiser": FAR}
    ours, after, trees = run(monkeypatch, config(settings={**OFF, "updates": 4}, **alike))
    theirs, expected, others = run(monkeypatch, config(algorithm="grpo", settings={"updates": 4}, **alike))
    assert [tree.to_plain() for tree in trees] == [tree.to_plain() for tree in others]
    assert ours == theirs
    assert torch.equal(after, expected)
    assert sum(one["update"]["clipped_high"] + one["update"]["clipped_low"] for one in ours) > 0  # clips did act
    assert max(one["update"]["optimiser_steps"] for one in ours) > 1


@pytest.mark.parametrize("part", [name for name in OFF if name != "rollout.initial"])
def test_each_part_alone_makes_a_difference(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    on = {name: value for name, value in OFF.items() if name != part}
    if part == "rollout.premonitor":
        on.pop("rollout.initial")
    if part == "rollout.rule.penalty":  # a penalty needs forks: compare with forks and none
        forking = {**OFF, "rollout.initial": "1", "rollout.rule.base": "1", "rollout.rule.weight": "0"}
        penalty = {"rollout.rule.penalty": "1"}
        free, never_twice = (
            run(monkeypatch, config(settings=one, questions=8))[0] for one in (forking, forking | penalty)
        )
        # A path that just forked never does at once again; without the penalty, every one does.
        assert all(one["rollout"]["not_forked"].keys() <= {"budget"} for one in free)  # all that the budget allows
        assert sum(one["rollout"]["not_forked"].get("draw", 0) for one in never_twice) > 0
        return
    changed = run(monkeypatch, config(settings={**on, "updates": 4}, optimiser=FAR))
    off = run(monkeypatch, config(settings={**OFF, "updates": 4}, optimiser=FAR))
    acted = part != "loss.balanced" or any(one["update"]["kept_gradient"] for one in changed[0])
    assert torch.equal(changed[1], off[1]) != acted  # a balanced clip acts where a rising token was clipped
    grown_alike = changed[2][0].to_plain() == off[2][0].to_plain()
    assert grown_alike == (part != "rollout.premonitor")


@pytest.fixture(scope="module")
def stored() -> list[TokenTree]:
    """Trees of one trainer's step of AEPO, as they come back from a trace."""
    kept: list[TokenTree] = []

    def watched(learner: Any, algorithm: Any, batch: LeafBatch, *rest: Any) -> Any:
        kept.extend(TokenTree.from_plain(json.loads(json.dumps(tree.to_plain()))) for tree in batch.trees)
        return update(learner, algorithm, batch, *rest)

    made = trainer(config(questions=6, temperature=1.0))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "update", watched)
        metrics = made.step()
    made.close()
    assert metrics["rollout"]["forks"] > 0
    assert metrics["rollout"]["tool_calls"]["python"] > 0
    return kept


@pytest.mark.parametrize("name", ["aepo", "grpo"])
def test_a_stored_batch_gives_the_loss_and_gradients_of_flat_rows(stored: list[TokenTree], name: str) -> None:
    algorithm = algorithm_of(config(algorithm=name))
    algorithm = replace(algorithm, updates=3)
    model = policy().model.double()
    for part in model.modules():
        if type(part).__name__.endswith("RMSNorm"):  # that of transformers is in float32 whatever it gets
            part.forward = MethodType(exact_norm, part)
    flat = deepcopy(model)
    learner = Learner(model, FAR, 2_000)
    gradients: list[Tensor] = []
    learner.optimiser.register_step_pre_hook(
        lambda *_: gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    )
    batch = LeafBatch.of(stored, learner.score(stored))
    advantage = algorithm.advantages(batch)
    informative = batch.informative(advantage).tolist()
    assert sum(informative) > 1
    dealt = deal(informative, 3, np.random.default_rng(0))
    report = update(learner, algorithm, batch, advantage, np.random.default_rng(0))
    own = name == "aepo"
    theirs = flat_update(flat, stored, dealt, FAR, entropy_weight=0.2 if own else 0.0, balanced=own)
    assert len(report.steps) == len(theirs) == len(gradients) > 1
    for step, gradient, expected in zip(report.steps, gradients, theirs, strict=True):
        assert step.numbers.loss == pytest.approx(expected.loss, rel=EXACT)
        assert step.numbers.grad_norm == pytest.approx(float(expected.gradient.norm()), rel=EXACT)
        shortened = expected.gradient * min(1.0, FAR.max_grad_norm / (float(expected.gradient.norm()) + 1e-6))
        assert distance(gradient, shortened) < EXACT
    assert distance(weights(model), weights(flat)) < EXACT


def test_gradients_of_aepo_and_grpo_differ_where_the_formulas_say(stored: list[TokenTree]) -> None:
    """With respect to log-probabilities, away from the old ones so that clips act."""
    aepo, grpo = algorithm_of(config()), algorithm_of(config(algorithm="grpo"))
    batch = LeafBatch.of(stored, [Scores.sampled(tree) for tree in stored])
    assert batch.entropies is not None
    mask, entropies = batch.mask, batch.entropies
    away = 0.6 * torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(mask.shape))) * mask
    found = []
    for algorithm in (aepo, grpo):
        advantage = algorithm.advantages(batch)
        logp = (batch.old_log_probs + away).clone().requires_grad_()
        algorithm.loss(logp, batch.old_log_probs, advantage, mask).loss[mask].sum().backward()
        assert logp.grad is not None
        found.append((advantage, logp.grad))
    (ours, ours_gradient), (theirs, theirs_gradient) = found
    standard = (entropies - entropies[mask].mean()) / entropies[mask].std()
    weight = torch.where(mask, (1 + 0.2 * standard).clamp(min=0), 0.0)
    torch.testing.assert_close(ours, theirs * weight)
    ratio = away.exp()
    rising = (theirs > 0) & (ratio > 1.2) & mask  # clipped by GRPO; AEPO keeps (1 + 0.2) A
    assert rising.any()
    assert not theirs_gradient[rising].any()
    torch.testing.assert_close(ours_gradient[rising], -1.2 * ours[rising])
    others = mask & ~rising
    torch.testing.assert_close(ours_gradient[others], (theirs_gradient * weight)[others])
    assert not ours_gradient[~mask].any()


def test_what_was_sampled_is_what_the_learner_scores(stored: list[TokenTree]) -> None:
    scored = Learner(policy().model, FAR, 4_096).score(stored)
    for tree, one in zip(stored, scored, strict=True):
        sampled = Scores.sampled(tree)
        assert (one.log_probs - sampled.log_probs).abs().max() < 1e-4
        assert one.entropies is not None
        assert sampled.entropies is not None
        assert (one.entropies - sampled.entropies).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["aepo", "arpo"])
def test_official_variants_run_too(name: str) -> None:
    made = trainer(config(algorithm=name, variant="official", questions=2, token_budget=300))
    metrics = made.step()
    assert metrics["leaves"] == 8
    assert metrics["rollout"]["roots"] == [(2, 2)]  # half of the budget
    made.close()
