"""Importance weights between sampler and learner: identity, truncation, bands, and that denominators stay."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given

from algorithms.loss.clip import clip
from algorithms.loss.mismatch import importance_weights, rows_within, weighted
from tests.algorithms.batches import Batch, batches, outcome, quick, random_batch

INF = math.inf


@quick
@given(batch=batches)
def test_equal_engines_change_nothing(batch: Batch) -> None:
    for level in ("token", "row"):
        for settings in ({}, {"lowest": 0.5, "outside": "drop"}, {"normalised": True}):
            weights = importance_weights(batch.old_logp, batch.old_logp, batch.mask, level=level, **settings)
            assert torch.equal(weights, batch.mask.double())
    terms = outcome(clip, batch).terms
    assert torch.equal(weighted(terms, batch.mask).loss, terms.loss)


@quick
@given(batch=batches)
def test_an_open_band_is_the_untruncated_ratio(batch: Batch) -> None:
    found = importance_weights(batch.logp, batch.old_logp, batch.mask, highest=INF, outside="drop")
    expected = (batch.logp - batch.old_logp).exp() * batch.mask
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    truncated = importance_weights(batch.logp, batch.old_logp, batch.mask, highest=1.5)
    torch.testing.assert_close(truncated, expected.clamp(max=1.5), rtol=1e-12, atol=0)


@quick
@given(batch=batches)
def test_a_rows_weight_is_the_product_of_its_tokens(batch: Batch) -> None:
    tokens = importance_weights(batch.logp, batch.old_logp, batch.mask, highest=INF)
    rows = importance_weights(batch.logp, batch.old_logp, batch.mask, level="row", highest=INF)
    product = torch.where(batch.mask.bool(), tokens, 1.0).prod(-1, keepdim=True) * batch.mask
    limit = math.exp(20)
    torch.testing.assert_close(rows, product.clamp(1 / limit * batch.mask, limit * batch.mask), rtol=1e-9, atol=1e-12)


def test_ratios_outside_a_band_get_no_weight() -> None:
    rollout, mask = torch.zeros(1, 4).double(), torch.tensor([[1, 1, 1, 0]])
    old = torch.tensor([[0.4, 1.0, 2.1, 1.0]]).double().log()
    found = importance_weights(old, rollout, mask, lowest=0.5, highest=2.0, outside="drop")
    assert found.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_rows_are_kept_by_their_geometric_mean() -> None:
    rollout = torch.zeros(3, 2).double()
    old = torch.tensor([[2.0, 0.5], [2.0, 2.0], [9.0, 9.0]]).double().log()
    mask = torch.tensor([[1, 1], [1, 1], [0, 0]])
    assert rows_within(old, rollout, mask, lowest=0.9, highest=1.1).tolist() == [True, False, True]


@quick
@given(batch=batches)
def test_normalised_weights_have_mean_one(batch: Batch) -> None:
    for level in ("token", "row"):
        found = importance_weights(batch.logp, batch.old_logp, batch.mask, level=level, normalised=True)
        kept = found[batch.mask.bool()] if level == "token" else found.amax(-1)[batch.mask.sum(-1) > 0]
        if len(kept):
            assert kept.mean() == pytest.approx(1.0, rel=1e-9)


def test_weights_scale_terms_and_gradients_alike_and_leave_the_denominator() -> None:
    batch = random_batch(1)
    weights = importance_weights(batch.logp, batch.old_logp, batch.mask)
    plain = outcome(clip, batch)
    corrected = outcome(lambda *b: weighted(clip(*b), weights), batch)
    torch.testing.assert_close(corrected.gradient, plain.gradient * weights, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(corrected.terms.factor, plain.terms.factor * weights, rtol=1e-12, atol=1e-15)


def test_broken_log_probabilities_get_no_weight() -> None:
    old = torch.tensor([[-1.0, math.nan, -1.0, -1000.0]])
    rollout = torch.tensor([[-1.0, -1.0, -INF, -1.0]])
    found = importance_weights(old, rollout, torch.ones(1, 4))
    assert found.tolist() == [[1.0, 0.0, 0.0, pytest.approx(math.exp(-20))]]


@pytest.mark.parametrize(
    "settings",
    [{"lowest": 0.5}, {"highest": 0.5}, {"lowest": -1.0, "outside": "drop"}, {"level": "batch"}, {"outside": "clip"}],
)
def test_options_that_do_not_fit_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"lowest|Expected"):
        importance_weights(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1), **settings)
