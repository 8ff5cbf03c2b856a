"""DAPO's soft overlong punishment: answers that come close to the length limit lose reward.

    rewards = rewards + overlong_penalty(lengths, longest=20480, buffer=4096)

Source: DAPO, arXiv:2503.14476, Eq. 13: 0 up to longest - buffer, then falling linearly to -factor at `longest`, and
-factor beyond. Deviation of verl's reward manager: it goes on falling beyond `longest` (`floor=False`).

Shaping comes after filtering: with a penalty in it every group has some spread, so decide which groups are dead on the
task's own reward.
"""

import torch
from torch import Tensor


def overlong_penalty(lengths: Tensor, *, longest: int, buffer: int, factor: float = 1.0, floor: bool = True) -> Tensor:
    """What each row's length costs, [rows], float64, from -factor to 0.

    Args:
        lengths: tokens of each response, tool results included, [rows].
        longest: length from which on the whole factor is lost.
        buffer: how many tokens before that the loss begins.
        factor: the greatest loss.
        floor: False: go on falling beyond `longest` (verl).

    Raises:
        ValueError: not 0 < buffer <= longest.
    """
    if not 0 < buffer <= longest:
        raise ValueError(f"The buffer must have 0 < buffer <= longest, but buffer={buffer} and longest={longest}.")
    excess = lengths.to(torch.float64) - (longest - buffer)
    penalty = -factor * (excess / buffer).clamp(min=0)
    return penalty.clamp(min=-factor) if floor else penalty
