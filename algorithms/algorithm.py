"""What a policy-optimisation algorithm is made of: the vocabulary that algorithm files, trainer and learner share.

    GRPO = Algorithm(
        name="grpo", paper="arXiv:2402.03300", summary="...",
        rollout=Independent(budget=16), advantage=GroupNormalised(), loss=Clip(0.2, 0.2),
    )
    batch = LeafBatch.of(trees, scores)                      # scores as GRPO.needs asks for
    advantage = GRPO.advantages(batch)                       # [K, T]
    update(learner, GRPO, batch, advantage, random)          # training.update

Parts are frozen dataclasses: what they are given is what they are, so that an algorithm can be printed, compared and
changed in one place (`settings.with_setting`). The rollout is a `rollout.paths.Strategy`; advantages live in
`advantage.estimators`, losses in `loss.surrogates`, filters in `advantage.filters`.

Three options stand beside the parts, off by default, for every algorithm: a divergence from a frozen reference, a bonus
for entropy, and a correction where sampling and learning disagree (`options`).

K leaves of all trees, T tokens of the longest; statistics count leaf tokens, a shared one once per leaf, as flat rows
would. Left out: how any part works.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from algorithms.batch import LeafBatch as LeafBatch
from algorithms.batch import leaf_rewards as leaf_rewards
from algorithms.options import CriticSettings, Divergence, Mismatch

if TYPE_CHECKING:
    from algorithms.loss.terms import PolicyTerms
    from algorithms.rollout.paths import Strategy

Aggregation = Literal[
    "token-mean",
    "group-mean-token-mean",
    "sequence-mean-token-mean",
    "sequence-mean-token-sum",
    "sequence-mean-token-sum-constant",
    "token-sum",
    "part-token-mean",
]
"""How per-token terms become one number: `loss.aggregation` defines each."""

Need = Literal["entropies", "reference", "values", "rescored"]
"""What the scoring stage must provide besides old log-probabilities, because some part reads it.

entropies: of every token's distribution. reference: log-probabilities under the frozen first policy. values: of a
critic. rescored: old log-probabilities computed by the learner, beside those the engine sampled with.
"""


class Advantage(Protocol):
    """Rewards (and entropies, steps, values) of a batch to one number per trained token.

    One that trains a critic also has `returns(batch)`, [K, T] float64: what the critic should have said.
    """

    def __call__(self, batch: LeafBatch) -> Tensor:
        """[K, T] float64, 0 outside the mask, without gradient."""
        ...


class Loss(Protocol):
    """Per-token terms to minimise; all tensors [rows, tokens].

    Terms of tokens whose advantage is 0 are 0, so that questions without any other are not forwarded; a loss that
    breaks this has `trains_all = True`. One that is right for a batch's first step alone has `one_update = True`.
    """

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> "PolicyTerms":
        """See `loss.terms.PolicyTerms`."""
        ...


class ChoosingLoss(Protocol):
    """A loss that picks tokens among those of a whole optimiser step, however that is cut into micro-batches."""

    def choose(self, old_logp: Tensor, advantage: Tensor, mask: Tensor, random: np.random.Generator) -> Tensor:
        """The picked tokens, [K, T] bool. mask: true on trained tokens of the step; random: the update's stream."""
        ...

    def __call__(
        self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor, chosen: Tensor
    ) -> "PolicyTerms":
        """As of `Loss`, given these rows' part of what was picked."""
        ...


class Shaping(Protocol):
    """Changes rewards before advantages are computed (length penalties)."""

    def __call__(self, batch: LeafBatch) -> LeafBatch:
        """The batch with other rewards."""
        ...


class Filter(Protocol):
    """Which questions of a rollout batch are kept, and whether to ask for more. A decision alone: it grows nothing."""

    def keep(self, rewards: Tensor, questions: Tensor) -> Tensor:
        """Leaves whose question is kept, [K] bool, equal for all leaves of a question. Takes the task's own rewards."""
        ...

    def asks_again(self, kept: int, wanted: int, rounds: int) -> bool:
        """Whether to grow more questions, with `kept` of `wanted` questions after `rounds` rounds of growing."""
        ...


@dataclass(frozen=True)
class KeepAll:
    """Every question is kept and one round is enough."""

    def keep(self, rewards: Tensor, questions: Tensor) -> Tensor:
        """See `Filter`."""
        return torch.ones_like(questions, dtype=torch.bool)

    def asks_again(self, kept: int, wanted: int, rounds: int) -> bool:
        """See `Filter`."""
        return False


@dataclass(frozen=True)
class Algorithm:
    """An algorithm: where trajectories come from, what they are worth, and what is minimised.

    Attributes:
        name: as on the command line. paper: its citation. summary: one sentence.
        rollout: a strategy of `rollout`: where to start and where to fork.
        advantage, loss: see `Advantage`, `Loss`.
        aggregation: how terms become a number; see `loss.aggregation`.
        updates: optimiser steps per rollout batch. With one, every ratio is 1 and every clip idle.
        epochs: how often each question is trained on in these; `updates` is a multiple of it.
        filter: which questions are trained on.
        shaping: applied in order to the rewards before the advantage.
        constant_length: L of "sequence-mean-token-sum-constant", else None.
        kl, mismatch: options of `options`, off unless the algorithm has them.
        entropy_bonus: weight of the mean entropy, aggregated as the terms are, in what is maximised.
        mask_too_long: trajectories cut by a limit on length take no part in the loss, only in statistics (DAPO's
            overlong filtering).
        critic: of an advantage that needs values, else None.

    Raises:
        ValueError: an unknown aggregation, no updates, epochs that do not fit them, or a constant length or a critic
            missing or out of place.
    """

    name: str
    paper: str
    summary: str
    rollout: "Strategy"
    advantage: Advantage
    loss: Loss | ChoosingLoss
    aggregation: Aggregation = "token-mean"
    updates: int = 4
    epochs: int = 1
    filter: Filter = KeepAll()
    shaping: tuple[Shaping, ...] = ()
    constant_length: float | None = None
    kl: Divergence = field(default_factory=Divergence)
    mismatch: Mismatch = field(default_factory=Mismatch)
    entropy_bonus: float = 0.0
    mask_too_long: bool = False
    critic: CriticSettings | None = None

    def __post_init__(self) -> None:
        if self.aggregation not in get_args(Aggregation):
            raise ValueError(
                f"Unknown aggregation {self.aggregation!r}: choose one of {', '.join(get_args(Aggregation))}."
            )
        if self.updates < 1:
            raise ValueError(f"A batch gets at least 1 optimiser step, not {self.updates}.")
        if self.epochs < 1 or self.updates % self.epochs:
            raise ValueError(
                f"updates are all optimiser steps of a batch, so a multiple of epochs; got {self.updates} updates and "
                f"{self.epochs} epochs."
            )
        if self.updates > 1 and getattr(self.loss, "one_update", False):
            raise ValueError(
                f"The loss of {self.name} knows no ratio of new to old probabilities, so a batch gets 1 step, not "
                f"{self.updates}; loss.highest=2 weights later ones."
            )
        if (self.aggregation == "sequence-mean-token-sum-constant") != (self.constant_length is not None):
            raise ValueError(
                "constant_length belongs to aggregation sequence-mean-token-sum-constant and to no other; got "
                f"{self.constant_length} with {self.aggregation}."
            )
        if self.constant_length is not None and not self.constant_length > 0:
            raise ValueError(f"constant_length is a number of tokens above 0; got {self.constant_length}.")
        if self.entropy_bonus < 0:
            raise ValueError(f"entropy_bonus is a weight from 0; got {self.entropy_bonus}.")
        if ("values" in self.needs) != (self.critic is not None):
            raise ValueError(
                f"An advantage that needs values comes with a critic, another without; {self.name} has "
                f"critic={self.critic} and needs {', '.join(sorted(self.needs)) or 'nothing'}."
            )

    @property
    def needs(self) -> frozenset[Need]:
        """What its parts ask the scoring stage for: the union of their `needs`, at any depth."""
        parts = (self.rollout, self.advantage, self.loss, self.filter, *self.shaping, self.kl, self.mismatch)
        return frozenset(_needs(parts))

    @property
    def trains_all(self) -> bool:
        """Whether questions whose advantages are all 0 teach something too, through another part than these."""
        beside = self.kl.is_in("loss") or self.entropy_bonus > 0 or self.critic is not None
        return beside or bool(getattr(self.loss, "trains_all", False))

    def trained(self, batch: LeafBatch) -> Tensor:
        """Tokens that take part in the loss and its denominators, [K, T] bool."""
        return batch.mask & ~batch.too_long[:, None] if self.mask_too_long else batch.mask

    def advantages(self, batch: LeafBatch) -> Tensor:
        """Shape the rewards, then estimate: [K, T] float64, 0 outside the mask.

        Raises:
            ValueError: the batch lacks what `needs` names, or the estimator broke its promise.
        """
        batch = self.shaped(batch)
        advantage = self.advantage(batch)
        outside = advantage[~batch.mask] if advantage.shape == batch.mask.shape else advantage
        if advantage.shape != batch.mask.shape or advantage.dtype != torch.float64 or bool(outside.any()):
            raise ValueError(
                f"The advantage of {self.name} must be float64 of shape {list(batch.mask.shape)} and 0 outside the "
                f"mask, but is {advantage.dtype} of shape {list(advantage.shape)}, or not 0 there."
            )
        return advantage

    def returns(self, batch: LeafBatch) -> Tensor | None:
        """What the critic should have said, [K, T] float64; None without a critic."""
        return self.advantage.returns(self.shaped(batch)) if self.critic is not None else None  # type: ignore[attr-defined]

    def shaped(self, batch: LeafBatch) -> LeafBatch:
        """The batch with shaped rewards.

        Raises:
            ValueError: it lacks what `needs` names.
        """
        given = {
            "entropies": batch.entropies,
            "reference": batch.ref_log_probs,
            "values": batch.values,
            "rescored": batch.rollout_log_probs,
        }
        for need in sorted(self.needs):
            if given[need] is None:
                raise ValueError(f"{self.name} needs {need}, but the batch has none: see training.scoring.")
        if self.kl.is_in("reward") and batch.token_rewards is None:
            raise ValueError(f"{self.name} takes a divergence from the reward, but the batch has no token_rewards.")
        for shape in self.shaping:
            batch = shape(batch)
        return batch


def _needs(parts: Iterable[Any]) -> set[Need]:
    """Union of the parts' own `needs` and those of the dataclasses inside them."""
    found: set[Need] = set()
    for part in parts:
        found |= set(getattr(part, "needs", ()))
        if is_dataclass(part):
            found |= _needs(getattr(part, entry.name) for entry in fields(part))
    return found
