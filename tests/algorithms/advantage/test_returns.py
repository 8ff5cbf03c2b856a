"""Token returns, GAE, whitening and the length penalty: closed forms, holes in the mask, degenerate batches."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from algorithms.advantage.gae import gae
from algorithms.advantage.overlong import overlong_penalty
from algorithms.advantage.token_returns import outcome_on_last_token, returns_to_go
from algorithms.advantage.whitening import whitened
from tests.algorithms.batches import Batch, batches, quick, random_batch

factors = st.sampled_from([0.0, 0.5, 0.9, 1.0])


def trained_only(values: Tensor, mask: Tensor, row: int) -> list[float]:
    return values[row][mask[row].bool()].tolist()


@quick
@given(batch=batches, discount=factors)
def test_returns_are_discounted_sums_over_trained_tokens(batch: Batch, discount: float) -> None:
    found = returns_to_go(batch.advantage, batch.mask, discount=discount)
    for row in range(len(batch.mask)):
        rewards = trained_only(batch.advantage, batch.mask, row)
        expected = [
            sum(reward * discount**later for later, reward in enumerate(rewards[at:])) for at in range(len(rewards))
        ]
        assert trained_only(found, batch.mask, row) == pytest.approx(expected, abs=1e-12)
    assert not found[batch.mask == 0].any()


@quick
@given(batch=batches, discount=factors, decay=factors)
def test_gae_is_the_decayed_sum_of_one_step_errors(batch: Batch, discount: float, decay: float) -> None:
    found = gae(batch.advantage, batch.logp, batch.mask, discount=discount, decay=decay)
    for row in range(len(batch.mask)):
        rewards, values = (trained_only(field, batch.mask, row) for field in (batch.advantage, batch.logp))
        after = [*values, 0.0][1:]
        errors = [r + discount * v_next - v for r, v, v_next in zip(rewards, values, after, strict=True)]
        expected = [
            sum(error * (discount * decay) ** later for later, error in enumerate(errors[at:]))
            for at in range(len(errors))
        ]
        assert trained_only(found.advantage, batch.mask, row) == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(found.returns, (found.advantage + batch.logp) * batch.mask, rtol=1e-12, atol=1e-12)


@quick
@given(batch=batches)
def test_without_decay_gae_is_return_minus_value(batch: Batch) -> None:
    found = gae(batch.advantage, batch.logp, batch.mask, discount=0.9, decay=1.0)
    expected = (returns_to_go(batch.advantage, batch.mask, discount=0.9) - batch.logp) * batch.mask
    torch.testing.assert_close(found.advantage, expected, rtol=1e-12, atol=1e-12)


def test_a_tool_result_costs_no_discount() -> None:
    """A row with a tool result in its middle is the row without it."""
    rewards = torch.tensor([[0.0, 9.0, 9.0, 1.0]])
    with_result = returns_to_go(rewards, torch.tensor([[1, 0, 0, 1]]), discount=0.5)
    assert with_result.tolist() == [[0.5, 0.0, 0.0, 1.0]]


def test_the_outcome_stands_on_the_last_trained_token() -> None:
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    found = outcome_on_last_token(torch.tensor([2.0, 3.0, 4.0]), mask)
    assert found.tolist() == [[0, 0, 0, 2, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 4]]


@quick
@given(batch=batches)
def test_whitened_values_have_mean_zero_and_variance_one(batch: Batch) -> None:
    found = whitened(batch.logp, batch.mask)
    values = found[batch.mask.bool()]
    assert not found[batch.mask == 0].any()
    if len(values) > 1:
        assert values.mean().abs() < 1e-12
        assert values.var() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("mask", [[[0, 0]], [[0, 1]], [[1, 1]]])
def test_whitening_nothing_one_value_or_equal_values_gives_zero(mask: list[list[int]], biased: bool) -> None:
    found = whitened(torch.full((1, 2), 0.3), torch.tensor(mask), biased=biased)
    assert found.abs().max() < 1e-10


def test_what_lies_outside_the_mask_is_not_read() -> None:
    batch = random_batch(1)
    poisoned = torch.where(batch.mask.bool(), batch.advantage, math.nan)
    for estimate in (whitened, returns_to_go, lambda values, mask: gae(values, values, mask).advantage):
        assert torch.equal(estimate(poisoned, batch.mask), estimate(batch.advantage, batch.mask))


def test_a_batch_without_columns_is_possible() -> None:
    nothing = torch.zeros(2, 0)
    assert whitened(nothing, nothing).shape == (2, 0)
    assert returns_to_go(nothing, nothing).shape == (2, 0)
    assert gae(nothing, nothing, nothing).advantage.shape == (2, 0)


def test_the_length_penalty() -> None:
    lengths = torch.tensor([0, 60, 65, 80, 90])
    assert overlong_penalty(lengths, longest=80, buffer=20).tolist() == [0, 0, -0.25, -1, -1]
    assert overlong_penalty(lengths, longest=80, buffer=20, floor=False).tolist() == [0, 0, -0.25, -1, -1.5]
    assert overlong_penalty(lengths, longest=80, buffer=20, factor=0.5).tolist() == [0, 0, -0.125, -0.5, -0.5]


def test_wrong_calls_are_refused() -> None:
    batch = random_batch(2)
    with pytest.raises(ValueError, match="NaN or infinite"):
        whitened(torch.full_like(batch.logp, math.nan), batch.mask)
    for call in (
        lambda: whitened(batch.rewards, batch.mask),
        lambda: returns_to_go(batch.rewards, batch.mask),
        lambda: gae(batch.rewards, batch.logp, batch.mask),
        lambda: outcome_on_last_token(batch.logp, batch.mask),
    ):
        with pytest.raises(ValueError, match="mask"):
            call()
    with pytest.raises(ValueError, match="between 0 and 1"):
        returns_to_go(batch.logp, batch.mask, discount=1.1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        gae(batch.logp, batch.logp, batch.mask, decay=-0.1)
    with pytest.raises(ValueError, match="buffer"):
        overlong_penalty(torch.tensor([1]), longest=10, buffer=11)
