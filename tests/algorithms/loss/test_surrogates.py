"""Losses as algorithms name them are the functions they stand for."""

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import numpy as np
import torch

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.cispo import cispo
from algorithms.loss.clip import clip
from algorithms.loss.covariance import kl_cov, most_covariant, token_covariance
from algorithms.loss.gradient_preserving import gradient_preserving_clip
from algorithms.loss.reinforce import reinforce
from algorithms.loss.sequence_ratio import sequence_clip
from algorithms.loss.surrogates import (
    BalancedClip,
    Clip,
    CutWeights,
    DropCovariant,
    HoldCovariant,
    PlainGradient,
    PreservingClip,
    SequenceClip,
)
from algorithms.loss.terms import PolicyTerms
from tests.algorithms.batches import random_batch


def same(ours: PolicyTerms, theirs: PolicyTerms) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_every_bound_reaches_the_function() -> None:
    batch = random_batch(0, rows=20, tokens=20)
    values = (batch.logp, batch.old_logp, batch.advantage, batch.mask)
    bounds = {"low": 0.1, "high": 0.3, "dual": 1.5}
    assert same(Clip(**bounds)(*values), clip(*values, **bounds))
    assert same(BalancedClip(**bounds)(*values), balanced_clip(*values, **bounds))
    assert same(BalancedClip(**bounds, balanced=False)(*values), clip(*values, **bounds))
    assert not same(BalancedClip(**bounds)(*values), Clip(**bounds)(*values))
    for name, other in (("low", 0.2), ("high", 0.2), ("dual", None)):
        assert not same(Clip(**bounds | {name: other})(*values), Clip(**bounds)(*values))


OTHERS = [
    (
        PreservingClip,
        gradient_preserving_clip,
        {"low": 0.1, "high": 0.3, "low_scale": 0.5, "high_scale": 2.0, "dual": 1.5},
    ),
    (CutWeights, cispo, {"lowest": 0.9, "highest": 1.1}),
    (SequenceClip, sequence_clip, {"low": 0.05, "high": 0.02, "length_normalised": False}),
]


@pytest.mark.parametrize(("kind", "function", "settings"), OTHERS)
def test_every_setting_of_the_others_reaches_the_function_and_matters(kind, function, settings) -> None:
    batch = random_batch(1, rows=20, tokens=20)
    values = (batch.logp, batch.old_logp, batch.advantage, batch.mask)
    assert same(kind(**settings)(*values), function(*values, **settings))
    assert same(kind()(*values), function(*values))  # the defaults are the functions'
    for name in settings:
        left_out = {other: value for other, value in settings.items() if other != name}
        assert not same(kind(**settings)(*values), kind(**left_out)(*values)), name


def test_the_plain_gradient_is_reinforce() -> None:
    batch = random_batch(2)
    values = (batch.logp, batch.old_logp, batch.advantage, batch.mask)
    assert same(PlainGradient()(*values), reinforce(batch.logp, batch.advantage, batch.mask))
    weights = (batch.logp - batch.old_logp).exp().clamp(max=1.5)
    weighted = PlainGradient(highest=1.5)(*values)
    expected = reinforce(batch.logp, batch.advantage, batch.mask, weights=weights)
    torch.testing.assert_close(weighted.factor, expected.factor, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(weighted.factor, PlainGradient()(*values).factor)


def test_the_most_covariant_tokens_of_the_whole_step_are_held() -> None:
    batch = random_batch(3, rows=20, tokens=20)
    made = HoldCovariant(share=0.1, coefficient=0.5)
    chosen = made.choose(batch.old_logp, batch.advantage, batch.mask.bool(), np.random.default_rng(0))
    covariance = token_covariance(batch.old_logp, batch.advantage, batch.mask)
    assert torch.equal(chosen, most_covariant(covariance, batch.mask, 0.1))
    assert int(chosen.sum()) == int(0.1 * int(batch.mask.sum()))
    assert covariance[chosen].min() >= covariance[batch.mask.bool() & ~chosen].max()
    values = (batch.logp, batch.old_logp, batch.advantage, batch.mask)
    assert same(made(*values, chosen), kl_cov(*values, chosen, coefficient=0.5))


def test_covariant_tokens_are_drawn_from_the_band_and_left_out() -> None:
    batch = random_batch(4, rows=30, tokens=30)
    mask = batch.mask.bool()
    made = DropCovariant(least=0.2, most=1.0, share=0.02)
    covariance = token_covariance(batch.old_logp, batch.advantage, batch.mask)
    draws = [made.choose(batch.old_logp, batch.advantage, mask, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    for chosen in draws:
        assert int(chosen.sum()) == int(0.02 * int(mask.sum())) > 1
        assert ((covariance[chosen] > 0.2) & (covariance[chosen] < 1.0) & mask[chosen]).all()
    values = (batch.logp, batch.old_logp, batch.advantage, batch.mask)
    terms, all_terms = made(*values, draws[0]), clip(*values, low=1.0, high=1.0, dual=None)
    assert torch.equal(terms.loss, torch.where(draws[0], 0.0, all_terms.loss))
    assert torch.equal(terms.factor, torch.where(draws[0], 0.0, all_terms.factor))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PreservingClip, {"low_scale": -1.0}),
        (PreservingClip, {"dual": 1.0}),
        (CutWeights, {"highest": 0.2}),
        (SequenceClip, {"low": 2.0}),
        (DropCovariant, {"share": 2.0}),
        (DropCovariant, {"least": 6.0}),
        (HoldCovariant, {"coefficient": -1.0}),
        (PlainGradient, {"highest": 0.5}),
    ],
)
def test_settings_that_cannot_be_are_refused_where_they_are_written(kind, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"[Ee]xpected|at least 0"):
        kind(**settings)


@pytest.mark.parametrize("bounds", [{"low": 1.2}, {"low": -0.1}, {"high": -0.1}, {"dual": 1.2}, {"high": 2.0}])
@pytest.mark.parametrize("kind", [Clip, BalancedClip])
def test_bounds_that_cannot_be_are_refused_where_they_are_written(kind, bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected widths"):
        kind(**bounds)
