"""AEPO's entropy-aware advantage: the formula, whose statistics it takes, and where it stays silent."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.advantage.entropy_aware import entropy_aware, standardised
from tests.algorithms.batches import Batch, batches, quick, random_batch


@quick
@given(batch=batches, weight=st.floats(0, 0.5))
def test_the_formula(batch: Batch, weight: float) -> None:
    found = entropy_aware(batch.advantage, batch.entropy, batch.mask, weight=weight, lowest_factor=None)
    trained = batch.mask.bool()
    entropy = batch.entropy[trained]
    z = (entropy - entropy.mean()) / entropy.std() if len(entropy) > 1 else torch.zeros_like(entropy)
    expected = torch.zeros_like(found)
    expected[trained] = batch.advantage[trained] * (1 + weight * z)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@quick
@given(batch=batches)
def test_a_weight_of_zero_is_the_plain_advantage(batch: Batch) -> None:
    found = entropy_aware(batch.advantage, batch.entropy, batch.mask, weight=0.0)
    assert torch.equal(found, batch.advantage * batch.mask)


@quick
@given(batch=batches, scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
def test_units_of_entropy_do_not_matter(batch: Batch, scale: float, shift: float) -> None:
    before = entropy_aware(batch.advantage, batch.entropy, batch.mask)
    after = entropy_aware(batch.advantage, scale * batch.entropy + shift, batch.mask)
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-9)


def test_entropies_outside_the_mask_are_not_read() -> None:
    batch = random_batch(1)
    poisoned = torch.where(batch.mask.bool(), batch.entropy, math.nan)
    found = entropy_aware(batch.advantage, poisoned, batch.mask)
    assert torch.equal(found, entropy_aware(batch.advantage, batch.entropy, batch.mask))


def test_statistics_inside_parts_are_those_of_each_part_alone() -> None:
    batch, parts = random_batch(2, rows=6), torch.tensor([5, 9, 5, 9, 5, 5])
    found = entropy_aware(batch.advantage, batch.entropy, batch.mask, parts=parts)
    for part in (5, 9):
        alone = batch.rows(parts == part)
        expected = entropy_aware(alone.advantage, alone.entropy, alone.mask)
        torch.testing.assert_close(found[parts == part], expected, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(found, entropy_aware(batch.advantage, batch.entropy, batch.mask))


def test_a_shared_token_counts_once_per_leaf() -> None:
    """Statistics are those of flat rows: a row given twice weighs twice."""
    entropy, mask = torch.tensor([[1.0, 2.0], [1.0, 5.0]], dtype=torch.float64), torch.ones(2, 2)
    z = standardised(entropy, mask)
    mean, deviation = 9 / 4, math.sqrt(((1 - 9 / 4) ** 2 * 2 + (2 - 9 / 4) ** 2 + (5 - 9 / 4) ** 2) / 3)
    torch.testing.assert_close(z, (entropy - mean) / deviation, rtol=1e-12, atol=0)


def test_no_factor_changes_the_sign_of_an_advantage() -> None:
    """One token 9 deviations below the others' entropy would be punished for a right answer."""
    entropy = torch.full((1, 100), 8.0, dtype=torch.float64)
    entropy[0, 0] = 0.0
    advantage = torch.ones(1, 100, dtype=torch.float64)
    assert entropy_aware(advantage, entropy, advantage, lowest_factor=None)[0, 0] < -0.9
    assert entropy_aware(advantage, entropy, advantage)[0, 0] == 0.0


@pytest.mark.parametrize("mask", [[[0, 0, 0]], [[0, 1, 0]], [[1, 1, 1]]])
def test_no_spread_leaves_the_advantage_alone(mask: list[list[int]]) -> None:
    """No trained token, one, or several of equal entropy: where the published code gives NaN."""
    trained, advantage = torch.tensor(mask), torch.full((1, 3), 0.7, dtype=torch.float64)
    found = entropy_aware(advantage, torch.full((1, 3), 0.1), trained)
    assert torch.equal(found, advantage * trained)


def test_missing_entropies_are_an_error_not_a_silent_skip() -> None:
    batch = random_batch(3)
    with pytest.raises(ValueError, match="scoring pass"):
        entropy_aware(batch.advantage, None, batch.mask)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_broken_entropies_are_an_error(poison: float) -> None:
    batch = random_batch(3)
    row, column = batch.mask.nonzero()[0].tolist()
    batch.entropy[row, column] = poison
    with pytest.raises(ValueError, match="1 trained tokens"):
        entropy_aware(batch.advantage, batch.entropy, batch.mask)


def test_nothing_carries_gradient() -> None:
    batch = random_batch(4)
    leaves = batch.advantage.requires_grad_(), batch.entropy.requires_grad_()
    assert not entropy_aware(*leaves, batch.mask).requires_grad


def test_wrong_shapes_are_refused() -> None:
    batch = random_batch(5)
    with pytest.raises(ValueError, match="advantage"):
        entropy_aware(batch.advantage[:, 0], batch.entropy, batch.mask)
    with pytest.raises(ValueError, match="parts"):
        entropy_aware(batch.advantage, batch.entropy, batch.mask, parts=torch.tensor([0]))
