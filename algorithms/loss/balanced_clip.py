"""AEPO's entropy clipping-balanced objective: PPO's values, but rising tokens beyond the bound keep a bounded gradient.

    terms = balanced_clip(logp, old_logp, advantage, mask)
    terms.clipped_high                                  # tokens to which PPO would have given no gradient
    (terms.factor * terms.clipped_high * mask).sum()    # what was given back to them

    objective = min(d A, clip(d, 1 - low, ((1 + high) / sg(d)) d) A)            sg: stop-gradient

Source: AEPO, arXiv:2510.14545, the section on entropy clipping-balanced policy optimisation. The upper bound has the
*value* 1 + high and the *gradient* of d scaled to 1 + high, so that good tokens whose probability rose fast (often the
uncertain ones, at which exploration happens) go on learning. It holds for all tokens, whatever their entropy.

Deviations, stated: the authors' code forms (1 + high) / d * d, which is NaN from d = e^88 on in float32 and then spoils
the whole loss; here the term is built from its value and gradient (see `terms`). The dual clip of 3 is in their code
and not in the formula; `dual=None` is the formula. The lower side stays PPO's: `gradient_preserving` also keeps that
one.
"""

from torch import Tensor

from algorithms.loss.regions import Bound, by_region
from algorithms.loss.terms import PolicyTerms


def balanced_clip(
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
    """AEPO's clipped surrogate per token; all tensors [rows, tokens], arguments as in `regions.by_region`.

    Gradient factor: 1 + high where A > 0 and d > 1 + high; 0 where A < 0 and d < 1 - low, and where A < 0 and d > dual;
    d everywhere else. Values equal those of `clip`.
    """
    return by_region(
        logp,
        old_logp,
        advantage,
        mask,
        high=Bound(1 + high, value=1 + high, factor=1 + high),
        low=Bound(1 - low, value=1 - low, factor=0.0),
        dual=dual,
        log_ratio_bound=log_ratio_bound,
    )
