"""Options beside the parts, exact through the tree learner: what they add to the gradient, and to nothing else.

The judge is plain automatic differentiation of the printed objective on flat rows, one trajectory at a time.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.grpo import GRPO
from algorithms.loss.kl import KlEstimator
from algorithms.options import Divergence, Mismatch
from algorithms.policy.learner import Learner, OptimiserSettings, Scores
from algorithms.policy.packing import TreeBatch
from algorithms.policy.reference import Reference
from algorithms.settings import with_settings
from algorithms.training.scoring import Scorers, with_costs
from algorithms.training.update import update
from algorithms.tree import TokenTree
from tests.algorithms.policy.shared import alone, distance, make_model
from tests.algorithms.rewarded import flat_advantage, questions, rewarded
from tests.algorithms.trees import even_tree

STEP = OptimiserSettings(lr=1e-3, weight_decay=0.0, max_grad_norm=1e9)
EXACT = 1e-9


def moved(model: Any, size: float = 0.02) -> Any:
    """A model some way off, as a reference is after training."""
    other = deepcopy(model)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=source, dtype=parameter.dtype))
    return other


def trained(
    algorithm: Algorithm, trees: list[TokenTree], budget: int = 10**6, reference: Any = None
) -> tuple[Tensor, Any, LeafBatch]:
    """The gradient of the only optimiser step of one update, its report, and the batch."""
    model = make_model()
    learner = Learner(model, STEP, budget)
    scorers = Scorers.of(algorithm, learner)
    if scorers.reference is not None:
        scorers.reference = Reference(moved(model) if reference is None else reference, budget)
    scores = learner.score(trees)
    with_log_probs = [with_sampled(tree, one) for tree, one in zip(trees, scores, strict=True)]
    batch = scorers.batch(with_log_probs, limit=100)
    found: list[Tensor] = []
    learner.optimiser.register_step_pre_hook(
        lambda *_: found.append(
            torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])
        )
    )
    report = update(
        learner, replace(algorithm, updates=1), batch, algorithm.advantages(batch), np.random.default_rng(0)
    )
    assert len(found) == 1
    return found[0], report, batch


def with_sampled(tree: TokenTree, scores: Scores) -> TokenTree:
    """The tree as if it had been sampled by the model whose scores these are."""
    made = deepcopy(tree)
    for index, offset in made.policy_offsets().items():
        node = made.nodes[index]
        here = slice(offset, offset + len(node.tokens))
        node.log_probs, node.entropies = scores.log_probs[here].tolist(), scores.entropies[here].tolist()
    return made


def flat(trees: list[TokenTree], loss: Any) -> Tensor:
    """The gradient of a loss of (log-probabilities, entropies with gradient, mask) on rows run alone."""
    model = make_model()
    batch = TreeBatch(trees)
    logp, entropies = alone(model, batch)
    loss(logp, entropies, batch.mask).backward()
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()]
    )


def policy_loss(trees: list[TokenTree], logp: Tensor, mask: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """GRPO's at the first step, with a mean over tokens."""
    advantage = flat_advantage(trees, mask, None, 0.0)
    return -(weights * (logp - logp.detach()).exp() * advantage * mask).sum() / mask.sum()


def divergence(logp: Tensor, reference: Tensor, estimator: str) -> Tensor:
    """Written down as printed."""
    y = reference - logp
    plain = {"k1": -y, "k2": y.square() / 2, "k3": y.exp() - y - 1, "absolute": y.abs()}
    return plain[estimator]


@pytest.mark.parametrize(("estimator", "budget"), [("k1", 30), ("k2", 10**6), ("k3", 30), ("absolute", 10**6)])
def test_a_divergence_in_the_loss_adds_its_gradient_on_every_question(estimator: KlEstimator, budget: int) -> None:
    trees = questions()
    found, report, _ = trained(replace(GRPO, kl=Divergence(0.3, estimator, "loss")), trees, budget)

    def loss(logp: Tensor, _: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            reference = alone(moved(make_model()), TreeBatch(trees))[0]
        added = (divergence(logp, reference, estimator) * mask).sum() / mask.sum()
        return policy_loss(trees, logp, mask) + 0.3 * added

    assert distance(found, flat(trees, loss)) < EXACT
    step = report.plain()["steps"][0]
    assert step["questions"] == 9
    assert step["uninformative"] == 2  # whose tokens are trained all the same
    assert step["trained_tokens"] == step["counted_tokens"]


def test_an_entropy_bonus_adds_the_gradient_of_the_mean_entropy() -> None:
    trees = questions()
    found, report, _ = trained(replace(GRPO, entropy_bonus=0.2), trees, budget=30)

    def loss(logp: Tensor, entropies: Tensor, mask: Tensor) -> Tensor:
        return policy_loss(trees, logp, mask) - 0.2 * (entropies * mask).sum() / mask.sum()

    assert distance(found, flat(trees, loss)) < EXACT
    plain, _, _ = trained(GRPO, trees)
    assert distance(found, plain) > 1e-3
    assert report.plain()["bonus_entropy"] > 0


def test_a_divergence_in_the_reward_changes_rewards_and_no_gradient_besides() -> None:
    trees = questions()
    algorithm = replace(GRPO, kl=Divergence(0.3, "k1", "reward"))
    found, _, batch = trained(algorithm, trees, budget=30)
    assert batch.ref_log_probs is not None
    costs = (0.3 * (batch.old_log_probs - batch.ref_log_probs) * batch.mask).sum(-1)
    torch.testing.assert_close(batch.scores, batch.rewards - costs)
    dearer = [deepcopy(tree) for tree in trees]
    for leaf, reward in zip((leaf for tree in dearer for leaf in tree.leaves), batch.scores.tolist(), strict=True):
        leaf.rewards["total"] = reward
    expected, _, _ = trained(GRPO, dearer, budget=30)
    assert distance(found, expected) < EXACT


def test_other_estimators_may_be_taken_from_the_reward_too() -> None:
    trees = questions()
    model = make_model()
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])
    reference = Reference(moved(model), 10**6).score(trees)
    batch = replace(batch, ref_log_probs=batch.on_leaves(reference, "reference"))
    found = with_costs(replace(GRPO, kl=Divergence(0.5, "k3", "reward")), batch).token_rewards
    assert found is not None
    assert batch.ref_log_probs is not None
    expected = -0.5 * divergence(batch.old_log_probs, batch.ref_log_probs, "k3")
    torch.testing.assert_close(found, torch.where(batch.mask, expected, 0.0), rtol=1e-9, atol=1e-12)


CORRECTIONS = {
    "tis": lambda r, rows, mask: r.clamp(max=2.0),
    "sequence-tis": lambda r, rows, mask: rows.clamp(max=2.0),
    "icepop": lambda r, rows, mask: torch.where((r >= 0.5) & (r <= 5.0), r, 0.0),
    "sequence-mask": lambda r, rows, mask: torch.where(rows <= 3.0, rows, 0.0),
}


@pytest.mark.parametrize("kind", CORRECTIONS)
def test_a_correction_multiplies_terms_and_leaves_denominators(kind: Any) -> None:
    """The engine's numbers are some way off the learner's, as of trees sampled at other precision."""
    trees = questions()
    model = make_model()
    learner = Learner(model, STEP, 30)
    algorithm = replace(GRPO, mismatch=Mismatch(kind), updates=1)
    batch = Scorers.of(algorithm, learner).batch(trees)  # sampled with made-up log-probabilities
    assert batch.rollout_log_probs is not None
    shift = (batch.old_log_probs - batch.rollout_log_probs) * batch.mask
    assert shift.abs().max() > 1
    near = batch.old_log_probs - 0.4 * shift  # so that some rows stay within bounds
    batch = replace(batch, rollout_log_probs=torch.where(batch.mask, near, 0.0))
    gradients: list[Tensor] = []
    learner.optimiser.register_step_pre_hook(
        lambda *_: gradients.append(
            torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])
        )
    )
    report = update(learner, algorithm, batch, algorithm.advantages(batch), np.random.default_rng(0))

    def loss(logp: Tensor, _: Tensor, mask: Tensor) -> Tensor:
        log_ratio = torch.where(mask, 0.4 * shift, 0.0)
        rows = log_ratio.sum(-1, keepdim=True).expand_as(log_ratio).exp()
        return policy_loss(trees, logp, mask, CORRECTIONS[kind](log_ratio.exp(), rows, mask))

    assert distance(gradients[0], flat(trees, loss)) < 1e-6  # scores are kept in float32's neighbourhood by the model
    assert report.plain()["correction_weight"] > 0
    assert report.plain()["correction_weight"] != 1


def test_where_sampling_and_learning_agree_a_correction_is_the_identity() -> None:
    trees = questions()
    plain, _, _ = trained(GRPO, trees)
    for kind in CORRECTIONS:
        corrected, report, _ = trained(with_settings(GRPO, {"mismatch.kind": kind}), trees)
        assert distance(corrected, plain) < EXACT
        assert report.plain()["correction_weight"] == pytest.approx(1.0)


def test_trajectories_that_were_cut_stay_in_statistics_and_leave_the_loss() -> None:
    trees = questions()
    for tree in trees:
        tree.leaves[0].stop_reason = "max_context"
    masked = replace(GRPO, mask_too_long=True)
    found, report, batch = trained(masked, trees, budget=30)
    assert torch.equal(masked.advantages(batch), GRPO.advantages(batch))

    def loss(logp: Tensor, _: Tensor, mask: Tensor) -> Tensor:
        kept = mask & ~batch.too_long[:, None]
        advantage = flat_advantage(trees, mask, None, 0.0)
        return -((logp - logp.detach()).exp() * advantage * kept).sum() / kept.sum()

    assert distance(found, flat(trees, loss)) < EXACT
    assert report.steps[0].counted_tokens == int((batch.mask & ~batch.too_long[:, None]).sum())


def test_a_batch_of_nothing_but_cut_trajectories_makes_no_step() -> None:
    trees = [rewarded(even_tree(seed, (4, 3), (3,)), seed) for seed in range(3)]
    for tree in trees:
        for leaf in tree.leaves:
            leaf.stop_reason = "max_context"
    model = make_model()
    learner = Learner(model, STEP, 10**6)
    masked = replace(GRPO, mask_too_long=True)
    batch = Scorers.of(masked, learner).batch(trees)
    report = update(learner, masked, batch, masked.advantages(batch), np.random.default_rng(0))
    assert (len(report.steps), report.idle, learner.steps) == (0, 4, 0)


def test_what_an_algorithm_needs_and_a_batch_lacks_is_named() -> None:
    trees = questions()
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])
    for changes, need in (
        ({"kl.coefficient": "0.1"}, "reference"),
        ({"kl.coefficient": "0.1", "kl.place": "reward"}, "reference"),
        ({"mismatch.kind": "icepop"}, "rescored"),
    ):
        with pytest.raises(ValueError, match=f"grpo needs {need}, but the batch has none"):
            with_settings(GRPO, changes).advantages(batch)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kl.coefficient": "-1"}, "kl.coefficient from 0"),
        ({"kl.estimator": "k4"}, "kl.estimator takes"),
        ({"mismatch.kind": "tis", "mismatch.lowest": "0.5"}, "Truncation cuts great ratios alone"),
        ({"mismatch.kind": "icepop", "mismatch.lowest": "1.5"}, "bounds of ratios"),
        ({"entropy_bonus": "-0.1"}, "a weight from 0"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(changes: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        with_settings(GRPO, changes)
