"""REINFORCE: the policy gradient itself, without ratios or clips.

    terms = reinforce(logp, advantage, mask)                     # aggregate with sequence-mean-token-sum
    terms = reinforce(logp, advantage, mask, weights=weights)    # importance-weighted

    objective = w A logp,   gradient factor w

Source: Williams, Simple statistical gradient-following algorithms for connectionist reinforcement learning, Machine
Learning 8 (1992), Eq. 4; the weight w (1 unless given) is that of truncated importance sampling.
"""

import torch
from torch import Tensor

from algorithms.loss.terms import PolicyTerms, constant, minimise, usable_tokens


def reinforce(logp: Tensor, advantage: Tensor, mask: Tensor, *, weights: Tensor | None = None) -> PolicyTerms:
    """REINFORCE's objective per token; all tensors [rows, tokens].

    Args:
        logp: log-probabilities under the policy in training; gets the gradient.
        advantage: return minus baseline per token, taken as constant.
        mask: 1 on trained tokens.
        weights: importance weights per token, taken as constant; None for 1.

    Raises:
        ValueError: shapes differ.
    """
    inputs = (logp, advantage) if weights is None else (logp, advantage, weights)
    usable = usable_tokens(mask, *inputs)
    factor = constant(advantage, usable, logp)
    if weights is not None:
        factor = factor * constant(weights, usable, logp)
    value = factor * constant(logp, usable, logp)
    nowhere = torch.zeros_like(usable)
    unusable = mask.bool() & ~usable
    return PolicyTerms(minimise(logp, usable, value, factor), factor, nowhere, nowhere, nowhere, unusable)
