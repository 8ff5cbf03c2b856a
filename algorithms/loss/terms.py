"""What every policy loss returns, and how a term gets exactly its stated value and gradient.

    usable = usable_tokens(mask, logp, old_logp, advantage)
    ratio = token_ratio(logp, old_logp, usable, bound=20.0)
    terms = minimise(logp, usable, value=ratio.value * advantage, factor=ratio.slope * advantage)

A clip rule is stated by two numbers per token: the value of its objective, and its gradient with respect to the token's
log-probability (the *factor*). `minimise` builds a term with just these, as value + factor * (logp -
stop_gradient(logp)). So no rule is left to what automatic differentiation makes of ties, of 0 * inf, or of a quotient
like (1 + e) / ratio * ratio, whose float32 form is NaN from ratio e^88 on; and the factor can be counted, plotted and
tested by itself.

Left out: second derivatives (a term is linear in logp around its point, and first-order optimisers ask no more).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class PolicyTerms(NamedTuple):
    """A policy loss before aggregation. All tensors are [rows, tokens].

    loss: the terms to minimise; 0 where a token does not count. The only tensor that carries gradient.
    factor: d(objective)/d(logp) of each token, so d(loss)/d(logp) = -factor.
    clipped_high: tokens above the upper bound where a rise is wanted (advantage > 0 for the PPO family).
    clipped_low: tokens below the lower bound where a fall is wanted (advantage < 0 for the PPO family).
    dual_clipped: tokens with a negative advantage above the dual-clip bound.
    unusable: tokens of the mask with a NaN or an infinity among their inputs; their term is 0, and they are to be
        reported. Denominators, counted before the update, go on counting them.
    """

    loss: Tensor
    factor: Tensor
    clipped_high: Tensor
    clipped_low: Tensor
    dual_clipped: Tensor
    unusable: Tensor


class TokenRatio(NamedTuple):
    """Ratios of new to old probability, without gradient. Both tensors are [rows, tokens].

    value: exp(log-ratio within the bound); 1 where a token is not usable.
    slope: d(value)/d(logp): the value itself, 0 where the bound acts.
    """

    value: Tensor
    slope: Tensor


class ClipCounts(NamedTuple):
    """What a clip did to some rows; counts of several micro-batches may be added up field by field.

    trained: tokens of the mask. high, low, dual, unusable: how many of them each field of `PolicyTerms` names.
    kept: sum of |factor| over tokens beyond the upper or lower bound, the gradient (in units of advantage) that a rule
    leaves them where PPO leaves none: 0 for `clip`, what AEPO's balanced clip gave back for `balanced_clip`.
    """

    trained: float
    high: float
    low: float
    dual: float
    unusable: float
    kept: float


def clip_counts(terms: PolicyTerms, mask: Tensor) -> ClipCounts:
    """Count what a loss clipped on trained tokens; `mask` is [rows, tokens]. Waits for the device: once per batch."""
    trained = mask.bool()
    beyond = (terms.clipped_high | terms.clipped_low) & trained
    fields = (terms.clipped_high, terms.clipped_low, terms.dual_clipped, terms.unusable)
    sums = [trained.sum(), *((field & trained).sum() for field in fields)]
    sums.append(torch.where(beyond, terms.factor.abs(), 0.0).double().sum())
    return ClipCounts(*torch.stack([value.double() for value in sums]).tolist())


def usable_tokens(mask: Tensor, *inputs: Tensor) -> Tensor:
    """Tokens of the mask whose inputs are all finite, as booleans [rows, tokens].

    Raises:
        ValueError: an input has another shape than the mask.
    """
    usable = mask.bool()
    for number, values in enumerate(inputs, start=1):
        if values.shape != mask.shape:
            raise ValueError(
                f"Per-token inputs must have the mask's shape [rows, tokens] = {list(mask.shape)}, but input {number} "
                f"has {list(values.shape)}. Spread row values over tokens first (advantage.attribution.soft)."
            )
        usable = usable & torch.isfinite(values.detach())
    return usable


def token_ratio(logp: Tensor, old_logp: Tensor, usable: Tensor, bound: float | None = 20.0) -> TokenRatio:
    """Per-token probability ratios exp(logp - old_logp).

    Args:
        logp: log-probabilities under the policy in training, [rows, tokens].
        old_logp: under the policy that starts the update, [rows, tokens].
        usable: from `usable_tokens`.
        bound: log-ratios are cut to +-bound before exp, and the slope is 0 where they were (as verl and OpenRLHF do
            with 20). None: no bound, for closed forms in float64; float32 ratios are then infinite above e^88.
    """
    log_ratio = torch.where(usable, at_least_float32(logp.detach()) - at_least_float32(old_logp.detach()), 0.0)
    if bound is None:
        value = log_ratio.exp()
        return TokenRatio(value, value)
    value = log_ratio.clamp(-bound, bound).exp()
    return TokenRatio(value, torch.where(log_ratio.abs() <= bound, value, 0.0))


def minimise(logp: Tensor, usable: Tensor, value: Tensor, factor: Tensor) -> Tensor:
    """Terms to minimise, [rows, tokens]: minus an objective of the given value and gradient; 0 where not usable.

    Args:
        logp: log-probabilities under the policy in training, the only input that gets gradient.
        usable: from `usable_tokens`.
        value: the objective per token.
        factor: its derivative with respect to logp.
    """
    current = at_least_float32(logp)
    objective = value.detach() + factor.detach() * (current - current.detach())
    # Value and factor are finite everywhere, so this drops a NaN of logp from the loss and from the gradient.
    return -torch.where(usable, objective, 0.0)


def constant(values: Tensor, usable: Tensor, logp: Tensor) -> Tensor:
    """A constant of the loss (advantages, weights): in its precision, without gradient, 0 if not usable."""
    return torch.where(usable, values.detach(), 0.0).to(at_least_float32(logp).dtype)


def at_least_float32(values: Tensor) -> Tensor:
    """Half-precision values as float32: an update's ratios differ from 1 by less than bfloat16 resolves."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
