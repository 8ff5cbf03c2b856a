"""EMPG: the formula on a small table, order, calibration and what it refuses."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch

from algorithms.advantage.entropy_modulated import entropy_modulated

ADVANTAGE = torch.tensor([1.0, 1.0, -2.0])
ENTROPY = torch.tensor([0.5, 1.5, 1.0])
TRAJECTORIES, STEPS = torch.tensor([4, 4, 2]), torch.tensor([0, 3, 0])


def test_the_formula() -> None:
    """Levels 0, 1 and 1/2; the first step is followed by the second, the others by nothing."""
    scale = [1.0, math.exp(-2), math.exp(-1)]
    mean = sum(scale) / 3
    modulated = [scale[0] / mean + 0.1 * math.exp(-3), scale[1] / mean, -2 * scale[2] / mean]
    expected = [value - sum(modulated) / 3 for value in modulated]
    found = entropy_modulated(ADVANTAGE, ENTROPY, TRAJECTORIES, STEPS, bonus=0.1, sharpness=2.0, future_sharpness=3.0)
    assert found.tolist() == pytest.approx(expected, abs=1e-7)


def test_order_of_rows_does_not_matter() -> None:
    order = torch.tensor([2, 1, 0])
    found = entropy_modulated(ADVANTAGE[order], ENTROPY[order], TRAJECTORIES[order], STEPS[order])
    straight = entropy_modulated(ADVANTAGE, ENTROPY, TRAJECTORIES, STEPS)
    torch.testing.assert_close(found, straight[order], rtol=1e-12, atol=1e-12)


def test_equal_entropies_only_centre() -> None:
    found = entropy_modulated(ADVANTAGE, torch.ones(3), TRAJECTORIES, STEPS, bonus=0.0)
    assert found.tolist() == pytest.approx([1.0, 1.0, -2.0], abs=1e-7)


def test_an_empty_table_is_possible_and_wrong_ones_are_refused() -> None:
    nothing, none = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    assert entropy_modulated(nothing, nothing, none, none).shape == (0,)
    with pytest.raises(ValueError, match="four columns"):
        entropy_modulated(ADVANTAGE, ENTROPY, TRAJECTORIES[:2], STEPS)
    with pytest.raises(ValueError, match="finite"):
        entropy_modulated(ADVANTAGE, ENTROPY * math.nan, TRAJECTORIES, STEPS)
