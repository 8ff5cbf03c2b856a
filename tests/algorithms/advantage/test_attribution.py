"""ARPO's soft and hard attribution on random tries of rows."""

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from algorithms.advantage.attribution import hard, soft
from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.clip import clip
from tests.algorithms.batches import Batch, Loss, outcome, quick


def random_trie(seed: int, spread: float) -> tuple[Tensor, Batch]:
    """Rows that leave their parents at random tokens: unique-token numbers, and rows whose shared tokens agree."""
    rng = np.random.default_rng(seed)
    rows, tokens = int(rng.integers(1, 7)), int(rng.integers(1, 9))
    numbers = np.arange(rows * tokens).reshape(rows, tokens)
    for row in range(1, rows):
        at = int(rng.integers(0, tokens + 1))
        numbers[row, :at] = numbers[rng.integers(0, row), :at]
    per_token = {name: rng.standard_normal(rows * tokens) for name in ("old", "step")}
    trained = rng.random(rows * tokens) < 0.8
    old = -np.abs(per_token["old"])[numbers]
    logp = old + spread * per_token["step"][numbers]
    fields = (logp, old, np.zeros((rows, tokens)), old, trained[numbers].astype(int), rng.standard_normal(rows))
    return torch.tensor(numbers), Batch(*map(torch.tensor, fields), torch.zeros(rows, dtype=torch.long))


def summed(gradient: Tensor, numbers: Tensor) -> Tensor:
    """The gradient that reaches each unique token."""
    return torch.zeros(numbers.numel(), dtype=torch.float64).index_add(0, numbers.flatten(), gradient.flatten())


@pytest.mark.parametrize("loss", [clip, balanced_clip])
@quick
@given(seed=st.integers(0, 10**6))
def test_on_policy_both_give_each_unique_token_the_same_gradient(loss: Loss, seed: int) -> None:
    numbers, batch = random_trie(seed, spread=0.0)
    gradients = [
        summed(outcome(loss, batch._replace(advantage=advantage)).gradient, numbers)
        for advantage in (soft(batch.rewards, batch.mask), hard(batch.rewards, numbers, batch.mask))
    ]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-14)


def test_off_policy_they_differ() -> None:
    """Two rows share a token whose ratio is clipped for the good row and not for the bad one."""
    numbers = torch.tensor([[0, 1], [0, 2]])
    old = torch.full((2, 2), -1.0, dtype=torch.float64)
    logp = old + torch.tensor([[0.5, 0.0], [0.5, 0.0]], dtype=torch.float64)
    batch = Batch(logp, old, old, old, torch.ones(2, 2, dtype=torch.long), torch.tensor([1.0, -1.0]).double(), numbers)
    by_soft = outcome(clip, batch._replace(advantage=soft(batch.rewards, batch.mask))).gradient
    by_hard = outcome(clip, batch._replace(advantage=hard(batch.rewards, numbers, batch.mask))).gradient
    assert summed(by_soft, numbers)[0] != 0
    assert summed(by_hard, numbers)[0] == 0


@quick
@given(seed=st.integers(0, 10**6))
def test_hard_is_the_mean_over_the_rows_of_a_token(seed: int) -> None:
    numbers, batch = random_trie(seed, spread=0.0)
    found = hard(batch.rewards, numbers, batch.mask)
    for row, column in np.ndindex(*numbers.shape):
        through = (numbers == numbers[row, column]).any(-1)
        expected = batch.rewards[through].mean() * batch.mask[row, column]
        torch.testing.assert_close(found[row, column], expected, rtol=1e-12, atol=1e-14)


def test_without_shared_tokens_hard_is_soft() -> None:
    rewards, mask = torch.tensor([0.25, -1.0]), torch.tensor([[1, 0], [1, 1]])
    numbers = torch.tensor([[0, -1], [2, 3]])
    assert torch.equal(hard(rewards, numbers, mask), soft(rewards.double(), mask))


def test_wrong_shapes_and_numbers_are_refused() -> None:
    rewards, mask = torch.zeros(2), torch.ones(2, 3)
    with pytest.raises(ValueError, match="one advantage per row"):
        soft(mask, mask)
    with pytest.raises(ValueError, match="one advantage per row"):
        hard(torch.zeros(3), torch.zeros(2, 3, dtype=torch.long), mask)
    with pytest.raises(ValueError, match="negative"):
        hard(rewards, -torch.ones(2, 3, dtype=torch.long), mask)
    with pytest.raises(ValueError, match="unique_tokens"):
        hard(rewards, torch.zeros(2, 2, dtype=torch.long), mask)
