"""Whitening: advantages of a whole batch brought to mean 0 and variance 1 over its trained tokens.

    # REINFORCE++ with a baseline:
    advantage = whitened(soft(group_normalised(rewards, questions, deviation="none"), mask), mask)

Sources: REINFORCE++, arXiv:2501.03262 (global advantage normalisation); PPO's reference implementation for GAE.

Deviations, stated: verl and OpenRLHF leave what falls on padding and observations in place, -mean / sd there, and rely
on the loss's mask; here those tokens are 0. With one trained token verl raises; here the result is 0, as it is exactly
where all values are equal. OpenRLHF takes the biased variance and floors it at 1e-8 instead of adding 1e-8 (`biased`).
"""

import torch
from torch import Tensor

EPSILON = 1e-8  # added to the variance, as verl does; or its floor, where the variance is biased, as OpenRLHF does


def whitened(values: Tensor, mask: Tensor, *, biased: bool = False) -> Tensor:
    """(value - mean) / sqrt(variance) over all trained tokens of the batch, [rows, tokens], float64; 0 elsewhere.

    Args:
        values: one per token, [rows, tokens].
        mask: 1 on trained tokens, [rows, tokens].
        biased: divide by n and floor the variance at 1e-8 (OpenRLHF), instead of by n - 1 and adding 1e-8 (verl).

    Raises:
        ValueError: shapes differ, or a trained token's value is not finite.
    """
    if values.shape != mask.shape:
        raise ValueError(f"`values` must have the mask's shape {list(mask.shape)}, but has {list(values.shape)}.")
    trained = mask.bool()
    kept = torch.where(trained, values.detach().to(torch.float64), 0.0)
    if not bool(torch.isfinite(kept).all()):
        raise ValueError(f"{int((~torch.isfinite(kept)).sum())} trained tokens have a NaN or infinite value to whiten.")
    count = int(trained.sum())
    seen = kept[trained]
    if count < 2 or bool(seen.min() == seen.max()):  # three times 0.1 has a mean that is not quite 0.1
        return torch.zeros_like(kept)
    centred = torch.where(trained, kept - kept.sum() / count, 0.0)
    if biased:
        variance = (centred.square().sum() / count).clamp(min=EPSILON)
    else:
        variance = centred.square().sum() / (count - 1) + EPSILON
    return centred / variance.sqrt()
