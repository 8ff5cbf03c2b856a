"""Losses at the edges: NaN and infinities, ratios beyond what floats hold, empty rows, half precision, wrong calls."""

import math
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from torch import Tensor

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.cispo import cispo
from algorithms.loss.clip import clip
from algorithms.loss.gradient_preserving import gradient_preserving_clip
from algorithms.loss.reinforce import reinforce
from algorithms.loss.sequence_ratio import sequence_clip
from algorithms.loss.terms import PolicyTerms, clip_counts
from tests.algorithms.batches import Loss, outcome, random_batch

ALL: dict[str, Loss] = {
    "clip": clip,
    "balanced": balanced_clip,
    "preserving": gradient_preserving_clip,
    "cispo": cispo,
    "sequence": sequence_clip,
    "whole sequence": lambda *b: sequence_clip(*b, length_normalised=False),
    "reinforce": lambda logp, old, advantage, mask: reinforce(logp, advantage, mask),
}
each_loss = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())


# REINFORCE reads no old log-probabilities.
READ = [(name, field) for name in ALL for field in ("logp", "old_logp", "advantage")]
READ.remove(("reinforce", "old_logp"))


def one_token(log_ratio: float, advantage: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A row of one token: logp (with gradient), old_logp, advantage, mask."""
    logp = torch.tensor([[-1.0]], dtype=dtype, requires_grad=True)
    return logp, logp.detach() - log_ratio, torch.full_like(logp, advantage).detach(), torch.ones(1, 1)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_ratio", [-1000.0, -100.0, -21.0, 21.0, 100.0, 1000.0])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
def test_extreme_ratios_stay_finite(loss: Loss, dtype: torch.dtype, log_ratio: float, advantage: float) -> None:
    logp, old, weight, mask = one_token(log_ratio, advantage, dtype)
    loss_term = loss(logp, old, weight, mask).loss
    loss_term.sum().backward()
    assert logp.grad is not None
    assert torch.isfinite(loss_term).all()
    assert torch.isfinite(logp.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bound", [20.0, None])
@pytest.mark.parametrize(
    ("log_ratio", "advantage", "value", "factor"),
    [(100.0, 2.0, 2.4, 2.4), (100.0, -2.0, -6.0, 0.0), (-100.0, -2.0, -1.6, 0.0), (100.0, 0.0, 0.0, 0.0)],
)
def test_the_balanced_clip_keeps_its_exact_values_at_e100(
    dtype: torch.dtype, bound: float | None, log_ratio: float, advantage: float, value: float, factor: float
) -> None:
    """Even without a bound on the log-ratio, where the ratio itself is infinite in float32."""
    logp, old, weight, mask = one_token(log_ratio, advantage, dtype)
    terms = balanced_clip(logp, old, weight, mask, log_ratio_bound=bound)
    terms.loss.sum().backward()
    assert logp.grad is not None
    assert -terms.loss.item() == pytest.approx(value, rel=1e-6)
    assert -logp.grad.item() == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize(("loss", "bound"), [(clip, 20.0), (balanced_clip, 20.0), (sequence_clip, 10.0)])
@pytest.mark.parametrize(("excess", "factor"), [(-0.01, math.exp(-0.01)), (0.01, 0.0)])
def test_beyond_its_bound_a_ratio_is_cut_and_has_no_gradient(
    loss: Callable[..., PolicyTerms], bound: float, excess: float, factor: float
) -> None:
    settings = {} if loss is sequence_clip else {"dual": None}
    terms = loss(*one_token(bound + excess, -1.0, torch.float64), **settings)
    assert terms.loss.item() == pytest.approx(math.exp(bound + min(excess, 0)), rel=1e-9)
    assert -terms.factor.item() == pytest.approx(math.exp(bound) * factor, rel=1e-9)


@each_loss
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["logp", "old_logp", "advantage"])
def test_poison_outside_the_mask_changes_nothing(loss: Loss, poison: float, field: str) -> None:
    batch = random_batch(3)
    clean = outcome(loss, batch)
    values = torch.where(batch.mask.bool(), getattr(batch, field), poison)
    poisoned = outcome(loss, batch._replace(**{field: values}))
    assert torch.equal(poisoned.loss, clean.loss)
    assert torch.equal(poisoned.gradient, clean.gradient)
    assert not poisoned.terms.unusable.any()


@pytest.mark.parametrize(("name", "field"), READ)
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_poison_on_a_trained_token_costs_that_token_alone_and_is_counted(name: str, field: str, poison: float) -> None:
    loss = ALL[name]
    batch = random_batch(3)
    row, column = batch.mask.nonzero()[2].tolist()
    values = getattr(batch, field).clone()
    values[row, column] = poison
    found = outcome(loss, batch._replace(**{field: values}))
    without = batch.mask.clone()
    without[row, column] = 0
    assert found.terms.unusable.nonzero().tolist() == [[row, column]]
    assert clip_counts(found.terms, batch.mask).unusable == 1
    expected = loss(batch.logp, batch.old_logp, batch.advantage, without)
    assert torch.equal(found.terms.loss, expected.loss)
    assert torch.isfinite(found.gradient).all()
    assert found.gradient[row, column] == 0


@each_loss
def test_nothing_to_train_is_a_loss_of_zero(loss: Loss) -> None:
    batch = random_batch(4)
    empty = outcome(loss, batch._replace(mask=torch.zeros_like(batch.mask)))
    assert empty.loss == 0
    assert not empty.gradient.any()


@each_loss
def test_half_precision_is_computed_in_float32(loss: Loss) -> None:
    """A ratio of 1.001 is none to bfloat16; inputs may be stored so, differences are not taken so."""
    batch = random_batch(5)
    halves = [batch.logp.bfloat16(), batch.old_logp.bfloat16(), batch.advantage.float(), batch.mask]
    floats = [halves[0].float(), halves[1].float(), *halves[2:]]
    assert torch.equal(loss(*halves).loss, loss(*floats).loss)


@each_loss
def test_terms_have_the_precision_of_logp(loss: Loss) -> None:
    """Advantages are computed in float64; they must not double the memory of every term."""
    batch = random_batch(6)
    terms = loss(batch.logp.float(), batch.old_logp.float(), batch.advantage, batch.mask)
    assert (terms.loss.dtype, terms.factor.dtype) == (torch.float32, torch.float32)


@each_loss
def test_no_gradient_reaches_anything_but_logp(loss: Loss) -> None:
    batch = random_batch(6)
    leaves = [field.clone().requires_grad_() for field in (batch.logp, batch.old_logp, batch.advantage)]
    loss(*leaves, batch.mask).loss.sum().backward()
    assert leaves[0].grad is not None
    assert leaves[1].grad is None
    assert leaves[2].grad is None


@each_loss
def test_advantages_per_row_are_refused(loss: Loss) -> None:
    batch = random_batch(7)
    with pytest.raises(ValueError, match=r"\[rows, tokens\]"):
        loss(batch.logp, batch.old_logp, batch.advantage[:, :1], batch.mask)


@pytest.mark.parametrize("settings", [{"low": 1.2}, {"high": -0.1}, {"dual": 1.1}])
def test_bounds_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    batch = random_batch(8)
    for loss in (clip, balanced_clip, gradient_preserving_clip):
        with pytest.raises(ValueError, match=r"clip|bounds"):
            loss(batch.logp, batch.old_logp, batch.advantage, batch.mask, **settings)


def test_a_relative_cispo_bound_is_refused() -> None:
    batch = random_batch(8)
    with pytest.raises(ValueError, match="ratios around 1"):
        cispo(batch.logp, batch.old_logp, batch.advantage, batch.mask, highest=0.2)
