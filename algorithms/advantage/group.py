"""Advantages relative to the other answers to the same question.

    group_normalised(rewards, questions)                       # GRPO, ARPO, AEPO:   (r - mean) / (sd + 1e-6)
    group_normalised(rewards, questions, deviation="none")     # Dr. GRPO:           r - mean
    leave_one_out(rewards, questions)                          # RLOO:               r - mean of the others
    dead_groups(rewards, questions)                            # rows that teach nothing, e.g. for DAPO's sampling

`questions` holds any whole number per row; rows with the same number form a group, in any order.

Rows to be left out of the statistics (an episode without a valid reward) are left out by the caller: a NaN reward is an
error here, since one row would spoil its group silently.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Deviation = Literal["sample", "population", "batch", "none"]
"""By what centred rewards are divided.

sample: the group's standard deviation with n - 1 (verl, TRL, OpenRLHF, the code of ARPO and AEPO). population: with n
(the papers write std and do not say). batch: the sample deviation of all rewards of the batch (TRL's scale_rewards
"batch"). none: nothing is divided (Dr. GRPO).
"""


class _Groups(NamedTuple):
    """Statistics of each row's own group, [rows] each, float64."""

    rewards: Tensor
    of_row: Tensor
    size: Tensor
    mean: Tensor
    constant: Tensor


def group_normalised(
    rewards: Tensor,
    questions: Tensor,
    *,
    deviation: Deviation = "sample",
    epsilon: float = 1e-6,
    smallest_deviation: float = 0.0,
) -> Tensor:
    """(r - mean of the group) / (deviation + epsilon), [rows], float64.

    Source: GRPO, arXiv:2402.03300, section 4.1.2 (outcome supervision); Dr. GRPO, arXiv:2503.20783, drops the
    deviation.

    Args:
        rewards: one per row, [rows].
        questions: group of each row, [rows], whole numbers.
        deviation: see `Deviation`.
        epsilon: added to the deviation: 1e-6 in verl and in the code of ARPO and AEPO, 1e-4 in TRL, 1e-9 in OpenRLHF.
        smallest_deviation: groups whose deviation lies below it get 0, where rounding noise of 1e-7 would otherwise be
            blown up to 0.5.

    Groups of one and groups of equal rewards get exactly 0. (verl and others give a group of one its raw reward.)

    Raises:
        ValueError: shapes differ, a reward is not finite, `questions` are no whole numbers, or an unknown deviation.
    """
    groups = _groups(rewards, questions)
    centred = groups.rewards - groups.mean
    if deviation == "none":
        return torch.where(groups.constant, 0.0, centred)
    if deviation == "batch":
        spread = groups.rewards.std() if len(rewards) > 1 else torch.zeros((), device=rewards.device)
        divisor = spread.to(torch.float64).expand_as(centred)
    elif deviation in ("sample", "population"):
        degrees = groups.size - (1 if deviation == "sample" else 0)
        divisor = (_sum(centred.square(), groups.of_row) / degrees.clamp(min=1)).sqrt()
    else:
        raise ValueError(f"Unknown deviation {deviation!r}: choose sample, population, batch or none.")
    flat = groups.constant | (divisor < smallest_deviation)
    return torch.where(flat, 0.0, centred / (divisor + epsilon))


def leave_one_out(rewards: Tensor, questions: Tensor) -> Tensor:
    """RLOO's advantage: r - mean of the group's other rewards = n / (n - 1) * (r - mean), [rows], float64.

    Source: RLOO, arXiv:2402.14740 (k samples per question). Groups of one and of equal rewards get exactly 0.

    Args:
        rewards: one per row, [rows].
        questions: group of each row, [rows], whole numbers.

    Raises:
        ValueError: as `group_normalised`.
    """
    groups = _groups(rewards, questions)
    scale = groups.size / (groups.size - 1).clamp(min=1)
    return torch.where(groups.constant, 0.0, scale * (groups.rewards - groups.mean))


def dead_groups(rewards: Tensor, questions: Tensor, *, tolerance: float = 0.0) -> Tensor:
    """Rows whose group has no spread of rewards and so teaches nothing, [rows], booleans. A group of one is dead.

    DAPO's dynamic sampling (arXiv:2503.14476, section 3.2) drops these and samples further questions. Give it the
    task's own reward: with a length penalty or a divergence in it, every group has some spread.

    Args:
        rewards: one per row, [rows].
        questions: group of each row, [rows], whole numbers.
        tolerance: largest difference between rewards that still counts as none.

    Raises:
        ValueError: as `group_normalised`.
    """
    groups = _groups(rewards, questions)
    return _extreme(groups, "amax") - _extreme(groups, "amin") <= tolerance


def _groups(rewards: Tensor, questions: Tensor) -> _Groups:
    """Statistics of every row's group."""
    if rewards.dim() != 1 or rewards.shape != questions.shape or questions.is_floating_point():
        raise ValueError(
            "Expected rewards [rows] and questions [rows] of whole numbers, but got "
            f"{list(rewards.shape)} and {list(questions.shape)} of {questions.dtype}."
        )
    values = rewards.detach().to(torch.float64)
    if not bool(torch.isfinite(values).all()):
        rows = (~torch.isfinite(values)).nonzero().flatten().tolist()
        raise ValueError(
            f"Rewards must be finite, but those of rows {rows[:10]} are NaN or infinite. "
            "Leave out trajectories whose reward is unknown before advantages are computed."
        )
    _, index = torch.unique(questions, return_inverse=True)
    size = _sum(torch.ones_like(values), index)
    groups = _Groups(values, index, size, _sum(values, index) / size, torch.zeros_like(index, dtype=torch.bool))
    # Equality is seen on the rewards themselves: three times 0.1 has a mean that is not quite 0.1.
    return groups._replace(constant=_extreme(groups, "amax") == _extreme(groups, "amin"))


def _sum(values: Tensor, index: Tensor) -> Tensor:
    """For each row, the sum over its group, [rows]."""
    return torch.zeros_like(values).index_add(0, index, values)[index]


def _extreme(groups: _Groups, kind: Literal["amax", "amin"]) -> Tensor:
    """For each row, the largest or smallest reward of its group, [rows]."""
    empty = torch.zeros_like(groups.rewards)
    return empty.scatter_reduce(0, groups.of_row, groups.rewards, kind, include_self=False)[groups.of_row]
