"""Losses as algorithms name them are the functions they stand for."""

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.clip import clip
from algorithms.loss.surrogates import BalancedClip, Clip
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


@pytest.mark.parametrize("bounds", [{"low": 1.2}, {"low": -0.1}, {"high": -0.1}, {"dual": 1.2}, {"high": 2.0}])
@pytest.mark.parametrize("kind", [Clip, BalancedClip])
def test_bounds_that_cannot_be_are_refused_where_they_are_written(kind, bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected widths"):
        kind(**bounds)
