"""GiGPO on random tables of steps: what the step part adds, and when it adds nothing."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from algorithms.advantage.step_groups import StepAdvantages, gigpo, step_returns
from tests.algorithms.batches import quick

Table = dict[str, Tensor]


def random_table(seed: int, length: int | None = None) -> Table:
    """Steps of several trajectories of several questions, shuffled; `length` steps each or any number."""
    rng = np.random.default_rng(seed)
    rows = []
    for trajectory in range(int(rng.integers(1, 9))):
        question, reward = int(rng.integers(0, 3)), float(rng.integers(0, 3))
        for step in range(length or int(rng.integers(1, 6))):
            rows.append((reward, rng.normal(), question, trajectory, int(rng.integers(0, 3)), step))
    columns = zip(*[rows[i] for i in rng.permutation(len(rows))], strict=True)
    names = ("episode_rewards", "step_rewards", "questions", "trajectories", "anchors", "steps")
    table = {name: torch.tensor(column) for name, column in zip(names, columns, strict=True)}
    return {name: column.double() if name.endswith("rewards") else column for name, column in table.items()}


def estimate(table: Table, discount: float = 0.95, **settings: object) -> StepAdvantages:
    returns = step_returns(table["step_rewards"], table["trajectories"], table["steps"], discount=discount)
    columns = (table[name] for name in ("questions", "trajectories", "anchors"))
    return gigpo(table["episode_rewards"], returns, *columns, **settings)


tables = st.builds(random_table, st.integers(0, 10**6))


@quick
@given(table=tables)
def test_with_all_states_distinct_only_the_episode_counts(table: Table) -> None:
    found = estimate(table | {"anchors": torch.arange(len(table["steps"]))})
    assert torch.equal(found.advantage, found.episode)
    assert not found.grouped.any()


@quick
@given(seed=st.integers(0, 10**6), length=st.integers(1, 5))
def test_with_one_state_and_a_terminal_reward_both_parts_are_equal(seed: int, length: int) -> None:
    """Equal lengths, no discount, the whole reward at the end: every step's return is the episode's reward."""
    table = random_table(seed, length)
    last = table["steps"] == length - 1
    table |= {"step_rewards": table["episode_rewards"] * last, "anchors": torch.zeros_like(table["steps"])}
    found = estimate(table, discount=1.0, episode_statistics="steps")
    torch.testing.assert_close(found.step, found.episode, rtol=1e-9, atol=1e-12)
    by_trajectory = estimate(table, discount=1.0, deviation="none")
    torch.testing.assert_close(by_trajectory.step, by_trajectory.episode, rtol=1e-9, atol=1e-12)


@quick
@given(table=tables, discount=st.sampled_from([0.0, 0.5, 1.0]))
def test_returns_are_discounted_sums_in_the_order_of_steps(table: Table, discount: float) -> None:
    found = step_returns(table["step_rewards"], table["trajectories"], table["steps"], discount=discount)
    for row in range(len(found)):
        later = (table["trajectories"] == table["trajectories"][row]) & (table["steps"] >= table["steps"][row])
        gaps = (table["steps"][later] - table["steps"][row]).double()
        expected = (table["step_rewards"][later] * discount**gaps).sum()
        torch.testing.assert_close(found[row], expected, rtol=1e-12, atol=1e-12)


@quick
@given(table=tables, weight=st.floats(0, 2))
def test_states_are_compared_inside_a_question_only(table: Table, weight: float) -> None:
    found = estimate(table, weight=weight)
    for question in torch.unique(table["questions"]):
        alone = {name: column[table["questions"] == question] for name, column in table.items()}
        expected = estimate(alone, weight=weight)
        rows = table["questions"] == question
        torch.testing.assert_close(found.advantage[rows], expected.advantage, rtol=1e-12, atol=1e-12)
        assert torch.equal(found.grouped[rows], expected.grouped)
    torch.testing.assert_close(found.advantage, found.episode + weight * found.step, rtol=1e-12, atol=1e-12)


def test_long_episodes_weigh_more_only_when_asked_for() -> None:
    """Question with rewards 1 (three steps) and 0 (one step)."""
    table = {
        "episode_rewards": torch.tensor([1.0, 1.0, 1.0, 0.0]),
        "step_rewards": torch.zeros(4),
        "questions": torch.zeros(4, dtype=torch.long),
        "trajectories": torch.tensor([0, 0, 0, 1]),
        "anchors": torch.arange(4),
        "steps": torch.tensor([0, 1, 2, 0]),
    }
    assert estimate(table, deviation="none").episode.tolist() == [0.5, 0.5, 0.5, -0.5]
    by_steps = estimate(table, deviation="none", episode_statistics="steps")
    assert by_steps.episode.tolist() == [0.25, 0.25, 0.25, -0.75]


def test_an_empty_table_is_possible() -> None:
    nothing, none = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    assert step_returns(nothing, none, none).shape == (0,)
    assert gigpo(nothing, nothing, none, none, none).advantage.shape == (0,)


def test_wrong_tables_are_refused() -> None:
    table = random_table(3, length=3)
    first = {name: column.clone() for name, column in table.items()}
    first["episode_rewards"][0] += 1
    with pytest.raises(ValueError, match="whole trajectories"):
        estimate(first)
    with pytest.raises(ValueError, match="five columns"):
        estimate(table | {"anchors": torch.zeros(1, dtype=torch.long)})
    with pytest.raises(ValueError, match="three columns"):
        step_returns(torch.zeros(2), torch.zeros(1), torch.zeros(2))
    with pytest.raises(ValueError, match="between 0 and 1"):
        estimate(table, discount=2.0)
    with pytest.raises(ValueError, match="finite"):
        estimate(table | {"episode_rewards": torch.full_like(table["episode_rewards"], math.nan)})
