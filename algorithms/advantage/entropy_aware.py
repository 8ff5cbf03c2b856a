"""AEPO's entropy-aware advantage: tokens at which the policy was uncertain weigh more, sure ones less.

    advantage = entropy_aware(soft(group_normalised(rewards, questions), mask), entropy, mask, weight=0.2)

    A(t) = A_acc (1 + weight * z(t)),   z(t) = (H(t) - mean H) / sd H

Source: AEPO, arXiv:2510.14545, the section on the entropy-aware advantage: A_acc is the group-normalised accuracy
advantage, H(t) the entropy of the token's distribution; weight is 0.2 in the authors' code.

Deviations, stated:
- In the published scripts this part never runs: entropies are computed only where an entropy bonus is asked for, which
  none does, and a missing entropy is skipped in silence. Here a missing entropy is an error.
- The authors' code takes mean and deviation over one micro-batch, so that the result depends on how a batch is packed;
  here they are taken over all rows given (give it the rows of a whole optimiser step or rollout batch), or inside
  `parts` (by question, or by micro-batch for reproduction). The paper does not say which.
- It uses the entropies of the policy in training; here those of the scoring pass are meant, which are the same at the
  first of several updates and exact for all.
- With z below -1 / weight the factor changes sign and would punish a good token; `lowest_factor=0.0` stops that. One
  trained token alone has no deviation and gives NaN there; here z is 0 below two tokens or a deviation of 1e-6.
- A secondary source reports a power form from the paper's Algorithm 2; it is not built, since nothing confirms it.
"""

import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-6  # nats; entropies closer together than this carry no order worth following


def entropy_aware(
    advantage: Tensor,
    entropy: Tensor | None,
    mask: Tensor,
    *,
    weight: float = 0.2,
    parts: Tensor | None = None,
    lowest_factor: float | None = 0.0,
) -> Tensor:
    """AEPO's advantage, [rows, tokens], 0 outside the mask.

    Args:
        advantage: the accuracy advantage per token, [rows, tokens].
        entropy: entropy of each token's distribution in nats, [rows, tokens]; any scale gives the same result.
        mask: 1 on trained tokens.
        weight: how strongly entropy acts (the paper's alpha); 0 gives back `advantage`.
        parts: inside which rows mean and deviation are taken, [rows], whole numbers; None for all rows together.
        lowest_factor: the factor 1 + weight * z never falls below it; None for no bound (the authors' code).

    Raises:
        ValueError: the entropy is missing or not finite on a trained token, or shapes differ.
    """
    if entropy is None:
        raise ValueError(
            "The entropy-aware advantage needs the entropy of every trained token, but none was given. Let the scoring "
            "pass compute entropies, or switch this part off by not calling it."
        )
    z = standardised(entropy, mask, parts)
    if advantage.shape != mask.shape:
        raise ValueError(f"`advantage` must have the mask's shape {list(mask.shape)}, but has {list(advantage.shape)}.")
    factor = 1 + weight * z
    if lowest_factor is not None:
        factor = factor.clamp(min=lowest_factor)
    return torch.where(mask.bool(), advantage.detach() * factor, 0.0)


def standardised(values: Tensor, mask: Tensor, parts: Tensor | None = None) -> Tensor:
    """(value - mean) / sample standard deviation over trained tokens, [rows, tokens], float64; 0 outside the mask.

    Args:
        values: one per token, [rows, tokens].
        mask: 1 on trained tokens.
        parts: inside which rows the statistics are taken, [rows], whole numbers; None for all rows together.

    0 where a part has fewer than two tokens or a deviation below `SMALLEST_DEVIATION`.

    Raises:
        ValueError: shapes differ, or a trained token's value is not finite.
    """
    if values.shape != mask.shape or (parts is not None and parts.shape != mask.shape[:1]):
        raise ValueError(
            f"Expected values and mask [rows, tokens] and parts [rows], but got {list(values.shape)}, "
            f"{list(mask.shape)} and {None if parts is None else list(parts.shape)}."
        )
    trained = mask.bool()
    kept = torch.where(trained, values.detach().to(torch.float64), 0.0)
    if not bool(torch.isfinite(kept).all()):
        raise ValueError(
            f"{int((~torch.isfinite(kept)).sum())} trained tokens have an entropy that is NaN or infinite. "
            "The scoring pass is broken: look at its log-probabilities."
        )
    groups = torch.zeros(len(mask), dtype=torch.long) if parts is None else torch.unique(parts, return_inverse=True)[1]
    groups = groups.to(mask.device)
    count = _row_sums(trained.to(torch.float64), groups)
    mean = _row_sums(kept, groups) / count.clamp(min=1)
    centred = torch.where(trained, kept - mean, 0.0)
    deviation = (_row_sums(centred.square(), groups) / (count - 1).clamp(min=1)).sqrt()
    flat = deviation < SMALLEST_DEVIATION  # as with fewer than two tokens
    return torch.where(flat, 0.0, centred / torch.where(flat, 1.0, deviation))


def _row_sums(values: Tensor, groups: Tensor) -> Tensor:
    """For each row, the sum over all tokens of its part, [rows, 1]."""
    totals = values.sum(-1)
    return torch.zeros_like(totals).index_add(0, groups, totals)[groups].unsqueeze(-1)
