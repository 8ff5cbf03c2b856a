"""Losses with one probability ratio per trajectory: GSPO (per-token geometric mean) and RLOO (the whole sequence).

    terms = sequence_clip(logp, old_logp, advantage, mask, low=3e-4, high=4e-4)                            # GSPO
    terms = sequence_clip(logp, old_logp, advantage, mask, low=0.2, high=0.2, length_normalised=False)     # RLOO

    s_i = exp(mean_t (logp - old_logp))   or, not normalised,   exp(sum_t (logp - old_logp)),  over the row's tokens
    objective per row = min(s_i A, clip(s_i, 1 - low, 1 + high) A)

Sources: GSPO, arXiv:2507.18071, Eq. 5 and 7, with its token form (GSPO-token) for advantages that vary inside a row;
RLOO, arXiv:2402.14740, as TRL runs it with several steps per batch. Aggregate GSPO with sequence-mean-token-mean and
RLOO with sequence-mean-token-sum: a row's terms then add up to the row's objective, and each token gets its gradient
s_i A.

Left out: a dual clip (neither has one).
"""

import torch
from torch import Tensor

from algorithms.loss.terms import PolicyTerms, at_least_float32, constant, minimise, usable_tokens


def sequence_clip(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    low: float = 3e-4,
    high: float = 4e-4,
    length_normalised: bool = True,
    log_ratio_bound: float | None = 10.0,
) -> PolicyTerms:
    """A clipped surrogate with one ratio s per row; all tensors [rows, tokens].

    Gradient factor of each of the row's tokens: 0 where A > 0 and s > 1 + high or A < 0 and s < 1 - low; else s.

    Args:
        logp: log-probabilities under the policy in training; gets the gradient.
        old_logp: log-probabilities under the policy that starts the update.
        advantage: constant; for both published algorithms one number per row, spread over its tokens.
        mask: 1 on trained tokens.
        low: width of the band below 1.
        high: width of the band above 1.
        length_normalised: True: the geometric mean of the row's ratios (GSPO); False: their product (RLOO).
        log_ratio_bound: log s is cut to this from above, with gradient 0 there (10 in verl). None: no bound.

    Raises:
        ValueError: shapes differ, or a width is negative or `low` above 1.
    """
    if not (0 <= low <= 1 and high >= 0):
        raise ValueError(f"Clip widths must have 0 <= low <= 1 and high >= 0, but are {low} and {high}.")
    usable = usable_tokens(mask, logp, old_logp, advantage)
    # float64: the band is a few 1e-4 wide, and a sum over thousands of float32 log-ratios errs by as much.
    log_ratio = torch.where(usable, logp.detach().double() - old_logp.detach().double(), 0.0)
    lengths = usable.sum(-1, keepdim=True).clamp(min=1)
    row = log_ratio.sum(-1, keepdim=True)
    row = row / lengths if length_normalised else row
    ratio = (row if log_ratio_bound is None else row.clamp(max=log_ratio_bound)).exp()
    slope = ratio if log_ratio_bound is None else torch.where(row <= log_ratio_bound, ratio, 0.0)
    weight = constant(advantage, usable, logp)
    above, below = (weight > 0) & (ratio > 1 + high), (weight < 0) & (ratio < 1 - low)
    value = torch.where(above, 1 + high, torch.where(below, 1 - low, ratio)) * weight
    factor = torch.where(above | below, 0.0, slope) * weight
    if not length_normalised:
        value = value / lengths  # a row's terms are summed, and add up to its objective once
    dtype = at_least_float32(logp).dtype
    value, factor = value.to(dtype), factor.to(dtype)
    unusable = mask.bool() & ~usable
    return PolicyTerms(minimise(logp, usable, value, factor), factor, above, below, torch.zeros_like(above), unusable)
