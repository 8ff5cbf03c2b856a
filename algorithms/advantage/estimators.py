"""Advantages as algorithms name them: each composes this package's functions over a whole `LeafBatch`.

    GroupNormalised()                              # GRPO, ARPO; Dr. GRPO with deviation="none"
    EntropyAware(GroupNormalised(), weight=0.2)    # AEPO
    HardAttribution(GroupNormalised())             # ARPO's other attribution
    LeaveOneOut()                                  # RLOO
    Outcome()                                      # REINFORCE
    Whitened(TokenReturns())                       # REINFORCE++

All give [K, T] float64, 0 outside the mask. Those that look at steps, search trees or a critic are in `structured`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from algorithms.advantage.attribution import hard, soft
from algorithms.advantage.entropy_aware import entropy_aware
from algorithms.advantage.group import Deviation, group_normalised, leave_one_out
from algorithms.advantage.token_returns import outcome_on_last_token, returns_to_go
from algorithms.advantage.whitening import whitened
from algorithms.algorithm import Advantage, LeafBatch, Need

Scope = Literal["batch", "question"]
Baseline = Literal["none", "batch"]


class PerLeaf(Protocol):
    """An advantage that gives each trajectory one number."""

    def per_leaf(self, batch: LeafBatch) -> Tensor:
        """[K] float64."""
        ...


@dataclass(frozen=True)
class GroupNormalised:
    """(reward - mean of the question's leaves) / (their deviation + epsilon), the same on all tokens of a leaf.

    Attributes are those of `group.group_normalised`.
    """

    deviation: Deviation = "sample"
    epsilon: float = 1e-6
    smallest_deviation: float = 0.0

    def __post_init__(self) -> None:
        if self.deviation not in get_args(Deviation) or self.epsilon < 0 or self.smallest_deviation < 0:
            raise ValueError(f"Expected a deviation of {', '.join(get_args(Deviation))}, bounds from 0; got {self}.")

    def per_leaf(self, batch: LeafBatch) -> Tensor:
        """See `PerLeaf`."""
        return group_normalised(
            batch.scores,
            batch.questions,
            deviation=self.deviation,
            epsilon=self.epsilon,
            smallest_deviation=self.smallest_deviation,
        )

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return soft(self.per_leaf(batch), batch.mask)


@dataclass(frozen=True)
class HardAttribution:
    """A token shared by several leaves gets the mean of their numbers; see `attribution.hard`."""

    of: PerLeaf = GroupNormalised()

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return hard(self.of.per_leaf(batch), batch.unique, batch.mask)


@dataclass(frozen=True)
class EntropyAware:
    """AEPO: another advantage times 1 + weight * standardised entropy; see `entropy_aware.entropy_aware`.

    Attributes:
        of: the accuracy advantage.
        weight: how strongly entropy acts; 0 turns this part off, and entropies are no longer needed.
        statistics: whether mean and deviation are taken over all leaf tokens of the rollout batch, or of each question.
        lowest_factor: the factor never falls below it; None for no bound (the authors' code).
    """

    of: Advantage = GroupNormalised()
    weight: float = 0.2
    statistics: Scope = "batch"
    lowest_factor: float | None = 0.0

    def __post_init__(self) -> None:
        if self.statistics not in get_args(Scope):
            raise ValueError(f"Unknown statistics {self.statistics!r}: choose one of {', '.join(get_args(Scope))}.")

    @property
    def needs(self) -> frozenset[Need]:
        """Entropies, unless switched off."""
        return frozenset(("entropies",)) if self.weight else frozenset()

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        plain = self.of(batch)
        if not self.weight:
            return plain
        return entropy_aware(
            plain,
            batch.entropies,
            batch.mask,
            weight=self.weight,
            parts=batch.questions if self.statistics == "question" else None,
            lowest_factor=self.lowest_factor,
        )


@dataclass(frozen=True)
class LeaveOneOut:
    """reward - mean of the question's other leaves; see `group.leave_one_out`."""

    def per_leaf(self, batch: LeafBatch) -> Tensor:
        """See `PerLeaf`."""
        return leave_one_out(batch.scores, batch.questions)

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return soft(self.per_leaf(batch), batch.mask)


@dataclass(frozen=True)
class Outcome:
    """The reward itself on all tokens of a leaf. baseline: "batch" takes off the mean of all leaves, "none" nothing."""

    baseline: Baseline = "none"

    def __post_init__(self) -> None:
        if self.baseline not in get_args(Baseline):
            raise ValueError(f"Unknown baseline {self.baseline!r}: choose one of {', '.join(get_args(Baseline))}.")

    def per_leaf(self, batch: LeafBatch) -> Tensor:
        """See `PerLeaf`."""
        scores = batch.scores
        if not bool(torch.isfinite(scores).all()):
            raise ValueError("Rewards must be finite, but some are NaN or infinite.")
        return scores - scores.mean() if self.baseline == "batch" else scores

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return soft(self.per_leaf(batch), batch.mask)


@dataclass(frozen=True)
class TokenReturns:
    """What a leaf still earns from each token on; see `token_returns.returns_to_go`. discount: per trained token."""

    discount: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ValueError(f"A discount lies between 0 and 1; got {self.discount}.")

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return returns_to_go(token_rewards(batch), batch.mask, discount=self.discount)


@dataclass(frozen=True)
class Whitened:
    """Another advantage brought to mean 0 and variance 1 over all leaf tokens of the batch; see `whitening`.

    biased: the variance divides by n, and is at least 1e-8 (OpenRLHF); else by n - 1, with 1e-8 added (verl).
    """

    of: Advantage
    biased: bool = False

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return whitened(self.of(batch), batch.mask, biased=self.biased)


def token_rewards(batch: LeafBatch) -> Tensor:
    """Each leaf's reward on its last policy token, and what single tokens earn or cost: [K, T] float64."""
    outcome = outcome_on_last_token(batch.rewards, batch.mask)
    return outcome if batch.token_rewards is None else outcome + batch.token_rewards.double()
