"""From per-token terms to one number, so that the way a batch is cut never changes the result.

    lengths = mask.sum(-1)                                  # trained tokens of every row of the optimiser step
    weights = row_weights("token-mean", lengths)            # once per optimiser step
    for rows in micro_batches:                              # any cut into whole rows
        aggregate(terms.loss, mask[rows], weights[rows]).backward()

Every aggregation in use is sum_i w_i sum_t mask_it loss_it with one weight per *row*. The weights come from the lengths
of all rows of the optimiser step together, so micro-batches, padding and order cannot matter. Rows are leaves: a token
shared by d leaves counts d times, as in flat rows. Where gradients are averaged over processes instead of summed,
multiply by their number.

How terms become one number; n_i trained tokens in row i, N in all, R rows that have any:

token-mean: w = 1 / N. Each token counts alike: DAPO as run (arXiv:2503.14476), AEPO, CISPO, GPPO; the usual default.
group-mean-token-mean: w = 1 / (G N_g), a token mean inside each of the G questions, then their mean: DAPO's Eq. 8 read
    literally, since its expectation over questions stands outside the sum.
sequence-mean-token-mean: w = 1 / (R n_i). Each row counts alike: GRPO as printed (arXiv:2402.03300, Eq. 3), GSPO.
sequence-mean-token-sum: w = 1 / R. The log-probability of the row as a whole: REINFORCE, RLOO.
sequence-mean-token-sum-constant: w = 1 / (R L), L a constant such as the longest response: Dr. GRPO (arXiv:2503.20783).
token-sum: w = 1.
part-token-mean: w = (R_p / R) / N_p, a token mean inside each part (micro-batch), weighted by its rows. What the
    published ARPO and AEPO scripts really compute under the name token-mean; depends on the cut, for reproduction only.

Left out: dividing a row over two micro-batches (a row is never cut).
"""

from typing import get_args

import torch
from torch import Tensor

from algorithms.algorithm import Aggregation as Aggregation


def row_weights(
    mode: Aggregation, lengths: Tensor, *, parts: Tensor | None = None, constant: float | None = None
) -> Tensor:
    """One weight per row of an optimiser step, [rows], float64; 0 for rows without a trained token.

    Args:
        mode: see this file's opening.
        lengths: trained tokens of each row of the whole optimiser step (n_i), [rows], whole numbers.
        parts: question of each row (group-mean-token-mean) or micro-batch (part-token-mean), [rows], whole numbers.
        constant: L of sequence-mean-token-sum-constant.

    Rows without a trained token take no part in R either, and where no row has any, all weights are 0: the loss is 0.

    Raises:
        ValueError: an unknown mode, negative lengths, or `parts` / `constant` missing where needed or given where not.
    """
    _check(mode, lengths, parts, constant)
    tokens = lengths.to(torch.float64)
    filled = tokens > 0
    rows = filled.sum().clamp(min=1).to(torch.float64)
    per_token = 1 / tokens.clamp(min=1)
    if mode == "token-mean":
        weights = 1 / tokens.sum().clamp(min=1)
    elif mode == "sequence-mean-token-mean":
        weights = per_token / rows
    elif mode == "sequence-mean-token-sum":
        weights = 1 / rows
    elif mode == "sequence-mean-token-sum-constant":
        assert constant is not None  # _check saw to it
        weights = 1 / (rows * constant)
    elif mode == "token-sum":
        weights = torch.ones_like(tokens)
    else:
        assert parts is not None  # _check saw to it
        weights = _within_parts(mode, tokens, filled, rows, parts)
    return torch.where(filled, weights, 0.0)


def aggregate(terms: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """The loss of some rows, a scalar: sum_i weights_i sum_t mask_it terms_it.

    Args:
        terms: per-token terms of these rows, [rows, tokens].
        mask: 1 on trained tokens, [rows, tokens].
        weights: these rows' share of `row_weights`, [rows].

    The sum over micro-batches is the loss of the step. Where nothing counts, the result is 0 with gradient 0.

    Raises:
        ValueError: shapes do not fit.
    """
    if terms.shape != mask.shape or weights.shape != terms.shape[:1]:
        raise ValueError(
            f"Expected terms and mask [rows, tokens] and weights [rows], but got {list(terms.shape)}, "
            f"{list(mask.shape)} and {list(weights.shape)}."
        )
    weights = weights.to(terms.device, terms.dtype)
    return (torch.where(mask.bool(), terms, 0.0).sum(-1) * weights).sum()


def _within_parts(mode: Aggregation, tokens: Tensor, filled: Tensor, rows: Tensor, parts: Tensor) -> Tensor:
    """Weights of the modes that average inside parts first, [rows]."""
    _, index = torch.unique(parts, return_inverse=True)
    zeros = torch.zeros(int(index.max()) + 1 if len(index) else 0, dtype=torch.float64, device=tokens.device)
    part_tokens = zeros.index_add(0, index, tokens)
    if mode == "group-mean-token-mean":
        share = torch.ones_like(part_tokens) / (part_tokens > 0).sum().clamp(min=1)
    else:
        share = zeros.index_add(0, index, filled.to(torch.float64)) / rows
    return (share / part_tokens.clamp(min=1))[index]


def _check(mode: Aggregation, lengths: Tensor, parts: Tensor | None, constant: float | None) -> None:
    """Arguments of `row_weights` that fit together."""
    if mode not in get_args(Aggregation):
        raise ValueError(f"Unknown aggregation {mode!r}: choose one of {', '.join(get_args(Aggregation))}.")
    if lengths.dim() != 1 or lengths.is_floating_point() or bool((lengths < 0).any()):
        raise ValueError(
            f"`lengths` must hold the number of trained tokens of every row ([rows], whole numbers from 0), "
            f"but is {lengths.dtype} of shape {list(lengths.shape)}. It is mask.sum(-1) of a whole-number mask."
        )
    needs_parts = mode in ("group-mean-token-mean", "part-token-mean")
    if needs_parts != (parts is not None) or (parts is not None and parts.shape != lengths.shape):
        expected = "needs one part per row" if needs_parts else "takes no parts"
        got = "none" if parts is None else f"shape {list(parts.shape)} for {len(lengths)} rows"
        raise ValueError(f"Aggregation {mode!r} {expected}, but got {got}.")
    if (mode == "sequence-mean-token-sum-constant") != (constant is not None):
        raise ValueError(
            f"Aggregation {mode!r} with constant={constant}: give a constant length, the longest response allowed, "
            "to sequence-mean-token-sum-constant and to no other. (The batch's own width would not be constant.)"
        )
    if constant is not None and not constant > 0:
        raise ValueError(f"The constant length must be positive, but is {constant}.")
