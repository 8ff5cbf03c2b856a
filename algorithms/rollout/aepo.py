"""AEPO's rollout: a probe splits the budget between roots and forks, and forks in a row become less likely.

grow(..., strategy=EntropyBalanced(budget=16, sensitivity=1.0))

1. Pre-monitoring: one trajectory runs alone. From the entropy of its first tokens and of those after its tool results
   follows m, how many of the budget start at the prompt.
2. These grow and fork as in ARPO (`arpo.py`), but each consecutive fork of a path takes `rule.penalty` off the next.
3. Left-over budget starts at the prompt, all at once, and never forks.

Source: AEPO, arXiv:2510.14545. Choices where the paper is silent: the probe is kept as member 1 (`keep_probe=False`
throws it away, as the authors' code does) and never forked, its tree being finished when forks are decided; it is one
of the m. At least one other root starts, however small m is: without it nothing could fork. A probe that called no
tool, or was dropped for a fault, splits the budget evenly. Each part can be switched off alone: `premonitor=False`
takes `initial` roots, `rule.penalty=0` no penalty.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from algorithms.rollout.arpo import entropy_forks, half_or
from algorithms.rollout.branching import EntropyScale, ForkRule, Form, probe_difference, root_budget
from algorithms.rollout.paths import Path, Question, Roots
from algorithms.rollout.records import ForkRecord


@dataclass(frozen=True)
class EntropyBalanced:
    """AEPO.

    Attributes:
        budget: trajectories of a question (paper: k).
        sensitivity: how strongly the probe's entropies move m (paper: beta).
        rule: the fork decision with its penalty.
        look_ahead: tokens after the question and after each tool result whose entropy counts.
        scale: unit of entropy differences, for m and for forks.
        premonitor: False takes `initial` roots (None: half of the budget) and no probe.
        keep_probe: whether the probe is a member of the group.
        form: of `root_budget`.
    """

    budget: int = 16
    sensitivity: float = 1.0
    rule: ForkRule = field(default_factory=ForkRule)
    look_ahead: int = 20
    scale: EntropyScale = "standardised"
    premonitor: bool = True
    keep_probe: bool = True
    initial: int | None = None
    form: Form = "paper"

    def __post_init__(self) -> None:
        if self.budget < 1 or self.look_ahead < 1 or not (self.initial is None or 1 <= self.initial <= self.budget):
            raise ValueError(f"Expected budget and look-ahead of at least 1 and 1 <= initial <= budget, got {self}.")
        if self.premonitor and self.initial is not None:
            raise ValueError(
                "initial is for premonitor=False: with pre-monitoring the probe says how many roots start."
            )

    def roots(self, question: Question) -> Roots:
        """See `Strategy.roots`."""
        if question.waves == 0 and self.premonitor:
            return Roots(1, may_fork=False, is_member=self.keep_probe)
        if question.waves == (1 if self.premonitor else 0):
            question.report.roots = roots = self._root_budget(question)
            others = roots - (self.premonitor and self.keep_probe)
            return Roots(min(max(others, 1), question.left), may_fork=True)
        return Roots(question.left, may_fork=False)

    def forks(self, question: Question, waiting: Sequence[Path]) -> list[ForkRecord]:
        """See `Strategy.forks`."""
        return entropy_forks(question, waiting, self.rule)

    def _root_budget(self, question: Question) -> int:
        """m: from the question's probe, if there is one."""
        if not self.premonitor:
            return half_or(self.initial, self.budget)
        levels = question.done[0].levels if question.done else []
        after_tools = [level.value for level in levels if level.after_tool]
        difference = 0.0
        if after_tools:
            difference = probe_difference(levels[0].value, after_tools)
            question.report.gap = difference
        return root_budget(
            question.root_units.scaled(difference), self.budget, sensitivity=self.sensitivity, form=self.form
        )
