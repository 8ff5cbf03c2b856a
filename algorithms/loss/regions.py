"""The three regions every clipped surrogate of the PPO family has, and what happens in each.

    terms = by_region(logp, old_logp, advantage, mask, high=Bound(1.2, value=1.2, factor=1.2),
                      low=Bound(0.8, value=0.8, factor=0.0), dual=3.0)

With the ratio d = exp(logp - old_logp) and the advantage A, the objective per token and its derivative with respect to
logp (`factor`) are

    A > 0 and d > high.at   value high.value * A   factor high.factor * A      the step already went far enough
    A < 0 and d < low.at    value low.value * A    factor low.factor * A       likewise, downwards
    A < 0 and d > dual      value dual * A         factor 0                    dual clip
    else                    value d * A            factor d * A

PPO's clip, DAPO's, AEPO's, GPPO's and CE-GPPO's differ in nothing but the two `Bound`s: their files say which.

Dual clip: Ye et al., Mastering Complex Control in MOBA Games with Deep Reinforcement Learning, arXiv:1912.09729:
for A < 0 the objective is kept above dual * A, so that one token with a huge ratio cannot rule the batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from algorithms.loss.terms import PolicyTerms, constant, minimise, token_ratio, usable_tokens


class Bound(NamedTuple):
    """A clip bound: the ratio it lies at, and objective and gradient beyond it in units of the advantage."""

    at: float
    value: float
    factor: float


def by_region(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    high: Bound,
    low: Bound,
    dual: float | None,
    log_ratio_bound: float | None = 20.0,
) -> PolicyTerms:
    """Terms of a clipped surrogate with the given bounds; all tensors [rows, tokens].

    Args:
        logp: log-probabilities under the policy in training; gets the gradient.
        old_logp: log-probabilities under the policy that starts the update.
        advantage: one number per token, taken as constant.
        mask: 1 on trained tokens.
        high: what lies above the upper bound, for A > 0.
        low: what lies below the lower bound, for A < 0.
        dual: ratio above which tokens with A < 0 stop, or None.
        log_ratio_bound: see `terms.token_ratio`.

    Raises:
        ValueError: shapes differ, or the bounds are not 0 <= low.at <= 1 <= high.at < dual.
    """
    _check(high, low, dual)
    usable = usable_tokens(mask, logp, old_logp, advantage)
    ratio = token_ratio(logp, old_logp, usable, log_ratio_bound)
    weight = constant(advantage, usable, logp)
    rising, falling = weight > 0, weight < 0
    above = rising & (ratio.value > high.at)
    below = falling & (ratio.value < low.at)
    value, factor = ratio.value, ratio.slope
    value = torch.where(above, high.value, torch.where(below, low.value, value))
    factor = torch.where(above, high.factor, torch.where(below, low.factor, factor))
    beyond = torch.zeros_like(above)
    if dual is not None:
        beyond = falling & (ratio.value > dual)
        value, factor = torch.where(beyond, dual, value), torch.where(beyond, 0.0, factor)
    # A weight of 0 takes part in nothing, whatever the ratio: 0 * inf is NaN.
    idle = weight == 0
    value, factor = torch.where(idle, 0.0, value * weight), torch.where(idle, 0.0, factor * weight)
    unusable = mask.bool() & ~usable
    return PolicyTerms(minimise(logp, usable, value, factor), factor, above, below, beyond, unusable)


def _check(high: Bound, low: Bound, dual: float | None) -> None:
    """Bounds lie around 1, the dual clip beyond the upper one."""
    if not 0 <= low.at <= 1 <= high.at:
        raise ValueError(
            f"Clip bounds must have 0 <= 1 - low <= 1 <= 1 + high, but are {low.at} and {high.at}. "
            "`low` and `high` are widths (0.2), not ratios (1.2)."
        )
    if dual is not None and not dual > high.at:
        raise ValueError(
            f"The dual clip is a ratio beyond the upper bound {high.at}, but is {dual}; None turns it off."
        )
