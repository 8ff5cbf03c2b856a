"""Values and gradient factors of PPO's and AEPO's clip at chosen ratios (low = high = 0.2, dual clip 3)."""

import math

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.clip import clip

# ratio; A = +1: value, factor of PPO, factor of AEPO; A = -1: value, factor of both
GOLDEN = [
    (0.50, 0.50, 0.50, 0.50, -0.80, 0.00),
    (0.79, 0.79, 0.79, 0.79, -0.80, 0.00),
    (0.81, 0.81, 0.81, 0.81, -0.81, 0.81),
    (1.00, 1.00, 1.00, 1.00, -1.00, 1.00),
    (1.19, 1.19, 1.19, 1.19, -1.19, 1.19),
    (1.21, 1.20, 0.00, 1.20, -1.21, 1.21),
    (1.50, 1.20, 0.00, 1.20, -1.50, 1.50),
    (2.50, 1.20, 0.00, 1.20, -2.50, 2.50),
    (3.50, 1.20, 0.00, 1.20, -3.00, 0.00),
]


@pytest.mark.parametrize(("ratio", "up", "up_ppo", "up_aepo", "down", "down_both"), GOLDEN)
def test_golden_value(ratio: float, up: float, up_ppo: float, up_aepo: float, down: float, down_both: float) -> None:
    for loss, up_factor in ((clip, up_ppo), (balanced_clip, up_aepo)):
        for sign, value, factor in ((1.0, up, up_factor), (-1.0, down, down_both)):
            logp = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
            one = torch.ones(1, 1, dtype=torch.float64)
            terms = loss(logp, torch.zeros_like(one), sign * one, one)
            terms.loss.sum().backward()
            assert logp.grad is not None
            assert -terms.loss.item() == pytest.approx(value, abs=1e-12)
            assert -logp.grad.item() * sign == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("ratio", [0.8, 1.2])
def test_a_bound_itself_is_inside(ratio: float) -> None:
    """At exactly 1 - low and 1 + high nothing is clipped yet, up to rounding of the ratio."""
    for sign in (1.0, -1.0):
        one = torch.ones(1, 1, dtype=torch.float64)
        inwards = 1e-12 if ratio < 1 else -1e-12
        terms = clip(one * (math.log(ratio) + inwards), 0 * one, sign * one, one)
        assert terms.factor.item() == pytest.approx(sign * ratio, abs=1e-11)
