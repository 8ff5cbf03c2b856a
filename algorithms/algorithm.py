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

K leaves of all trees, T tokens of the longest; statistics count leaf tokens, a shared one once per leaf, as flat rows
would. Left out: how any part works.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from algorithms.tree import TokenTree

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

Need = Literal["entropies"]
"""What the scoring stage must provide besides old log-probabilities, because some part reads it."""


class TokenScores(Protocol):
    """Numbers of one tree's unique policy tokens, [U], in nats; `policy.learner.Scores`."""

    @property
    def log_probs(self) -> Tensor:
        """Under the policy that starts the update."""
        ...

    @property
    def entropies(self) -> Tensor | None:
        """Of the full-vocabulary distributions the tokens were drawn from; None if not computed."""
        ...


@dataclass(frozen=True, eq=False)
class LeafBatch:
    """A rollout batch laid out on leaves, tree after tree: what advantages and losses see. On the CPU.

    trees: one per question, each with at least one leaf.
    rewards: [K] float64, each leaf's "total".
    questions: [K] int64, ascending: the number of the leaf's tree in `trees`.
    mask: [K, T] bool, true on tokens the policy wrote.
    unique: [K, T] int64, numbers of unique policy tokens, through all trees; -1 elsewhere.
    old_log_probs: [K, T] in nats, of the policy that starts the update; 0 outside the mask.
    entropies: [K, T] in nats, 0 outside the mask; None if not computed.
    """

    trees: tuple[TokenTree, ...]
    rewards: Tensor
    questions: Tensor
    mask: Tensor
    unique: Tensor
    old_log_probs: Tensor
    entropies: Tensor | None = None

    @classmethod
    def of(cls, trees: Sequence[TokenTree], scores: Sequence[TokenScores]) -> "LeafBatch":
        """Lay out trees and their scores.

        Raises:
            ValueError: a tree without leaves, a leaf without a total reward, or scores that do not fit the trees.
        """
        if len(trees) != len(scores):
            raise ValueError(f"Expected scores of each of {len(trees)} trees, but got those of {len(scores)}.")
        rewards, questions = leaf_rewards(trees)
        unique = _numbered(trees)
        mask = unique >= 0
        old = _on_leaves([score.log_probs for score in scores], unique, mask, "log-probabilities")
        given = [score.entropies for score in scores if score.entropies is not None]
        if given and len(given) != len(trees):
            raise ValueError(f"Entropies were scored for {len(given)} of {len(trees)} trees: expected all or none.")
        entropies = _on_leaves(given, unique, mask, "entropies") if given else None
        return cls(tuple(trees), rewards, questions, mask, unique, old, entropies)

    def leaves_of(self, trees: Iterable[int]) -> Tensor:
        """Rows of these trees' leaves, [k] int64, tree after tree in the order given."""
        counts = torch.bincount(self.questions, minlength=len(self.trees))
        ends = counts.cumsum(0).tolist()
        rows = [torch.arange(ends[tree] - int(counts[tree]), ends[tree]) for tree in trees]
        return torch.cat(rows) if rows else torch.empty(0, dtype=torch.int64)

    def informative(self, advantage: Tensor) -> Tensor:
        """Which trees have any trained token with an advantage other than 0, [trees] bool. Others teach nothing."""
        told = ((advantage != 0) & self.mask).any(-1)
        return torch.bincount(self.questions, told.to(torch.float64), minlength=len(self.trees)) > 0


class Advantage(Protocol):
    """Rewards (and entropies) of a batch to one number per trained token."""

    def __call__(self, batch: LeafBatch) -> Tensor:
        """[K, T] float64, 0 outside the mask, without gradient."""
        ...


class Loss(Protocol):
    """Per-token terms to minimise; all tensors [rows, tokens]."""

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> "PolicyTerms":
        """See `loss.terms.PolicyTerms`."""
        ...


class Shaping(Protocol):
    """Changes rewards before advantages are computed (length penalties, penalties on invalid actions)."""

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

    Raises:
        ValueError: an unknown aggregation, no updates, epochs that do not fit them, or a constant length missing or out
            of place.
    """

    name: str
    paper: str
    summary: str
    rollout: "Strategy"
    advantage: Advantage
    loss: Loss
    aggregation: Aggregation = "token-mean"
    updates: int = 4
    epochs: int = 1
    filter: Filter = KeepAll()
    shaping: tuple[Shaping, ...] = ()
    constant_length: float | None = None

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
        if (self.aggregation == "sequence-mean-token-sum-constant") != (self.constant_length is not None):
            raise ValueError(
                "constant_length belongs to aggregation sequence-mean-token-sum-constant and to no other; got "
                f"{self.constant_length} with {self.aggregation}."
            )

    @property
    def needs(self) -> frozenset[Need]:
        """What its parts ask the scoring stage for: the union of their `needs`, at any depth."""
        return frozenset(_needs((self.rollout, self.advantage, self.loss, self.filter, *self.shaping)))

    def advantages(self, batch: LeafBatch) -> Tensor:
        """Shape the rewards, then estimate: [K, T] float64, 0 outside the mask.

        Raises:
            ValueError: the batch lacks what `needs` names, or the estimator broke its promise.
        """
        if "entropies" in self.needs and batch.entropies is None:
            raise ValueError(f"{self.name} needs entropies, but the batch has none: score with_entropies=True.")
        for shape in self.shaping:
            batch = shape(batch)
        advantage = self.advantage(batch)
        outside = advantage[~batch.mask] if advantage.shape == batch.mask.shape else advantage
        if advantage.shape != batch.mask.shape or advantage.dtype != torch.float64 or bool(outside.any()):
            raise ValueError(
                f"The advantage of {self.name} must be float64 of shape {list(batch.mask.shape)} and 0 outside the "
                f"mask, but is {advantage.dtype} of shape {list(advantage.shape)}, or not 0 there."
            )
        return advantage


def leaf_rewards(trees: Sequence[TokenTree]) -> tuple[Tensor, Tensor]:
    """Rewards [K] float64 (each leaf's "total") and the number of each leaf's tree [K] int64: what a `Filter` takes.

    Raises:
        ValueError: a tree without leaves, or a leaf without a total.
    """
    rewards: list[float] = []
    questions: list[int] = []
    for number, tree in enumerate(trees):
        if not tree.leaves:
            raise ValueError(f"The tree of {tree.question!r} has no leaf: leave it out of the batch.")
        for leaf in tree.leaves:
            if "total" not in leaf.rewards:
                raise ValueError(f"A leaf of {tree.question!r} has no reward 'total', only {sorted(leaf.rewards)}.")
            rewards.append(leaf.rewards["total"])
            questions.append(number)
    return torch.tensor(rewards, dtype=torch.float64), torch.tensor(questions, dtype=torch.int64)


def _numbered(trees: Sequence[TokenTree]) -> Tensor:
    """[K, T] int64: numbers of unique policy tokens, through all trees."""
    indices = [torch.from_numpy(tree.rows().index) for tree in trees]
    unique = torch.full(
        (sum(len(index) for index in indices), max((index.shape[1] for index in indices), default=0)),
        -1,
        dtype=torch.int64,
    )
    leaf = token = 0
    for index in indices:
        unique[leaf : leaf + len(index), : index.shape[1]] = torch.where(index >= 0, index + token, -1)
        leaf += len(index)
        token += int(index.max()) + 1  # every numbered token lies on some leaf
    return unique


def _on_leaves(values: Sequence[Tensor], unique: Tensor, mask: Tensor, what: str) -> Tensor:
    """Values of unique tokens on every leaf that has them, [K, T], 0 elsewhere."""
    joined = torch.cat([value.detach().cpu() for value in values]) if values else torch.empty(0)
    wanted = int(unique.max()) + 1 if unique.numel() else 0
    if len(joined) != wanted:
        raise ValueError(f"Expected {what} of {wanted} unique policy tokens, but got {len(joined)}: other trees?")
    return joined.new_zeros(mask.shape).masked_scatter(mask, joined[unique[mask]])


def _needs(parts: Iterable[Any]) -> set[Need]:
    """Union of the parts' own `needs` and those of the dataclasses inside them."""
    found: set[Need] = set()
    for part in parts:
        found |= set(getattr(part, "needs", ()))
        if is_dataclass(part):
            found |= _needs(getattr(part, entry.name) for entry in fields(part))
    return found
