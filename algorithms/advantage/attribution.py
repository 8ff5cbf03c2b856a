"""Which token of a trajectory gets which advantage: ARPO's soft and hard attribution.

    soft(advantage, mask)                   # every token of a row its row's number: GRPO, and ARPO's default
    hard(advantage, unique_tokens, mask)    # a token shared by d rows the mean of their numbers

Source: ARPO, arXiv:2507.19849, the section on advantage attribution estimation. On the policy that sampled, the summed
gradient of a shared token is the same under both, since d rows times the mean is the sum; they differ once ratios do,
because soft decides clips per row. The authors report hard as less stable and did not publish it.
"""

import torch
from torch import Tensor


def soft(advantage: Tensor, mask: Tensor) -> Tensor:
    """Each row's number on all its trained tokens, [rows, tokens], 0 elsewhere.

    Args:
        advantage: one per row, [rows].
        mask: 1 on trained tokens, [rows, tokens].

    Raises:
        ValueError: shapes do not fit.
    """
    _check(advantage, mask)
    return torch.where(mask.bool(), advantage.detach().unsqueeze(-1), 0.0)


def hard(advantage: Tensor, unique_tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean of all rows that pass through a token, [rows, tokens], float64, 0 outside the mask.

    Args:
        advantage: one per row, [rows].
        unique_tokens: the number of each token among the unique ones, [rows, tokens]; equal where rows share a token,
            which they do only inside one question. Ignored outside the mask.
        mask: 1 on trained tokens, [rows, tokens].

    Raises:
        ValueError: shapes do not fit, or a trained token's number is negative.
    """
    _check(advantage, mask)
    trained = mask.bool()
    if unique_tokens.shape != mask.shape or bool((unique_tokens[trained] < 0).any()):
        raise ValueError(
            "`unique_tokens` must number every trained token from 0 on, in the mask's shape "
            f"{list(mask.shape)}, but has shape {list(unique_tokens.shape)} or negative numbers."
        )
    index = torch.where(trained, unique_tokens, 0).flatten()
    spread = soft(advantage.to(torch.float64), mask).flatten()
    zeros = torch.zeros(int(index.max()) + 1 if index.numel() else 0, dtype=torch.float64, device=mask.device)
    total = zeros.index_add(0, index, spread)
    count = zeros.index_add(0, index, trained.flatten().to(torch.float64))
    mean = (total / count.clamp(min=1))[index].view(mask.shape)
    return torch.where(trained, mean, 0.0)


def _check(advantage: Tensor, mask: Tensor) -> None:
    """One number per row of the mask."""
    if advantage.dim() != 1 or mask.dim() != 2 or len(advantage) != len(mask):
        raise ValueError(
            f"Expected one advantage per row [rows] and a mask [rows, tokens], but got {list(advantage.shape)} and "
            f"{list(mask.shape)}."
        )
