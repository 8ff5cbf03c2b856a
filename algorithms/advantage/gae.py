"""Generalised advantage estimation, for PPO with a critic.

    advantage, returns = gae(rewards, values, mask, discount=1.0, decay=0.95)
    advantage = whitened(advantage, mask)

    delta_t = r_t + discount * V_next - V_t;   A_t = delta_t + discount * decay * A_next;   return_t = A_t + V_t

Source: arXiv:1506.02438, Eq. 16, in PPO's truncated form (arXiv:1707.06347, Eq. 11-12).

"Next" is the next token the policy wrote: a tool's result in between is bridged, with neither discount nor decay, as in
verl. OpenRLHF steps through it with value 0, which cuts the bootstrap at every tool call; not offered.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """advantage: per token. returns: what the critic should have said. Both [rows, tokens], float64, 0 elsewhere."""

    advantage: Tensor
    returns: Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float = 1.0, decay: float = 1.0) -> Estimate:
    """Advantages and returns of every trained token; not whitened.

    Args:
        rewards: per token, [rows, tokens]; read on trained tokens alone.
        values: the critic's prediction at each token, [rows, tokens]; read on trained tokens alone.
        mask: 1 on trained tokens, [rows, tokens].
        discount: factor per trained token (gamma), 0 to 1.
        decay: of the estimator's weights (lambda), 0 to 1: 0 is one step, 1 the whole return.

    Raises:
        ValueError: shapes differ, or a factor outside 0 to 1.
    """
    if rewards.shape != mask.shape or values.shape != mask.shape:
        raise ValueError(
            f"Rewards and values must have the mask's shape {list(mask.shape)}, but have {list(rewards.shape)} and "
            f"{list(values.shape)}."
        )
    if not (0 <= discount <= 1 and 0 <= decay <= 1):
        raise ValueError(f"Discount and decay lie between 0 and 1, but are {discount} and {decay}.")
    trained = mask.bool()
    reward, value = (torch.where(trained, tensor.detach().to(torch.float64), 0.0) for tensor in (rewards, values))
    next_value = next_advantage = torch.zeros(len(mask), dtype=torch.float64, device=mask.device)
    columns = []
    for column in range(mask.shape[1] - 1, -1, -1):
        here = trained[:, column]
        delta = reward[:, column] + discount * next_value - value[:, column]
        next_advantage = torch.where(here, delta + discount * decay * next_advantage, next_advantage)
        next_value = torch.where(here, value[:, column], next_value)
        columns.append(next_advantage)
    advantage = torch.where(trained, torch.stack(columns[::-1], dim=1), 0.0) if columns else value
    return Estimate(advantage, torch.where(trained, advantage + value, 0.0))
