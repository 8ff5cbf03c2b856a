"""Divergence estimators and the critic's loss against autograd, exact expectations and finite cuts."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from torch import Tensor

from algorithms.loss.kl import KlEstimator, kl_reward, kl_terms
from algorithms.loss.value import value_terms


def distributions() -> tuple[Tensor, Tensor]:
    """Log-probabilities of a policy (with gradient in its logits) and a reference over 5 tokens."""
    logits = torch.tensor([0.3, -1.0, 0.8, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([0.0, 0.4, 0.2, -0.6, 1.0], dtype=torch.float64), -1)
    return logits, reference


@pytest.mark.parametrize("estimator", ["k1", "k3", "k3-with-k2"])
def test_estimators_are_unbiased(estimator: KlEstimator) -> None:
    """Averaged over the policy itself, the value is KL(policy || reference)."""
    logits, reference = distributions()
    logp = torch.log_softmax(logits, -1).detach()
    exact = (logp.exp() * (logp - reference)).sum()
    terms = kl_terms(logp[None], reference[None], torch.ones(1, 5), estimator)
    torch.testing.assert_close((logp.exp() * terms.loss[0]).sum(), exact, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("estimator", ["k2", "k3-with-k2"])
def test_only_some_estimators_have_the_gradient_of_the_divergence(estimator: KlEstimator) -> None:
    """k2's expected gradient is that of KL(policy || reference); k1's is 0 and k3's another one."""

    def expected_gradient(kind: KlEstimator) -> Tensor:
        logits, reference = distributions()
        logp = torch.log_softmax(logits, -1)
        terms = kl_terms(logp[None], reference[None], torch.ones(1, 5), kind)
        (gradient,) = torch.autograd.grad((logp.detach().exp() * terms.loss[0]).sum(), logits)
        return gradient

    logits, reference = distributions()
    logp = torch.log_softmax(logits, -1)
    (exact,) = torch.autograd.grad((logp.exp() * (logp - reference)).sum(), logits)
    torch.testing.assert_close(expected_gradient(estimator), exact, rtol=1e-12, atol=1e-14)
    assert expected_gradient("k1").abs().max() < 1e-15
    assert (expected_gradient("k3") - exact).abs().max() > 1e-2


@pytest.mark.parametrize("difference", [-1000.0, -50.0, 50.0, 1000.0])
def test_far_from_the_reference_k3_stays_finite(difference: float) -> None:
    logp = torch.tensor([[-1.0]], requires_grad=True)
    terms = kl_terms(logp, logp.detach() + difference, torch.ones(1, 1), "k3")
    terms.loss.sum().backward()
    cut = max(-20.0, min(20.0, difference))
    assert terms.loss.item() == pytest.approx(math.exp(cut) - cut - 1, rel=1e-5)
    assert logp.grad is not None
    assert logp.grad.item() == 0.0  # beyond the bound


def test_a_reference_of_minus_infinity_is_counted() -> None:
    terms = kl_terms(torch.zeros(1, 2), torch.tensor([[0.0, -math.inf]]), torch.ones(1, 2))
    assert terms.unusable.tolist() == [[False, True]]
    assert terms.loss.tolist() == [[0.0, 0.0]]


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="k3-with-k2"):
        kl_terms(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1), "k4")


def test_divergence_in_the_reward_is_charged_on_trained_tokens() -> None:
    found = kl_reward(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-3.0, -3.0]]), torch.tensor([[1, 0]]), 0.5)
    assert found.tolist() == [[-1.0, 0.0]]


def test_the_critic_stops_outside_its_band() -> None:
    """The clipped branch wins outside the band and has no gradient; moving back into it always has one."""
    values = torch.tensor([[0.4, 0.9, -0.9, 0.9]], dtype=torch.float64, requires_grad=True)
    old, returns = torch.zeros(1, 4).double(), torch.tensor([[1.0, 1.0, 1.0, -1.0]], dtype=torch.float64)
    terms = value_terms(values, old, returns, torch.ones(1, 4), width=0.5)
    terms.sum().backward()
    expected = [0.5 * 0.36, 0.5 * 0.25, 0.5 * 3.61, 0.5 * 3.61]
    torch.testing.assert_close(terms, torch.tensor([expected], dtype=torch.float64))
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.tensor([[-0.6, 0.0, -1.9, 1.9]], dtype=torch.float64))


def test_the_critic_reads_nothing_outside_the_mask() -> None:
    values = torch.tensor([[1.0, math.nan]], requires_grad=True)
    terms = value_terms(values, torch.zeros(1, 2), torch.full((1, 2), math.nan).nan_to_num(2.0), torch.tensor([[1, 0]]))
    terms.sum().backward()
    assert torch.isfinite(terms).all()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
