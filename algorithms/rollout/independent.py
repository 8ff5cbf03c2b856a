"""Independent trajectories: all of a question's budget starts at the prompt at once. GRPO and most others.

grow(..., strategy=Independent(budget=8))
"""

from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.rollout.branching import EntropyScale
from algorithms.rollout.paths import Path, Question, Roots
from algorithms.rollout.records import ForkRecord


@dataclass(frozen=True)
class Independent:
    """`budget` trajectories from the prompt. look_ahead: tokens whose entropy is reported; nothing depends on it."""

    budget: int = 16
    look_ahead: int = 20
    scale: EntropyScale = "standardised"

    def __post_init__(self) -> None:
        if self.budget < 1 or self.look_ahead < 1:
            raise ValueError(f"Expected a budget and a look-ahead of at least 1, got {self}.")

    def roots(self, question: Question) -> Roots:
        """See `Strategy.roots`."""
        if question.waves == 0:
            question.report.roots = self.budget
        return Roots(question.left, may_fork=False)

    def forks(self, question: Question, waiting: Sequence[Path]) -> list[ForkRecord]:
        """Never asked: no path of this strategy may fork."""
        raise RuntimeError(f"Independent paths never fork; asked to at {question.name}.")
