"""Clip-Cov and KL-Cov: the few tokens that drive entropy down are taken out of the update, or held back in it.

    covariance = token_covariance(logp, advantage, mask)
    terms = clip(logp, old_logp, advantage, mask, low=1.0, high=1.0, dual=None)
    terms = dropped(terms, chosen_at_random(between(covariance, terms, 1.0, 5.0), mask, draws))          # Clip-Cov
    terms = kl_cov(logp, old_logp, advantage, mask, most_covariant(covariance, mask), coefficient=1.0)   # KL-Cov

    cov_t = (A_t - mean A) (logp_t - mean logp),  means over trained tokens

Source: Cui et al., The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models, arXiv:2505.22617, the
sections on Clip-Cov and KL-Cov. A token that is likely and good (or unlikely and bad) has a high covariance, and moving
it lowers entropy.

Means and shares count the tokens given. The published code gives it one micro-batch, so that the choice depends on how
a batch is cut; give it all rows of the optimiser step (with the log-probabilities of the scoring pass) to avoid that.
"""

import torch
from torch import Tensor

from algorithms.loss.terms import PolicyTerms, at_least_float32, constant, minimise, token_ratio, usable_tokens


def token_covariance(logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Each trained token's share in the covariance of advantage and log-probability, [rows, tokens], float64.

    -inf outside the mask and where an input is not finite, so that such tokens are never chosen.

    Raises:
        ValueError: shapes differ.
    """
    usable = usable_tokens(mask, logp, advantage)
    count = usable.sum().clamp(min=1)
    product = torch.ones_like(logp, dtype=torch.float64)
    for values in (logp, advantage):
        kept = torch.where(usable, values.detach().double(), 0.0)
        product = product * (kept - kept.sum() / count)
    return torch.where(usable, product, -torch.inf)


def between(covariance: Tensor, terms: PolicyTerms, lowest: float = 1.0, highest: float = 5.0) -> Tensor:
    """Clip-Cov's candidates, [rows, tokens]: covariance strictly in the band, and not clipped already."""
    clipped = terms.clipped_high | terms.clipped_low
    return (covariance > lowest) & (covariance < highest) & ~clipped


def chosen_at_random(candidates: Tensor, mask: Tensor, draws: Tensor, share: float = 2e-4) -> Tensor:
    """Clip-Cov's choice among candidates, [rows, tokens], booleans: `share` of the trained tokens, at least 1.

    Args:
        candidates: from `between`, [rows, tokens].
        mask: 1 on trained tokens, [rows, tokens].
        draws: a uniform random number per token from the caller's stream; the candidates with the least are chosen.
        share: of the trained tokens, 0 to 1.

    Raises:
        ValueError: shapes differ, or a share outside 0 to 1.
    """
    usable_tokens(mask, candidates, draws)  # for its check of shapes
    order = torch.where(candidates & mask.bool(), draws.double(), torch.inf)
    return _first(order, mask, share)


def most_covariant(covariance: Tensor, mask: Tensor, share: float = 2e-3) -> Tensor:
    """KL-Cov's choice, [rows, tokens], booleans: the `share` of trained tokens with the highest covariance, at least 1.

    Raises:
        ValueError: shapes differ, or a share outside 0 to 1.
    """
    usable_tokens(mask, covariance)  # for its check of shapes
    return _first(-covariance, mask, share)


def dropped(terms: PolicyTerms, chosen: Tensor) -> PolicyTerms:
    """Terms without those of the chosen tokens, which stay in the denominators (Clip-Cov)."""
    return terms._replace(loss=torch.where(chosen, 0.0, terms.loss), factor=torch.where(chosen, 0.0, terms.factor))


def kl_cov(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    chosen: Tensor,
    *,
    coefficient: float = 1.0,
    log_ratio_bound: float | None = 20.0,
) -> PolicyTerms:
    """KL-Cov's objective per token: d A, minus coefficient * |logp - old_logp| on chosen tokens. No ratio is clipped.

    Args:
        logp: log-probabilities under the policy in training, [rows, tokens]; gets the gradient.
        old_logp: log-probabilities under the policy that starts the update, [rows, tokens].
        advantage: one number per token, taken as constant, [rows, tokens].
        mask: 1 on trained tokens, [rows, tokens].
        chosen: from `most_covariant`, [rows, tokens].
        coefficient: of the penalty (the paper's beta; verl's default is 0.1, its script's 1).
        log_ratio_bound: see `terms.token_ratio`.

    Raises:
        ValueError: shapes differ.
    """
    usable = usable_tokens(mask, logp, old_logp, advantage)
    ratio = token_ratio(logp, old_logp, usable, log_ratio_bound)
    weight = constant(advantage, usable, logp)
    difference = at_least_float32(torch.where(usable, logp.detach() - old_logp.detach(), 0.0))
    held = torch.where(chosen, coefficient * difference, 0.0)
    value = ratio.value * weight - held.abs()
    factor = ratio.slope * weight - coefficient * held.sign()
    nowhere = torch.zeros_like(usable)
    unusable = mask.bool() & ~usable
    return PolicyTerms(minimise(logp, usable, value, factor), factor, nowhere, nowhere, nowhere, unusable)


def _first(order: Tensor, mask: Tensor, share: float) -> Tensor:
    """The trained tokens with the lowest finite order: `share` of all trained ones, at least 1 where there is any."""
    if not 0 <= share <= 1:
        raise ValueError(f"A share of tokens lies between 0 and 1, but is {share}.")
    flat = order.flatten()
    count = max(1, int(share * int(mask.bool().sum())))
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.argsort(stable=True)[:count]] = True  # stable: of equal tokens the first ones
    return (chosen & torch.isfinite(flat)).view(order.shape)
