"""PPO's clipped surrogate, with bounds that may differ (DAPO's clip-higher) and the dual clip.

    terms = clip(logp, old_logp, advantage, mask)                              # PPO, GRPO, ARPO, REINFORCE++, GiGPO
    terms = clip(logp, old_logp, advantage, mask, high=0.28, dual=10.0)        # DAPO

    objective = min(d A, clip(d, 1 - low, 1 + high) A);   for A < 0 and a dual clip c: max(objective, c A)

Sources: PPO, arXiv:1707.06347, Eq. 7; clip-higher: DAPO, arXiv:2503.14476, Eq. 10; dual clip: arXiv:1912.09729.
INTELLECT-2's two-sided clip (arXiv:2505.07291) with delta > 1 + high is the dual clip with c = delta, so one option is
both. ARPO and AEPO as published run with low = high = 0.2 and a dual clip of 3, which neither paper's formula has.
"""

from torch import Tensor

from algorithms.loss.regions import Bound, by_region
from algorithms.loss.terms import PolicyTerms


def clip(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    low: float = 0.2,
    high: float = 0.2,
    dual: float | None = 3.0,
    log_ratio_bound: float | None = 20.0,
) -> PolicyTerms:
    """PPO's clipped surrogate per token; all tensors [rows, tokens], arguments as in `regions.by_region`.

    Gradient factor: 0 where A > 0 and d > 1 + high, where A < 0 and d < 1 - low, and where A < 0 and d > dual;
    d everywhere else.
    """
    return by_region(
        logp,
        old_logp,
        advantage,
        mask,
        high=Bound(1 + high, value=1 + high, factor=0.0),
        low=Bound(1 - low, value=1 - low, factor=0.0),
        dual=dual,
        log_ratio_bound=log_ratio_bound,
    )
