"""Divergence from a frozen reference policy, estimated from the sampled tokens.

    loss = aggregate(terms.loss + 0.001 * kl_terms(logp, ref_logp, mask, "k3").loss, mask, weights)

With y = ref_logp - logp, per token:

    estimator    value           gradient with respect to logp
    k1           -y              1
    k2           y^2 / 2         -y
    k3           e^y - y - 1     1 - e^y
    absolute     |y|             -sign(y)
    k3-with-k2   e^y - y - 1     -y

Sources: Schulman, Approximating KL Divergence (2020), for k1, k2, k3; k3 in the loss: GRPO, arXiv:2402.03300, Eq. 4.
Differentiated on the policy's own samples, k2's gradient is that of KL(policy || reference); k1's has the mean 0, so k1
belongs into the reward, and k3's is that of the other direction: hence `k3-with-k2`, a value never negative with k2's
gradient (verl's "k3+").

Deviation, stated: verl cuts k3 at 10 and gives tokens above it no gradient, just where the policy strayed farthest;
`highest=10.0` does that too, the default does not. TRL does neither that nor bound y.
"""

from typing import NamedTuple, get_args

import torch
from torch import Tensor

from algorithms.loss.terms import at_least_float32, minimise, usable_tokens
from algorithms.options import KlEstimator as KlEstimator


class KlTerms(NamedTuple):
    """Per-token divergences, [rows, tokens].

    loss: terms to minimise, 0 where a token does not count. unusable: tokens of the mask with a NaN or an infinity.
    """

    loss: Tensor
    unusable: Tensor


def kl_terms(
    logp: Tensor,
    ref_logp: Tensor,
    mask: Tensor,
    estimator: KlEstimator = "k3",
    *,
    log_ratio_bound: float | None = 20.0,
    highest: float | None = None,
) -> KlTerms:
    """The divergence from the reference per token; all tensors [rows, tokens]; gradient reaches logp alone.

    Args:
        logp: log-probabilities under the policy in training.
        ref_logp: log-probabilities under the frozen reference.
        mask: 1 on trained tokens.
        estimator: see this file's opening.
        log_ratio_bound: y of the exponential estimators is cut to +-this, with gradient 0 there. None: no bound.
        highest: values of the exponential estimators are cut here, with gradient 0 there. None: no cut.

    Raises:
        ValueError: shapes differ, or an unknown estimator.
    """
    usable = usable_tokens(mask, logp, ref_logp)
    y = torch.where(usable, at_least_float32(ref_logp.detach()) - at_least_float32(logp.detach()), 0.0)
    if estimator == "k1":
        value, slope = -y, torch.ones_like(y)
    elif estimator == "k2":
        value, slope = y.square() / 2, -y
    elif estimator == "absolute":
        value, slope = y.abs(), -y.sign()
    elif estimator in ("k3", "k3-with-k2"):
        value, slope = _exponential(y, log_ratio_bound, highest)
        slope = -y if estimator == "k3-with-k2" else slope
    else:
        raise ValueError(f"Unknown KL estimator {estimator!r}: choose one of {', '.join(get_args(KlEstimator))}.")
    return KlTerms(minimise(logp, usable, -value, -slope), mask.bool() & ~usable)


def kl_reward(old_logp: Tensor, ref_logp: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    """What a divergence costs in reward: -coefficient * (old_logp - ref_logp) per trained token, [rows, tokens].

    The k1 estimator, as in RLHF with PPO (arXiv:2203.02155, Eq. 2), REINFORCE++ and RLOO (there summed over the row).
    Nothing carries gradient. NaN and infinities of trained tokens are kept, so that they are seen.

    Raises:
        ValueError: shapes differ.
    """
    usable_tokens(mask, old_logp, ref_logp)  # for its check of shapes
    return torch.where(mask.bool(), -coefficient * (old_logp.detach() - ref_logp.detach()), 0.0)


def _exponential(y: Tensor, bound: float | None, highest: float | None) -> tuple[Tensor, Tensor]:
    """Value and gradient of k3 with its two cuts."""
    cut = y if bound is None else y.clamp(-bound, bound)
    value, slope = cut.exp() - cut - 1, 1 - cut.exp()
    if bound is not None:
        slope = torch.where(y.abs() <= bound, slope, 0.0)
    if highest is not None:
        slope = torch.where(value <= highest, slope, 0.0)
        value = value.clamp(max=highest)
    return value, slope
