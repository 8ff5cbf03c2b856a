"""Advantages as algorithms name them: each composes this package's functions over a whole `LeafBatch`.

    GroupNormalised()                              # GRPO, ARPO
    EntropyAware(GroupNormalised(), weight=0.2)    # AEPO
    HardAttribution(GroupNormalised())             # ARPO's other attribution

All give [K, T] float64, 0 outside the mask.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from torch import Tensor

from algorithms.advantage.attribution import hard, soft
from algorithms.advantage.entropy_aware import entropy_aware
from algorithms.advantage.group import Deviation, group_normalised
from algorithms.algorithm import Advantage, LeafBatch, Need

Scope = Literal["batch", "question"]


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
            batch.rewards,
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
