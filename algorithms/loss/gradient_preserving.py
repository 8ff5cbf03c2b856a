"""GPPO and CE-GPPO: tokens beyond either clip bound keep a bounded gradient.

    terms = gradient_preserving_clip(logp, old_logp, advantage, mask)                            # GPPO
    terms = gradient_preserving_clip(logp, old_logp, advantage, mask, high=0.2, low_scale=0.5)   # CE-GPPO

    GPPO:     objective = min(d A, clip(d, ((1 - low) / sg(d)) d, ((1 + high) / sg(d)) d) A)
    CE-GPPO:  the same, with the part below the bound times `low_scale` and the part above times `high_scale`

Sources: GPPO: Klear-Reasoner, arXiv:2508.07629, Eq. 11-12; CE-GPPO: arXiv:2509.20712, Eq. 17-18 (beta_1 = low_scale,
beta_2 = high_scale). CE-GPPO's scripts use low = high = 0.2, beta_1 0.5 (1.5B) or 0.75 (7B), beta_2 1; its code's
default is 0.25 and 1. Dual clip 10 in that code, not in the formulas.

Deviations, stated: `compute_gppo_loss` of the published CE-GPPO repository fails with a NameError, so GPPO there can
only run as the general form with both scales 1, which is what this is. Like AEPO's code it forms (1 + high) / d * d;
see `terms`.
"""

from torch import Tensor

from algorithms.loss.regions import Bound, by_region
from algorithms.loss.terms import PolicyTerms


def gradient_preserving_clip(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    low: float = 0.2,
    high: float = 0.28,
    low_scale: float = 1.0,
    high_scale: float = 1.0,
    dual: float | None = 10.0,
    log_ratio_bound: float | None = 20.0,
) -> PolicyTerms:
    """GPPO's (both scales 1) or CE-GPPO's surrogate per token; arguments and shapes as `regions.by_region`.

    Gradient factor: high_scale * (1 + high) where A > 0 and d > 1 + high; low_scale * (1 - low) where A < 0 and
    d < 1 - low; 0 where A < 0 and d > dual; d everywhere else. Values beyond the bounds are scaled likewise.

    Raises:
        ValueError: a scale is negative, or as `regions.by_region`.
    """
    if low_scale < 0 or high_scale < 0:
        raise ValueError(f"Scales of the clipped parts must be at least 0, but are {low_scale} and {high_scale}.")
    above, below = high_scale * (1 + high), low_scale * (1 - low)
    return by_region(
        logp,
        old_logp,
        advantage,
        mask,
        high=Bound(1 + high, value=above, factor=above),
        low=Bound(1 - low, value=below, factor=below),
        dual=dual,
        log_ratio_bound=log_ratio_bound,
    )
