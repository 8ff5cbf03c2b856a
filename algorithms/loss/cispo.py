"""CISPO: the importance weight is clipped, not the update, so that every token keeps a gradient.

    terms = cispo(logp, old_logp, advantage, mask, highest=1.28)

    objective = sg(clip(d, lowest, highest)) A logp                             sg: stop-gradient

Source: MiniMax-M1, arXiv:2506.13585, section 3.1: bounds 1 - eps_low and 1 + eps_high, the lower one disabled in
practice, eps_high tuned. Bounds here are absolute ratios, because libraries differ: verl's `clip_ratio_high` 0.2 is
highest = 1.2, TRL's `epsilon_high` 5.0 is highest = 5.0 (ScaleRL's cap, arXiv:2510.13786).

The value contains logp and is no clipped surrogate: compare CISPO's gradients with other losses', not its values.
"""

import torch
from torch import Tensor

from algorithms.loss.terms import PolicyTerms, constant, minimise, token_ratio, usable_tokens


def cispo(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    lowest: float = 0.0,
    highest: float = 1.28,
    log_ratio_bound: float | None = 20.0,
) -> PolicyTerms:
    """CISPO's objective per token; all tensors [rows, tokens].

    Gradient factor: clip(d, lowest, highest) for either sign of the advantage; never 0 where A is not.
    `clipped_high` and `clipped_low` are tokens whose weight was cut, whatever the sign.

    Args:
        logp: log-probabilities under the policy in training; gets the gradient.
        old_logp: log-probabilities under the policy that starts the update.
        advantage: one number per token, taken as constant.
        mask: 1 on trained tokens.
        lowest: smallest weight, a ratio; 0 leaves the lower side open.
        highest: largest weight, a ratio.
        log_ratio_bound: see `terms.token_ratio`.

    Raises:
        ValueError: shapes differ, or the bounds are not 0 <= lowest <= 1 <= highest.
    """
    if not 0 <= lowest <= 1 <= highest:
        raise ValueError(
            f"CISPO's bounds are ratios around 1, 0 <= lowest <= 1 <= highest, but are {lowest} and {highest}. "
            "A width of 0.2 is highest=1.2."
        )
    usable = usable_tokens(mask, logp, old_logp, advantage)
    ratio = token_ratio(logp, old_logp, usable, log_ratio_bound).value
    factor = ratio.clamp(lowest, highest) * constant(advantage, usable, logp)
    value = factor * constant(logp, usable, logp)
    above, below = usable & (ratio > highest), usable & (ratio < lowest)
    unusable = mask.bool() & ~usable
    return PolicyTerms(minimise(logp, usable, value, factor), factor, above, below, torch.zeros_like(above), unusable)
