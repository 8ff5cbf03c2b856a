"""LeafBatch: a rollout batch laid out on leaves, with all numbers that advantages and losses read.

    batch = LeafBatch.of(trees, scores)                 # rewards, masks, old log-probabilities, entropies
    batch = replace(batch, ref_log_probs=batch.on_leaves(of_each_tree, "log-probabilities of the reference"))
    table = batch.steps()                               # one row per leaf and turn
    table.on_tokens(values, batch.mask)                 # [K, T]

K leaves of all trees, T tokens of the longest, S steps of all leaves; what several leaves share is there once per leaf,
as flat rows would have it. All on the CPU. Left out: who computes the numbers (`training.scoring`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from algorithms.tree import TokenTree

TOO_LONG = frozenset(("max_turn_tokens", "max_context", "max_chars"))
"""Stop reasons of trajectories that a limit on length cut."""


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


class StepTable(NamedTuple):
    """All turns of all leaves, leaf after leaf; a turn that d leaves share is d rows. [S] each.

    leaf: row of the batch. step: place in its leaf, from 0. question: number of the tree. start, end: columns.
    state: number of the state it was taken from, equal where states are (also across questions, which nobody compares).
    reward: what it earned, float64; the last step of a leaf has its outcome, as the batch has it.
    """

    leaf: Tensor
    step: Tensor
    question: Tensor
    start: Tensor
    end: Tensor
    state: Tensor
    reward: Tensor

    def on_tokens(self, values: Tensor, mask: Tensor) -> Tensor:
        """Each step's value on its policy tokens, [K, T] float64, 0 elsewhere. mask: [K, T] bool."""
        out = torch.zeros(mask.shape, dtype=torch.float64)
        for row, start, end, value in zip(
            self.leaf.tolist(), self.start.tolist(), self.end.tolist(), values.tolist(), strict=True
        ):
            out[row, start:end] = value
        return torch.where(mask, out, 0.0)

    def means(self, values: Tensor, mask: Tensor) -> Tensor:
        """Mean of the values of each step's policy tokens, [S] float64. values, mask: [K, T]."""
        zero = torch.zeros(len(mask), 1, dtype=torch.float64)
        sums = torch.cat([zero, torch.where(mask, values.double(), 0.0).cumsum(-1)], dim=-1)
        counts = torch.cat([zero, mask.double().cumsum(-1)], dim=-1)
        total, number = (part[self.leaf, self.end] - part[self.leaf, self.start] for part in (sums, counts))
        return total / number.clamp(min=1)


@dataclass(frozen=True, eq=False)
class LeafBatch:
    """A rollout batch laid out on leaves, tree after tree.

    trees: one per question, each with at least one leaf.
    rewards: [K] float64, each leaf's "total".
    questions: [K] int64, ascending: the number of the leaf's tree in `trees`.
    mask: [K, T] bool, true on tokens the policy wrote.
    unique: [K, T] int64, numbers of unique policy tokens, through all trees; -1 elsewhere.
    old_log_probs: [K, T] in nats, of the policy that starts the update; 0 outside the mask.
    entropies: [K, T] in nats, 0 outside the mask.
    rollout_log_probs: [K, T] in nats, of the engine that sampled, where old ones were computed anew.
    ref_log_probs: [K, T] in nats, of the frozen reference. values: [K, T], what the critic expects at each token.
    token_rewards: [K, T], what is added to the outcome token by token, such as the cost of a divergence.
    limit: most tokens a trajectory may have, its prompt included.

    All after `old_log_probs` are None where they were not computed.
    """

    trees: tuple[TokenTree, ...]
    rewards: Tensor
    questions: Tensor
    mask: Tensor
    unique: Tensor
    old_log_probs: Tensor
    entropies: Tensor | None = None
    rollout_log_probs: Tensor | None = None
    ref_log_probs: Tensor | None = None
    values: Tensor | None = None
    token_rewards: Tensor | None = None
    limit: int | None = None

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

    @property
    def scores(self) -> Tensor:
        """[K] float64: rewards with what their tokens earned or cost."""
        return self.rewards if self.token_rewards is None else self.rewards + self.token_rewards.double().sum(-1)

    @property
    def lengths(self) -> Tensor:
        """[K] int64: tokens behind the prompt, observations included."""
        return torch.tensor(
            [tree.nodes[leaf.node].end - tree.nodes[0].end for tree in self.trees for leaf in tree.leaves]
        )

    @property
    def rooms(self) -> Tensor:
        """[K] int64: how many tokens there may be behind each leaf's prompt. Raises ValueError without a limit."""
        if self.limit is None:
            raise ValueError("This batch does not know how long a trajectory may be: give LeafBatch its `limit`.")
        return torch.tensor([self.limit - tree.nodes[0].end for tree in self.trees for _ in tree.leaves])

    @property
    def too_long(self) -> Tensor:
        """[K] bool: trajectories that a limit on length cut."""
        return torch.tensor([leaf.stop_reason in TOO_LONG for tree in self.trees for leaf in tree.leaves])

    @property
    def trunks(self) -> Tensor:
        """[K] int64: equal for leaves of one question that were grown from one of its first trajectories."""
        numbers: dict[tuple[int, int], int] = {}
        keys = [(question, leaf.trunk) for question, tree in enumerate(self.trees) for leaf in tree.leaves]
        return torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys])

    def steps(self) -> StepTable:
        """The table of steps.

        Raises:
            ValueError: a leaf's steps do not cover the tokens its policy wrote, as of trees nobody noted them for.
        """
        rows: list[tuple[int, int, int, int, int, int]] = []
        rewards: list[float] = []
        states: dict[str, int] = {}
        covered = torch.zeros(self.mask.shape, dtype=torch.bool)
        leaves = [leaf for tree in self.trees for leaf in tree.leaves]
        for row, (leaf, question) in enumerate(zip(leaves, self.questions.tolist(), strict=True)):
            for place, step in enumerate(leaf.steps):
                number = states.setdefault(step.state, len(states))
                rows.append((row, place, question, step.start, step.end, number))
                rewards.append(step.reward)
                covered[row, step.start : step.end] = True
            if leaf.steps:  # shaped or shuffled outcomes are the batch's, not the tree's
                rewards[-1] += float(self.scores[row]) - leaf.rewards["total"]
        if bool((self.mask & ~covered).any()):
            raise ValueError(
                "Some policy tokens belong to no step: this algorithm needs trees whose leaves tell their steps, as "
                "`rollout.grow` makes them."
            )
        leaf_, step_, question_, start, end, state = torch.tensor(rows, dtype=torch.int64).reshape(-1, 6).unbind(-1)
        earned = torch.tensor(rewards, dtype=torch.float64)
        return StepTable(leaf_, step_, question_, start, end, state, earned)

    def on_leaves(self, values: Sequence[Tensor], what: str) -> Tensor:
        """Values of each tree's unique policy tokens, [U] each, on every leaf that has them: [K, T], 0 elsewhere.

        Raises:
            ValueError: they do not fit the trees; `what` names them.
        """
        return _on_leaves(values, self.unique, self.mask, what)

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
