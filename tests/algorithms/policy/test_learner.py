"""The learner: its scores, its optimiser, and that broken numbers never reach the weights."""

import math
from copy import deepcopy
from typing import Any

import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from torch import Tensor

from algorithms.policy.learner import Learner, OptimiserSettings, Scores
from algorithms.policy.packing import TreeBatch
from algorithms.tree import TokenTree
from tests.algorithms.policy.shared import alone, distance, make_model
from tests.algorithms.rewarded import questions, weights

SETTINGS = OptimiserSettings(lr=1e-2)


def negative_sum(_: int, batch: TreeBatch, log_probs: Tensor) -> Tensor:
    return -log_probs[batch.mask].sum() / 100


@pytest.mark.parametrize("budget", [10**6, 60, 1])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_scores_are_those_of_trajectories_alone_in_the_trees_own_numbering(budget: int, temperature: float) -> None:
    model, trees = make_model(), questions()
    trees.insert(4, TokenTree("silent", [1, 2]))
    trees[4].add_leaf(0, "answered", {"total": 0.0})
    scores = Learner(model, SETTINGS, budget, temperature).score(trees)
    for tree, (log_probs, entropies) in zip(trees, scores, strict=True):
        with torch.no_grad():
            expected, uncertain = alone(model, TreeBatch([tree]), temperature) if tree.question != "silent" else (0, 0)
        rows = tree.rows()
        assert log_probs.shape == (len(tree.policy_log_probs()),)
        assert (torch.from_numpy(rows.gather(log_probs.numpy())) - expected).abs().max() < 1e-10
        assert entropies is not None
        assert (torch.from_numpy(rows.gather(entropies.numpy())) - uncertain).abs().max() < 1e-10
        assert not log_probs.requires_grad


def test_a_step_forwards_at_the_temperature_of_scoring() -> None:
    trees, seen = questions()[:2], []
    learner = Learner(make_model(), SETTINGS, 100, temperature=0.6)
    expected = torch.cat([scores.log_probs for scores in learner.score(trees)])

    def loss(_: int, batch: TreeBatch, log_probs: Tensor) -> Tensor:
        seen.append((log_probs.detach(), batch.on_leaves(expected)))
        return log_probs.sum()

    learner.step(trees, [[0, 1]], loss)
    ((found, scored),) = seen
    torch.testing.assert_close(found, scored, rtol=0, atol=1e-12)


def test_entropies_are_left_out_on_request() -> None:
    assert all(
        scores.entropies is None
        for scores in Learner(make_model(), SETTINGS, 100).score(questions(), with_entropies=False)
    )


def test_the_engines_own_numbers_are_taken_as_they_are() -> None:
    tree = questions()[8]
    scores = Scores.sampled(tree)
    assert scores.log_probs.tolist() == tree.policy_log_probs().tolist()
    assert scores.entropies is not None
    assert scores.entropies.tolist() == tree.policy_entropies().tolist()


def test_micro_batches_add_up_to_one_step() -> None:
    model, trees = make_model(), questions()
    reference = deepcopy(model)
    whole, cut = Learner(reference, SETTINGS, 100), Learner(model, SETTINGS, 100)
    one = whole.step(trees, [[0, 3, 5, 8]], negative_sum)
    several = cut.step(trees, [[5], [0, 8], [3]], negative_sum)
    assert several.loss == pytest.approx(one.loss, rel=1e-12)
    assert several.grad_norm == pytest.approx(one.grad_norm, rel=1e-12)
    assert (one.micro_batches, several.micro_batches, cut.steps) == (1, 3, 1)
    assert one.unique_tokens == several.unique_tokens == sum(trees[i].unique_tokens() for i in (0, 3, 5, 8))
    assert several.raw_tokens == sum(trees[i].raw_tokens() for i in (0, 3, 5, 8))
    assert distance(weights(model), weights(reference)) < 1e-9
    with pytest.raises(ValueError, match="at least one micro-batch"):
        cut.step(trees, [], negative_sum)


def test_a_step_raises_the_log_probabilities_it_was_asked_to_raise() -> None:
    model, trees = make_model(), questions()[:1]
    learner = Learner(model, OptimiserSettings(lr=1e-4), 100)
    before = learner.score(trees)[0].log_probs.sum()
    learner.step(trees, [[0]], negative_sum)
    assert learner.score(trees)[0].log_probs.sum() > before


def broken_loss(_: int, batch: TreeBatch, log_probs: Tensor) -> Tensor:
    return log_probs.sum() * math.inf


def broken_gradient(_: int, batch: TreeBatch, log_probs: Tensor) -> Tensor:
    zeros = (log_probs - log_probs.detach())[batch.mask]
    return torch.sqrt(zeros.square()).sum()  # 0, with the gradient 0 / 0


@pytest.mark.parametrize(("loss", "said"), [(broken_loss, "loss of micro-batch 2"), (broken_gradient, "the norm nan")])
def test_a_broken_loss_or_gradient_leaves_weights_and_optimiser_alone(loss: Any, said: str) -> None:
    model, trees = make_model(), questions()
    learner, twin = Learner(model, SETTINGS, 100), Learner(deepcopy(model), SETTINGS, 100)
    learner.step(trees, [[0]], negative_sum)
    twin.step(trees, [[0]], negative_sum)
    with pytest.raises(FloatingPointError, match=said):
        learner.step(trees, [[1], [2]], lambda n, *rest: negative_sum(n, *rest) if n == 0 else loss(n, *rest))
    assert learner.steps == 1
    assert all(parameter.grad is None for parameter in model.parameters())
    learner.step(trees, [[3]], negative_sum)
    twin.step(trees, [[3]], negative_sum)
    assert torch.equal(weights(model), weights(twin.model))


def test_scores_that_are_not_finite_are_an_error() -> None:
    model = make_model()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    with pytest.raises(FloatingPointError, match="Scoring gave"):
        Learner(model, SETTINGS, 100).score(questions())


def test_the_gradient_is_shortened_and_its_whole_length_reported() -> None:
    model = make_model()
    learner = Learner(model, OptimiserSettings(lr=1e-3, max_grad_norm=1e-3), 100)
    numbers = learner.step(questions(), [[0]], negative_sum)
    length = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    assert numbers.grad_norm > 0.1
    assert float(length) == pytest.approx(1e-3, rel=1e-4)


def test_the_learning_rate_warms_up_and_stays() -> None:
    learner = Learner(make_model(), OptimiserSettings(lr=1e-3, warmup_steps=3), 100)
    rates = [learner.step(questions(), [[0]], negative_sum).learning_rate for _ in range(5)]
    assert rates == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3, 1e-3])
    assert OptimiserSettings(lr=2.0).rate(0) == 2.0


FALLING = {"linear": [1, 1, 0.75, 0.5, 0.25, 0.1, 0.1], "cosine": [1, 1, 0.868198, 0.55, 0.231802, 0.1, 0.1]}


@pytest.mark.parametrize(("fall", "shares"), FALLING.items())
def test_the_learning_rate_falls_to_its_lowest_and_stays_there(fall: Any, shares: list[float]) -> None:
    settings = OptimiserSettings(lr=2e-3, fall=fall, lowest=0.1)
    learner = Learner(make_model(), settings, 100, falling=range(1, 5))
    rates = [learner.step(questions(), [[0]], negative_sum).learning_rate for _ in shares]
    assert rates == pytest.approx([2e-3 * share for share in shares], rel=1e-5)


def test_where_it_rises_and_falls_at_once_the_lower_of_both_holds() -> None:
    settings = OptimiserSettings(lr=1.0, warmup_steps=4, lowest=0.0)
    assert [settings.rate(step, range(8)) for step in range(9)] == pytest.approx(
        [0.25, 0.5, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]
    )


def test_matrices_decay_and_vectors_do_not() -> None:
    def moved(decay: float) -> list[Tensor]:
        model = make_model()
        Learner(model, OptimiserSettings(lr=1e-2, weight_decay=decay), 100).step(questions(), [[0]], negative_sum)
        return [parameter.detach() for parameter in model.parameters()]

    start = list(make_model().parameters())
    for before, plain, decayed in zip(start, moved(0.0), moved(0.5), strict=True):
        share = 5e-3 if before.ndim > 1 else 0.0
        torch.testing.assert_close(plain - decayed, share * before.detach(), rtol=1e-6, atol=1e-12)


def test_a_restored_learner_goes_on_to_the_last_bit() -> None:
    model, trees = make_model(), questions()
    settings = OptimiserSettings(lr=1e-2, warmup_steps=4)
    learner = Learner(model, settings, 100)
    learner.step(trees, [[0]], negative_sum)
    state, twin = deepcopy(learner.state_dict()), deepcopy(model)
    restored = Learner(twin, settings, 100)
    restored.load_state_dict(state)
    for each in (learner, restored):
        each.step(trees, [[1], [3]], negative_sum)
    assert torch.equal(weights(model), weights(twin))
    fresh = Learner(deepcopy(twin), settings, 100)
    for each in (learner, fresh):
        each.step(trees, [[1], [3]], negative_sum)
    assert not torch.equal(weights(learner.model), weights(fresh.model))
    with pytest.raises(ValueError, match="Expected a learner's state"):
        fresh.load_state_dict({"optimiser": {}})


def test_settings_at_construction_outlive_a_restored_state() -> None:
    first = Learner(make_model(), OptimiserSettings(lr=1e-2), 100)
    second = Learner(make_model(), OptimiserSettings(lr=1e-3, betas=(0.8, 0.9), weight_decay=0.3), 100)
    second.load_state_dict(first.state_dict())
    group = second.optimiser.param_groups[0]
    assert (group["betas"], group["weight_decay"]) == ((0.8, 0.9), 0.3)
    assert second.step(questions(), [[0]], negative_sum).learning_rate == 1e-3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lr": 0.0}, "lr and max_grad_norm"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"weight_decay": -1.0}, "from 0"),
        ({"warmup_steps": -1}, "from 0"),
        ({"fall": "exponential"}, "optimiser.fall is linear or cosine"),
        ({"lowest": 1.5}, "lowest as a share"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        OptimiserSettings(**{"lr": 1e-3, **change})


def test_models_that_would_not_learn_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got torch\.bfloat16: load the model"):
        Learner(make_model(dtype=torch.bfloat16), SETTINGS, 100)
    frozen = make_model()
    frozen.requires_grad_(False)
    with pytest.raises(ValueError, match="got none"):
        Learner(frozen, SETTINGS, 100)
    for budget, temperature in ((0, 1.0), (10, 0.0)):
        with pytest.raises(ValueError, match="positive token budget"):
            Learner(make_model(), SETTINGS, budget, temperature)
