"""Group-relative advantages: closed forms, invariances, and groups that have nothing to say."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from algorithms.advantage.group import dead_groups, group_normalised, leave_one_out
from tests.algorithms.batches import Batch, quick, random_batch

groups_of_rewards = st.builds(random_batch, seed=st.integers(0, 10**6), rows=st.integers(1, 24))


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def group_sums(values: Tensor, questions: Tensor) -> Tensor:
    return torch.stack([values[questions == question].sum() for question in torch.unique(questions)])


def test_the_closed_form_of_grpo() -> None:
    rewards, questions = doubles(1.0, 5.0, 0.0, 9.0), torch.tensor([4, -1, 4, -1])
    found = group_normalised(rewards, questions, epsilon=0.0)
    torch.testing.assert_close(found, doubles(0.5**0.5, -(0.5**0.5), -(0.5**0.5), 0.5**0.5), rtol=1e-15, atol=0)
    population = group_normalised(rewards, questions, deviation="population", epsilon=0.0)
    torch.testing.assert_close(population, doubles(1, -1, -1, 1), rtol=1e-15, atol=0)
    assert group_normalised(rewards, questions, deviation="none").tolist() == [0.5, -2.0, -0.5, 2.0]


def test_epsilon_is_added_to_the_deviation() -> None:
    found = group_normalised(doubles(0.0, 1e-6), torch.tensor([0, 0]))
    deviation = 1e-6 / math.sqrt(2)
    torch.testing.assert_close(found[1], doubles(0.5e-6 / (deviation + 1e-6))[0], rtol=1e-9, atol=0)


@quick
@given(batch=groups_of_rewards)
def test_advantages_of_a_group_sum_to_zero(batch: Batch) -> None:
    for found in (
        group_normalised(batch.rewards, batch.questions),
        group_normalised(batch.rewards, batch.questions, deviation="none"),
        leave_one_out(batch.rewards, batch.questions),
    ):
        assert group_sums(found, batch.questions).abs().max() < 1e-12


@quick
@given(batch=groups_of_rewards)
def test_leave_one_out_is_the_mean_of_the_others_and_a_multiple_of_dr_grpo(batch: Batch) -> None:
    rewards, questions = batch.rewards, batch.questions
    found, centred = leave_one_out(rewards, questions), group_normalised(rewards, questions, deviation="none")
    for row in range(len(rewards)):
        others = (questions == questions[row]) & (torch.arange(len(rewards)) != row)
        size = int(others.sum()) + 1
        expected = rewards[row] - rewards[others].mean() if size > 1 else doubles(0.0)[0]
        torch.testing.assert_close(found[row], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found[row], centred[row] * size / max(size - 1, 1), rtol=1e-12, atol=1e-12)


@quick
@given(batch=groups_of_rewards, scale=st.floats(0.5, 20), shift=st.floats(-50, 50))
def test_grpo_does_not_see_the_scale_of_rewards(batch: Batch, scale: float, shift: float) -> None:
    rewards = batch.rewards.round()  # groups are flat, or spread by far more than rounding
    before = group_normalised(rewards, batch.questions, epsilon=0.0)
    after = group_normalised(scale * rewards + shift, batch.questions, epsilon=0.0)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


@quick
@given(batch=groups_of_rewards, seed=st.integers(0, 1000))
def test_order_of_rows_does_not_matter(batch: Batch, seed: int) -> None:
    order = torch.randperm(len(batch.rewards), generator=torch.Generator().manual_seed(seed))
    for estimate in (group_normalised, leave_one_out):
        shuffled = estimate(batch.rewards[order], batch.questions[order])
        torch.testing.assert_close(shuffled, estimate(batch.rewards, batch.questions)[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rewards", [[0.1, 0.1, 0.1], [1e300, 1e300], [0.7], [-0.0, 0.0]])
def test_equal_rewards_and_groups_of_one_give_exactly_zero(rewards: list[float]) -> None:
    questions = torch.zeros(len(rewards), dtype=torch.long)
    for deviation in ("sample", "population", "none"):
        assert not group_normalised(doubles(*rewards), questions, deviation=deviation, epsilon=0.0).any()
    assert not leave_one_out(doubles(*rewards), questions).any()
    assert dead_groups(doubles(*rewards), questions).all()


def test_a_floor_silences_rounding_noise() -> None:
    rewards, questions = doubles(0.5, 0.5 + 1e-7), torch.tensor([0, 0])
    assert group_normalised(rewards, questions).abs().max() > 0.04
    assert not group_normalised(rewards, questions, smallest_deviation=1e-6).any()
    assert not dead_groups(rewards, questions).any()
    assert dead_groups(rewards, questions, tolerance=1e-6).all()


def test_dead_groups_are_told_per_row() -> None:
    rewards, questions = doubles(1, 0, 1, 1, 0), torch.tensor([0, 1, 0, 1, 2])
    assert dead_groups(rewards, questions).tolist() == [True, False, True, False, True]


def test_no_rows_give_no_advantages() -> None:
    nothing = torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    for estimate in (group_normalised, leave_one_out, dead_groups):
        assert estimate(*nothing).shape == (0,)
    assert group_normalised(*nothing, deviation="batch").shape == (0,)


@pytest.mark.parametrize(
    ("rewards", "questions", "message"),
    [
        (doubles(1.0, math.nan), torch.tensor([0, 0]), r"rows \[1\]"),
        (doubles(-math.inf, 1.0), torch.tensor([0, 0]), r"rows \[0\]"),
        (doubles(1.0, 2.0), torch.tensor([0]), "Expected rewards"),
        (doubles(1.0), torch.tensor([0.5]), "whole numbers"),
    ],
)
def test_wrong_rewards_are_refused(rewards: Tensor, questions: Tensor, message: str) -> None:
    for estimate in (group_normalised, leave_one_out, dead_groups):
        with pytest.raises(ValueError, match=message):
            estimate(rewards, questions)


def test_an_unknown_deviation_is_refused() -> None:
    with pytest.raises(ValueError, match="sample, population"):
        group_normalised(doubles(1.0, 2.0), torch.tensor([0, 0]), deviation="std")
