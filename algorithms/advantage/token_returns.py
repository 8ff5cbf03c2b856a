"""Returns per token: the discounted sum of what a trajectory still earns. REINFORCE++ whitens them into advantages.

    rewards = outcome_on_last_token(scores, mask) + kl_reward(old_logp, ref_logp, mask, 0.01)
    advantage = whitened(returns_to_go(rewards, mask, discount=1.0), mask)

Source: REINFORCE++, arXiv:2501.03262: token rewards r on the last token and -beta KL on every one, G_t = sum over s >=
t of discount^(s - t) r_s.

Deviation, stated: only trained tokens are steps, so what stands between two turns (a tool's result) costs no discount,
as in verl; OpenRLHF counts it.
"""

import torch
from torch import Tensor


def outcome_on_last_token(scores: Tensor, mask: Tensor) -> Tensor:
    """Each row's reward on its last trained token, [rows, tokens], float64; nothing for a row without one.

    Args:
        scores: one per row, [rows].
        mask: 1 on trained tokens, [rows, tokens].

    Raises:
        ValueError: shapes do not fit.
    """
    if scores.dim() != 1 or mask.dim() != 2 or len(scores) != len(mask):
        raise ValueError(
            f"Expected scores [rows] and mask [rows, tokens], got {list(scores.shape)}, {list(mask.shape)}."
        )
    trained = mask.bool()
    # The last trained token is the one with no other after it.
    after = trained.to(torch.long).flip(-1).cumsum(-1).flip(-1)
    return torch.where(trained & (after == 1), scores.detach().to(torch.float64).unsqueeze(-1), 0.0)


def returns_to_go(rewards: Tensor, mask: Tensor, *, discount: float = 1.0) -> Tensor:
    """The discounted sum of rewards from each trained token on, [rows, tokens], float64; 0 outside the mask.

    Args:
        rewards: per token, [rows, tokens]; read on trained tokens alone.
        mask: 1 on trained tokens, [rows, tokens].
        discount: factor per trained token, 0 to 1.

    Raises:
        ValueError: shapes differ, or a discount outside 0 to 1.
    """
    if rewards.shape != mask.shape:
        raise ValueError(f"`rewards` must have the mask's shape {list(mask.shape)}, but has {list(rewards.shape)}.")
    if not 0 <= discount <= 1:
        raise ValueError(f"A discount lies between 0 and 1, but is {discount}.")
    trained = mask.bool()
    kept = torch.where(trained, rewards.detach().to(torch.float64), 0.0)
    running = torch.zeros_like(kept[:, 0]) if kept.shape[1] else kept.new_zeros(len(kept))
    columns = []
    for column in range(kept.shape[1] - 1, -1, -1):
        running = torch.where(trained[:, column], kept[:, column] + discount * running, running)
        columns.append(running)
    returns = torch.stack(columns[::-1], dim=1) if columns else kept
    return torch.where(trained, returns, 0.0)
