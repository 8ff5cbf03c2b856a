"""ARPO's rollout: a fixed number of roots, forks where entropy rises after a tool result, the rest as fresh roots.

grow(..., strategy=EntropyBranching(budget=16, initial=8))

The group's `initial` roots grow together; after each tool result a path forks with the probability of `ForkRule`. When
all have ended with budget left over, the missing trajectories start at the prompt, all at once; they never fork, so
that a group has exactly `budget` distinct members. Source: ARPO, arXiv:2507.19849.

Deviations from the authors' code, stated: entropy is measured on the tokens *behind* the result (theirs: on the segment
that led to the call); the start level is the path's own (theirs outlives its question); slots go to paths in an order
drawn per decision (theirs: lowest row first); left-over budget starts at once (theirs: one a round, and may fork).
Left out: more than one child a fork.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from algorithms.rollout.branching import EntropyScale, ForkRule
from algorithms.rollout.paths import Path, Question, Roots
from algorithms.rollout.records import ForkRecord, Outcome


@dataclass(frozen=True)
class EntropyBranching:
    """ARPO.

    Attributes:
        budget: trajectories of a question (paper: M).
        initial: how many start at the prompt and may fork (paper: N); None: half of the budget, as in the scripts.
        rule: the fork decision; ARPO has no penalty.
        look_ahead: tokens after the question and after each tool result whose entropy counts (k).
        scale: unit of entropy differences.
    """

    budget: int = 16
    initial: int | None = None
    rule: ForkRule = field(default_factory=lambda: ForkRule(penalty=0.0))
    look_ahead: int = 20
    scale: EntropyScale = "standardised"

    def __post_init__(self) -> None:
        if self.budget < 1 or self.look_ahead < 1 or not (self.initial is None or 1 <= self.initial <= self.budget):
            raise ValueError(f"Expected budget and look-ahead of at least 1 and 1 <= initial <= budget, got {self}.")

    def roots(self, question: Question) -> Roots:
        """See `Strategy.roots`."""
        if question.waves == 0:
            question.report.roots = half_or(self.initial, self.budget)
            return Roots(question.report.roots, may_fork=True)
        return Roots(question.left, may_fork=False)

    def forks(self, question: Question, waiting: Sequence[Path]) -> list[ForkRecord]:
        """See `Strategy.forks`."""
        return entropy_forks(question, waiting, self.rule)


def half_or(initial: int | None, budget: int) -> int:
    """How many start at the prompt: `initial`, or half of the budget."""
    return initial if initial is not None else max(1, budget // 2)


def entropy_forks(question: Question, waiting: Sequence[Path], rule: ForkRule) -> list[ForkRecord]:
    """Decide for each waiting path, in an order drawn from the question's own stream, until the budget is used up."""
    records = []
    left = question.left
    for place in question.random.permutation(len(waiting)).tolist():
        path = waiting[place]
        draw = float(question.random.random())
        if path.level is None or path.start_level is None:
            raise RuntimeError(f"Path {path.number} of {question.name} waits without its entropies: a fault of grow.")
        rise = question.fork_units.scaled(path.level - path.start_level)
        streak = path.streak if rule.streaks == "path" else question.streak
        decision = rule.decide(rise, streak, draw)
        outcome: Outcome = "draw"
        if decision.forked:
            outcome = "forked" if left > 0 else "budget"
            left -= 1
        records.append(
            ForkRecord(
                path.results,
                path.number,
                question.tree.fork_point(path.branch.node),
                path.start_level,
                path.level,
                rise,
                streak,
                decision.probability,
                decision.penalty,
                draw,
                outcome,
            )
        )
    return records
