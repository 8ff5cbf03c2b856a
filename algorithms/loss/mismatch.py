"""Corrections where the engine that sampled and the learner that trains disagree about probabilities.

    weights = importance_weights(old_logp, rollout_logp, mask)                                # TIS, per token
    weights = importance_weights(old_logp, rollout_logp, mask, level="row")                   # TIS, per trajectory
    weights = importance_weights(old_logp, rollout_logp, mask, lowest=0.5, highest=5.0, outside="drop")     # IcePop
    weights = importance_weights(old_logp, rollout_logp, mask, level="row", highest=3.0, outside="drop")    # MIS
    terms = weighted(terms, weights)

With r = exp(old_logp - rollout_logp): old_logp is the learner's own log-probability before the update, rollout_logp the
sampling engine's. Weights are constant, multiply the terms of any policy loss, and leave all denominators as they are.

Sources: truncated importance sampling (TIS): Yao et al., Your Efficient RL Framework Secretly Brings You Off-Policy RL
Training (2025), defaults as verl's (2) and TRL's (3, whole rows dropped: MIS); IcePop: Ring-1T, arXiv:2510.18855.

Where the update itself starts from rollout_logp instead of old_logp ("bypass"), its ratio holds the correction already:
then do not multiply once more. Left out: verl's rejection by max or sum of k2 and k3, OpenRLHF's by total variation.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from algorithms.loss.terms import PolicyTerms, usable_tokens

Level = Literal["token", "row"]
Outside = Literal["truncate", "drop"]
LOG_RATIO_BOUND = 20.0  # as in verl, before exp


def importance_weights(
    old_logp: Tensor,
    rollout_logp: Tensor,
    mask: Tensor,
    *,
    level: Level = "token",
    lowest: float = 0.0,
    highest: float = 2.0,
    outside: Outside = "truncate",
    normalised: bool = False,
) -> Tensor:
    """Weights per token, [rows, tokens], float64; 0 outside the mask and where an input is not finite.

    Args:
        old_logp: the learner's log-probabilities before the update, [rows, tokens].
        rollout_logp: the sampling engine's, [rows, tokens].
        mask: 1 on trained tokens, [rows, tokens].
        level: "token": each token its own ratio; "row": the product of the row's ratios on all of its tokens.
        lowest: smallest ratio kept by "drop".
        highest: greatest ratio kept, or where ratios are cut.
        outside: "truncate": greater ratios become `highest`, small ones stay; "drop": ratios outside get weight 0.
        normalised: divide by the mean weight of the trained tokens (rows, for level "row").

    Raises:
        ValueError: shapes differ, not 0 <= lowest <= 1 <= highest, a lower bound with "truncate", or an unknown option.
    """
    _check(level, lowest, highest, outside)
    usable = usable_tokens(mask, old_logp, rollout_logp)
    log_ratio = torch.where(usable, old_logp.detach().double() - rollout_logp.detach().double(), 0.0)
    if level == "row":
        log_ratio = log_ratio.sum(-1, keepdim=True).expand_as(log_ratio)
    ratio = log_ratio.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp()
    if outside == "truncate":
        weights = ratio.clamp(max=highest)
    else:
        weights = torch.where((ratio >= lowest) & (ratio <= highest), ratio, 0.0)
    weights = torch.where(usable, weights, 0.0)
    if normalised:
        weights = weights / _mean(weights, usable, level)
    return weights


def rows_within(old_logp: Tensor, rollout_logp: Tensor, mask: Tensor, *, lowest: float, highest: float) -> Tensor:
    """Rows whose geometric mean of ratios lies in a band, [rows], booleans; rows without trained tokens do.

    Times token weights this is OpenRLHF's sequence-level mask. Arguments as `importance_weights`.

    Raises:
        ValueError: shapes differ, or not 0 <= lowest <= 1 <= highest.
    """
    _check("row", lowest, highest, "drop")
    usable = usable_tokens(mask, old_logp, rollout_logp)
    log_ratio = torch.where(usable, old_logp.detach().double() - rollout_logp.detach().double(), 0.0)
    mean = (log_ratio.sum(-1) / usable.sum(-1).clamp(min=1)).exp()
    return (mean >= lowest) & (mean <= highest)


def weighted(terms: PolicyTerms, weights: Tensor) -> PolicyTerms:
    """Terms of a policy loss times constant weights, [rows, tokens]."""
    weights = weights.detach().to(terms.loss.dtype)
    return terms._replace(loss=terms.loss * weights, factor=terms.factor * weights)


def _mean(weights: Tensor, usable: Tensor, level: Level) -> Tensor:
    """The mean weight of trained tokens, or of rows that have any; 1 where that is 0."""
    if level == "row":
        weights, usable = weights.amax(-1), usable.any(-1)  # a row's trained tokens all have its weight
    mean = weights.sum() / usable.sum().clamp(min=1)
    return torch.where(mean > 0, mean, 1.0)


def _check(level: Level, lowest: float, highest: float, outside: Outside) -> None:
    """Options that fit together."""
    if level not in get_args(Level) or outside not in get_args(Outside):
        raise ValueError(f"Expected level token or row and outside truncate or drop, got {level!r} and {outside!r}.")
    if not 0 <= lowest <= 1 <= highest:
        raise ValueError(f"Bounds of the ratio must have 0 <= lowest <= 1 <= highest, but are {lowest} and {highest}.")
    if outside == "truncate" and lowest != 0:
        raise ValueError(f"Truncation cuts great ratios alone, but lowest={lowest}: choose outside='drop' for a band.")
