"""Clip-Cov and KL-Cov: which tokens are chosen, and what the choice does to loss and gradient."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.loss.clip import clip
from algorithms.loss.covariance import (
    between,
    chosen_at_random,
    dropped,
    kl_cov,
    most_covariant,
    token_covariance,
)
from tests.algorithms.batches import Batch, batches, outcome, quick, random_batch


@quick
@given(batch=batches)
def test_shares_sum_to_the_covariance(batch: Batch) -> None:
    trained = batch.mask.bool()
    found = token_covariance(batch.logp, batch.advantage, batch.mask)
    assert bool((found[~trained] == -math.inf).all())
    if trained.sum() > 1:
        pair = torch.stack([batch.logp[trained], batch.advantage[trained]])
        torch.testing.assert_close(found[trained].mean(), torch.cov(pair, correction=0)[0, 1], rtol=1e-9, atol=1e-12)


@quick
@given(batch=batches, share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), seed=st.integers(0, 1000))
def test_the_chosen_are_trained_tokens_of_the_stated_number(batch: Batch, share: float, seed: int) -> None:
    covariance = token_covariance(batch.logp, batch.advantage, batch.mask)
    trained = int(batch.mask.sum())
    most = most_covariant(covariance, batch.mask, share)
    expected = min(trained, max(1, int(share * trained)))
    assert int(most.sum()) == expected
    assert not (most & ~batch.mask.bool()).any()
    if 0 < expected < trained:
        assert covariance[most].min() >= covariance[batch.mask.bool() & ~most].max()
    draws = torch.rand(batch.mask.shape, generator=torch.Generator().manual_seed(seed))
    candidates = covariance > 0
    some = chosen_at_random(candidates, batch.mask, draws, share)
    assert int(some.sum()) == min(int((candidates & batch.mask.bool()).sum()), expected)
    assert not (some & ~candidates).any()


def test_clipped_tokens_are_no_candidates() -> None:
    batch = random_batch(1, spread=2.0)
    terms = clip(*batch[:3], batch.mask)
    candidates = between(torch.full_like(batch.logp, 2.0), terms)
    assert torch.equal(candidates, ~(terms.clipped_high | terms.clipped_low))
    assert not between(torch.full_like(batch.logp, 1.0), terms).any()
    assert not between(torch.full_like(batch.logp, 5.0), terms).any()


@quick
@given(batch=batches)
def test_dropped_tokens_have_no_gradient_and_stay_in_the_denominator(batch: Batch) -> None:
    chosen = batch.advantage > 0.5
    plain, found = outcome(clip, batch), outcome(lambda *b: dropped(clip(*b), chosen), batch)
    assert torch.equal(found.gradient, torch.where(chosen, 0.0, plain.gradient))
    assert torch.equal(found.terms.factor, torch.where(chosen, 0.0, plain.terms.factor))


@quick
@given(batch=batches)
def test_kl_cov_penalises_the_chosen_alone(batch: Batch) -> None:
    chosen = batch.advantage > 0.5
    found = outcome(lambda *b: kl_cov(*b, chosen, coefficient=0.3), batch, "token-sum")
    logp = batch.logp.clone().requires_grad_()
    difference = logp - batch.old_logp
    penalty = torch.where(chosen, 0.3 * difference.abs(), 0.0)
    expected = ((-difference.exp() * batch.advantage + penalty) * batch.mask).sum()
    expected.backward()
    torch.testing.assert_close(found.loss, expected.detach(), rtol=1e-12, atol=1e-12)
    assert logp.grad is not None
    torch.testing.assert_close(found.gradient, logp.grad, rtol=1e-12, atol=1e-12)


def test_broken_tokens_are_never_chosen_and_left_out() -> None:
    batch = random_batch(2)
    row, column = batch.mask.nonzero()[0].tolist()
    batch.logp[row, column] = math.nan
    covariance = token_covariance(batch.logp, batch.advantage, batch.mask)
    chosen = most_covariant(covariance, batch.mask, 1.0)
    assert not chosen[row, column]
    found = outcome(lambda *b: kl_cov(*b, torch.ones_like(chosen)), batch)
    assert torch.isfinite(found.loss)
    assert torch.isfinite(found.gradient).all()
    assert found.terms.unusable.sum() == 1


def test_shares_outside_zero_and_one_are_refused() -> None:
    batch = random_batch(3)
    with pytest.raises(ValueError, match="share of tokens"):
        most_covariant(batch.advantage, batch.mask, 1.1)
    with pytest.raises(ValueError, match="share of tokens"):
        chosen_at_random(batch.mask.bool(), batch.mask, batch.advantage, -0.1)
