"""Each loss against its published formula, differentiated by torch: min, max, clip and stop-gradients as printed."""

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given
from torch import Tensor

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.cispo import cispo
from algorithms.loss.clip import clip
from algorithms.loss.gradient_preserving import gradient_preserving_clip
from algorithms.loss.reinforce import reinforce
from algorithms.loss.sequence_ratio import sequence_clip
from tests.algorithms.batches import Batch, Loss, batches, quick

Formula = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def with_dual(objective: Tensor, advantage: Tensor, dual: float) -> Tensor:
    return torch.where(advantage < 0, torch.maximum(objective, dual * advantage), objective)


def ppo(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    ratio = (logp - old).exp()
    return with_dual(torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.28) * advantage), advantage, 3.0)


def aepo(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    ratio = (logp - old).exp()
    clipped = torch.minimum(torch.maximum(ratio, torch.tensor(0.8, dtype=ratio.dtype)), 1.28 / ratio.detach() * ratio)
    return with_dual(torch.minimum(ratio * advantage, clipped * advantage), advantage, 3.0)


def gppo(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    ratio = (logp - old).exp()
    unit = ratio / ratio.detach()
    clipped = torch.minimum(torch.maximum(ratio, 0.8 * unit), 1.28 * unit)
    return torch.minimum(ratio * advantage, clipped * advantage)


def cispo_printed(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return (logp - old).exp().clamp(0.5, 1.28).detach() * advantage * logp


def gspo(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    lengths = mask.sum(-1, keepdim=True).clamp(min=1)
    mean = ((logp - old) * mask).sum(-1, keepdim=True) / lengths
    ratio = mean.detach().exp() * (logp - logp.detach()).exp()  # GSPO-token
    return torch.minimum(ratio * advantage, ratio.clamp(0.9, 1.1) * advantage)


def plain(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return advantage * logp


PAIRS: dict[str, tuple[Loss, Formula]] = {
    "ppo": (lambda *b: clip(*b, high=0.28, dual=3.0, log_ratio_bound=None), ppo),
    "aepo": (lambda *b: balanced_clip(*b, high=0.28, dual=3.0, log_ratio_bound=None), aepo),
    "gppo": (lambda *b: gradient_preserving_clip(*b, high=0.28, dual=None, log_ratio_bound=None), gppo),
    "cispo": (lambda *b: cispo(*b, lowest=0.5, highest=1.28, log_ratio_bound=None), cispo_printed),
    "gspo": (lambda *b: sequence_clip(*b, low=0.1, high=0.1, log_ratio_bound=None), gspo),
    "reinforce": (lambda logp, old, advantage, mask: reinforce(logp, advantage, mask), plain),
}


@pytest.mark.parametrize("name", PAIRS)
@quick
@given(batch=batches)
def test_value_and_gradient_are_the_formulas(name: str, batch: Batch) -> None:
    loss, formula = PAIRS[name]
    ours, theirs = (batch.logp.clone().requires_grad_() for _ in range(2))
    terms = loss(ours, batch.old_logp, batch.advantage, batch.mask)
    objective = formula(theirs, batch.old_logp, batch.advantage, batch.mask) * batch.mask
    terms.loss.sum().backward()
    (-objective).sum().backward()
    torch.testing.assert_close(-terms.loss, objective, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)
    assert ours.grad is not None
    torch.testing.assert_close(-ours.grad, terms.factor * batch.mask, rtol=1e-12, atol=1e-12)


def test_the_sequence_ratio_of_rloo_differentiates_the_whole_row() -> None:
    """Summed over a row, terms and gradients are those of min(s A, clip(s) A) with s = exp(sum of log-ratios)."""
    generator = torch.Generator().manual_seed(0)
    logp = (-torch.rand(20, 6, dtype=torch.float64, generator=generator)).requires_grad_()
    old, mask = -torch.rand(20, 6, dtype=torch.float64, generator=generator), torch.ones(20, 6)
    advantage = torch.randn(20, 1, dtype=torch.float64, generator=generator)
    ratio = (logp - old).sum(-1, keepdim=True).exp()
    objective = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    (expected,) = torch.autograd.grad(objective.sum(), logp)
    terms = sequence_clip(logp, old, advantage.expand(20, 6), mask, low=0.2, high=0.2, length_normalised=False)
    (found,) = torch.autograd.grad(-terms.loss.sum(), logp)
    torch.testing.assert_close(-terms.loss.sum(-1), objective.squeeze(-1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
