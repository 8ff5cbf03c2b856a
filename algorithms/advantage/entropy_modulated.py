"""EMPG: steps that the policy was sure of weigh more, and steps that lead to sure ones get a bonus.

    advantage = entropy_modulated(advantage, entropy, trajectories, steps, bonus=0.05)

Rows are steps of trajectories (one turn each), as in `step_groups`. With h the mean token entropy of each step, scaled
to 0..1 over the steps of the batch:

    A' = A exp(-k h) / mean(exp(-k h)) + bonus * exp(-k' h_next),   then minus its mean over all steps

Source: EMPG, arXiv:2509.09265 (self-calibrating gradient scaling, future clarity bonus, final centring). The last step
of a trajectory gets no bonus. The paper's bonus weight is not confirmed: two public ports use 0.05 and 0.1; a third one
multiplies the batch by every step's scale in turn and is no reference.
"""

import torch
from torch import Tensor

EPSILON = 1e-8  # in both denominators, as in the published port; equal entropies are then 0, not NaN


def entropy_modulated(
    advantage: Tensor,
    entropy: Tensor,
    trajectories: Tensor,
    steps: Tensor,
    *,
    bonus: float = 0.05,
    sharpness: float = 1.0,
    future_sharpness: float = 1.0,
) -> Tensor:
    """EMPG's advantage of every step, [steps], float64. Where all entropies are equal, scales and clarities are 1 (to
    1e-8).

    Args:
        advantage: one per step, [steps].
        entropy: mean token entropy of each step, [steps].
        trajectories: trajectory of each step, [steps], whole numbers.
        steps: place of each step in its trajectory, [steps]; the next step is the next place that occurs.
        bonus: weight of the clarity of the next step (the paper's zeta).
        sharpness: k of the scale.
        future_sharpness: k' of the clarity.

    Raises:
        ValueError: shapes differ, or a number is not finite.
    """
    if advantage.dim() != 1 or not advantage.shape == entropy.shape == trajectories.shape == steps.shape:
        shapes = [list(column.shape) for column in (advantage, entropy, trajectories, steps)]
        raise ValueError(f"Expected four columns [steps] of one table, but got shapes {shapes}.")
    plain, level = advantage.detach().double(), entropy.detach().double()
    if not bool((torch.isfinite(plain) & torch.isfinite(level)).all()):
        raise ValueError("Advantages and entropies of steps must be finite, but some are NaN or infinite.")
    if not len(level):
        return plain
    level = (level - level.min()) / (level.max() - level.min() + EPSILON)
    scale = (-sharpness * level).exp()
    clarity = _of_next((-future_sharpness * level).exp(), trajectories, steps)
    modulated = plain * scale / (scale.mean() + EPSILON) + bonus * clarity
    return modulated - modulated.mean()


def _of_next(values: Tensor, trajectories: Tensor, steps: Tensor) -> Tensor:
    """For each step, the value of its trajectory's next step, or 0, [steps]."""
    by_place = torch.argsort(steps, stable=True)
    order = by_place[torch.argsort(trajectories[by_place], stable=True)]
    here, after = order[:-1], order[1:]
    following = torch.where(trajectories[here] == trajectories[after], values[after], 0.0)
    return torch.zeros_like(values).index_copy(0, here, following)
