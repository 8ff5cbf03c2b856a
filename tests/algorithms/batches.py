"""Random batches for tests of advantages and losses, and the gradient a loss gives them. Needs torch."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from algorithms.loss.aggregation import Aggregation, aggregate, row_weights
from algorithms.loss.terms import PolicyTerms

# The same examples in every run, and no clock: other work on the machine must not fail a test.
quick = settings(max_examples=40, deadline=None, derandomize=True)


class Batch(NamedTuple):
    """Flat rows. logp, old_logp, advantage, entropy, mask: [rows, tokens]; rewards, questions: [rows]."""

    logp: Tensor
    old_logp: Tensor
    advantage: Tensor
    entropy: Tensor
    mask: Tensor
    rewards: Tensor
    questions: Tensor

    def rows(self, chosen: Tensor) -> "Batch":
        return Batch(*(field[chosen] for field in self))


def random_batch(seed: int, rows: int = 6, tokens: int = 8, spread: float = 0.5) -> Batch:
    """A batch whose log-ratios have the given standard deviation; masks with holes, rows that may be empty."""
    rng = np.random.default_rng(seed)
    old = -rng.exponential(1.0, (rows, tokens))
    logp = old + spread * rng.standard_normal((rows, tokens))
    advantage = rng.standard_normal((rows, tokens)) * (rng.random((rows, tokens)) < 0.9)
    mask = (rng.random((rows, tokens)) < 0.75) & (rng.random((rows, 1)) < 0.9)
    questions = rng.integers(0, max(1, rows // 3), rows)
    rewards = np.round(rng.standard_normal(rows), 2)
    numbers = (logp, old, advantage, rng.exponential(1.0, (rows, tokens)))
    return Batch(*map(torch.tensor, numbers), torch.tensor(mask.astype(int)), *map(torch.tensor, (rewards, questions)))


batches = st.builds(
    random_batch,
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 7),
    tokens=st.integers(1, 9),
    spread=st.sampled_from([0.0, 0.05, 0.5, 3.0]),
)

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], PolicyTerms]


class Outcome(NamedTuple):
    """loss: a scalar. gradient: of the loss with respect to logp, [rows, tokens]. terms: before aggregation."""

    loss: Tensor
    gradient: Tensor
    terms: PolicyTerms


def outcome(loss: Loss, batch: Batch, mode: Aggregation = "token-mean", weights: Tensor | None = None) -> Outcome:
    """Loss and gradient of a batch, with weights of its own rows unless others are given."""
    if weights is None:
        constant = 10.0 if mode == "sequence-mean-token-sum-constant" else None
        weights = row_weights(mode, batch.mask.sum(-1), constant=constant)
    logp = batch.logp.clone().requires_grad_()
    terms = loss(logp, batch.old_logp, batch.advantage, batch.mask)
    total = aggregate(terms.loss, batch.mask, weights)
    total.backward()
    assert logp.grad is not None
    return Outcome(total.detach(), logp.grad, terms)
