"""The critic's loss: squared error, clipped around the old values.

    loss = aggregate(value_terms(values, old_values, returns, mask), mask, weights)

    term = 0.5 max((v - R)^2, (clip(v, v_old - width, v_old + width) - R)^2)

Source: the clipped value loss of PPO's reference implementation (openai/baselines; not in arXiv:1707.06347), with
verl's width of 0.5. The gradient is 0 where the clipped branch is the larger and v lies outside the band.
"""

import torch
from torch import Tensor

from algorithms.loss.terms import at_least_float32


def value_terms(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, *, width: float | None = 0.5
) -> Tensor:
    """The critic's error per token, [rows, tokens], 0 outside the mask; gradient reaches `values` alone.

    Args:
        values: the critic's prediction, [rows, tokens].
        old_values: its prediction before the update, [rows, tokens].
        returns: what it should have predicted, [rows, tokens].
        mask: 1 on trained tokens.
        width: half the band around the old values, in units of reward; None for the plain squared error.

    Raises:
        ValueError: shapes differ.
    """
    for name, tensor in (("values", values), ("old_values", old_values), ("returns", returns)):
        if tensor.shape != mask.shape:
            raise ValueError(f"`{name}` must have the mask's shape {list(mask.shape)}, but has {list(tensor.shape)}.")
    trained = mask.bool()
    prediction, old, target = (
        at_least_float32(torch.where(trained, tensor, 0.0))
        for tensor in (values, old_values.detach(), returns.detach())
    )
    error = (prediction - target).square()
    if width is not None:
        near = torch.minimum(torch.maximum(prediction, old - width), old + width)
        error = torch.maximum(error, (near - target).square())
    return 0.5 * error  # outside the mask everything above is 0
