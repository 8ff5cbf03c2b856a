"""Advantages that look inside trajectories: steps and their states, search trees, or a critic's values.

    EpisodeAndSteps(weight=1.0, discount=0.95)     # GiGPO
    StepsModulated(GroupNormalised(), bonus=0.05)  # EMPG
    QuestionAndTree()                              # Tree-GRPO
    Bootstrapped(discount=1.0, decay=1.0)          # PPO

All give [K, T] float64, 0 outside the mask; steps are those of `LeafBatch.steps`, a shared one once per leaf.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from algorithms.advantage.attribution import soft
from algorithms.advantage.entropy_modulated import entropy_modulated
from algorithms.advantage.estimators import GroupNormalised, PerLeaf, token_rewards
from algorithms.advantage.gae import Estimate, gae
from algorithms.advantage.group import group_normalised
from algorithms.advantage.step_groups import StepAdvantages, gigpo, step_returns
from algorithms.advantage.whitening import whitened
from algorithms.algorithm import LeafBatch, Need

StepDeviation = Literal["sample", "none"]
EpisodeStatistics = Literal["trajectories", "steps"]


@dataclass(frozen=True)
class EpisodeAndSteps:
    """GiGPO: the episode's advantage plus one among the question's steps from the same state; `step_groups.gigpo`.

    Attributes:
        weight: of the step part (the paper's omega); 0 leaves the episode's advantage alone.
        discount: of step returns, per step.
        deviation: "sample" divides by it, "none" does not.
        statistics: whether the episode's are taken over trajectories (the paper) or steps (its code).
    """

    weight: float = 1.0
    discount: float = 0.95
    deviation: StepDeviation = "sample"
    statistics: EpisodeStatistics = "trajectories"

    def __post_init__(self) -> None:
        if (
            self.deviation not in get_args(StepDeviation)
            or self.statistics not in get_args(EpisodeStatistics)
            or not 0 <= self.discount <= 1
        ):
            raise ValueError(
                f"Expected a deviation of sample or none, statistics of trajectories or steps, and a discount between "
                f"0 and 1; got {self}."
            )

    def per_step(self, batch: LeafBatch) -> StepAdvantages:
        """Of every step, [S]."""
        table = batch.steps()
        found = gigpo(
            batch.scores[table.leaf],
            step_returns(table.reward, table.leaf, table.step, discount=self.discount),
            table.question,
            table.leaf,
            table.state,
            weight=self.weight,
            deviation=self.deviation,
            episode_statistics=self.statistics,
        )
        if self.statistics == "steps":
            return found
        # Over all leaves, as GRPO has it: one on which the policy wrote nothing has no row in the table.
        episode = group_normalised(batch.scores, batch.questions, deviation=self.deviation)[table.leaf]
        return found._replace(advantage=episode + self.weight * found.step, episode=episode)

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return batch.steps().on_tokens(self.per_step(batch).advantage, batch.mask)


@dataclass(frozen=True)
class StepsModulated:
    """EMPG: another advantage, modulated by the entropies of steps; see `entropy_modulated.entropy_modulated`.

    Attributes:
        of: the advantage of whole trajectories.
        bonus: weight of the next step's clarity (the paper's zeta). sharpness, future_sharpness: its k and k'.
    """

    of: PerLeaf = field(default_factory=GroupNormalised)
    bonus: float = 0.05
    sharpness: float = 1.0
    future_sharpness: float = 1.0

    @property
    def needs(self) -> frozenset[Need]:
        """Entropies."""
        return frozenset(("entropies",))

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        if batch.entropies is None:
            raise ValueError("EMPG needs the entropy of every trained token, but the batch has none.")
        table = batch.steps()
        found = entropy_modulated(
            self.of.per_leaf(batch)[table.leaf],
            table.means(batch.entropies, batch.mask),
            table.leaf,
            table.step,
            bonus=self.bonus,
            sharpness=self.sharpness,
            future_sharpness=self.future_sharpness,
        )
        return table.on_tokens(found, batch.mask)


@dataclass(frozen=True)
class QuestionAndTree:
    """Tree-GRPO: normalised among the question's leaves, plus normalised among the leaves of the same search tree.

    A tree of one leaf adds 0 (its raw reward in the published code).
    """

    epsilon: float = 1e-6

    def per_leaf(self, batch: LeafBatch) -> Tensor:
        """See `PerLeaf`."""
        groups = (batch.questions, batch.trunks)
        return torch.stack([group_normalised(batch.scores, group, epsilon=self.epsilon) for group in groups]).sum(0)

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        return soft(self.per_leaf(batch), batch.mask)


@dataclass(frozen=True)
class Bootstrapped:
    """PPO: generalised advantage estimation over the policy's tokens, tool results bridged; see `gae.gae`.

    Attributes:
        discount, decay: gamma and lambda, per trained token.
        whiten: bring the batch's advantages to mean 0 and variance 1.
    """

    discount: float = 1.0
    decay: float = 1.0
    whiten: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.discount <= 1 and 0 <= self.decay <= 1):
            raise ValueError(f"Discount and decay lie between 0 and 1; got {self}.")

    @property
    def needs(self) -> frozenset[Need]:
        """A critic's values."""
        return frozenset(("values",))

    def estimate(self, batch: LeafBatch) -> Estimate:
        """Advantages, not whitened, and returns."""
        if batch.values is None:
            raise ValueError("Bootstrapping needs a critic's value of every trained token, but the batch has none.")
        return gae(token_rewards(batch), batch.values, batch.mask, discount=self.discount, decay=self.decay)

    def returns(self, batch: LeafBatch) -> Tensor:
        """What the critic should have said, [K, T] float64."""
        return self.estimate(batch).returns

    def __call__(self, batch: LeafBatch) -> Tensor:
        """See `Advantage`."""
        advantage = self.estimate(batch).advantage
        return whitened(advantage, batch.mask) if self.whiten else advantage
