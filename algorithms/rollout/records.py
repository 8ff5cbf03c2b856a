"""What a rollout reports: every fork decision, every leaf, every question, and their summary as plain numbers.

    grown = grow(...)
    grown.reports[0].forks                     # each decision: where, on what, with which draw, taken or why not
    summary(grown.reports)["fork_share"]

Plain data for metrics and traces; trees hold tokens and rewards.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from algorithms.rollout.faults import HANGS, JUDGE, Faults, together

if TYPE_CHECKING:
    from aepo_env.episode import CallRecord, Episode

Outcome = Literal["forked", "draw", "budget", "environment"]


class ForkRecord(NamedTuple):
    """One fork decision.

    path, node: which path, and the observation it stood at; round: its tool results so far, that one included.
    start_level, level: `entropy_level` of the path's first tokens and of those after the observation.
    rise: level - start_level in the unit of the scale. streak: the path's consecutive forks before.
    probability, penalty, draw: of `ForkRule.decide`.
    outcome: "forked"; else why not: the rule's "draw", no "budget" left, or an "environment" that could not be forked.
    """

    round: int
    path: int
    node: int
    start_level: float
    level: float
    rise: float
    streak: int
    probability: float
    penalty: float
    draw: float
    outcome: Outcome

    @property
    def difference(self) -> float:
        """The rise, unscaled."""
        return self.level - self.start_level


class LeafRecord(NamedTuple):
    """One trajectory, in the order of `TokenTree.leaves`.

    path: its number. parent: the path it was forked from, or None; origin: the node it then started at (0: the prompt).
    turns: of the policy. retried: whether a fault made it start again.
    """

    path: int
    parent: int | None
    origin: int
    turns: int
    stop_reason: str
    retried: bool


@dataclass(slots=True)
class QuestionReport:
    """What happened on one question.

    roots: paths planned to start at the prompt and to be forked (with AEPO's probe, if it is kept: the m of the paper).
    gap: H_root - H_tool of the probe, unscaled; None without a probe, or where it called no tool.
    calls: tools run, by name, each once however many leaves share it. steps: turns played.
    asked, read, answers: what its trajectories called (tool and argument), were told, and answered, each once.
    retried, dropped: invalid paths that were tried again, and that were given up. faults: why.
    unforkable: tool results at which the environment could not be put aside, so that no decision was taken.
    """

    question: str
    roots: int = 0
    gap: float | None = None
    forks: list[ForkRecord] = field(default_factory=list)
    leaves: list[LeafRecord] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    asked: set[tuple[str, str]] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    steps: int = 0
    retried: int = 0
    dropped: int = 0
    unforkable: int = 0
    faults: Faults = field(default_factory=Faults)

    def note_calls(self, made: "Sequence[CallRecord]") -> list[str]:
        """What a turn called, and how it failed; names of the tools that were run."""
        run = [call for call in made if not call.refused]
        self.calls.update(call.tool for call in run)
        for call in run:
            if call.fault is not None:
                self.faults.note(call.tool, call.fault.kind, call.fault.message)
        return [call.tool for call in run]

    def note_given_up(self, tools: Sequence[str]) -> None:
        """A turn whose calls did not come back."""
        self.calls.update(tools)
        for name in tools or [JUDGE]:
            self.faults.note(name, HANGS, "it did not come back long after its deadline")

    def note_judge(self) -> None:
        """A trajectory that could not be scored."""
        self.faults.note(JUDGE, "unreachable", "the judge could not be reached")

    def note(self, episode: "Episode") -> None:
        """What a member's episode called, was told, and answered."""
        for call in episode.calls():
            self.asked.add((call.tool, call.argument))
            self.read.add(call.result)
        if episode.answer is not None:
            self.answers.add(episode.answer)


def summary(reports: Sequence[QuestionReport]) -> dict[str, Any]:
    """Numbers over a batch, for a metrics file. Shares are None where there is nothing to take a share of.

    fork_probabilities: how many decisions had which probability, to 0.01, so that steps can be pooled.
    faults: calls that failed, of `tool_calls`, by tool, and of the judge: see `faults.together`.
    """
    forks = [record for report in reports for record in report.forks]
    taken = [record.outcome == "forked" for record in forks]
    stops = Counter(leaf.stop_reason for report in reports for leaf in report.leaves)
    calls: Counter[str] = sum((report.calls for report in reports), Counter())
    low, middle, high = _quartiles([record.probability for record in forks])
    return {
        "roots": sorted(Counter(report.roots for report in reports).items()),
        "fork_decisions": len(forks),
        "forks": sum(taken),
        "fork_share": sum(taken) / len(forks) if forks else None,
        "fork_probability_quartiles": [low, middle, high] if forks else None,
        "fork_probabilities": sorted(Counter(round(record.probability, 2) for record in forks).items()),
        "questions_forked": sum(any(r.outcome == "forked" for r in report.forks) for report in reports),
        "not_forked": dict(sorted(Counter(r.outcome for r in forks if r.outcome != "forked").items())),
        "stop_reasons": dict(sorted(stops.items())),
        "tool_calls": dict(sorted(calls.items())),
        "faults": together([report.faults for report in reports]),
        "steps": sum(report.steps for report in reports),
        "leaves": sum(len(report.leaves) for report in reports),
        "retried": sum(report.retried for report in reports),
        "dropped": sum(report.dropped for report in reports),
        "unforkable": sum(report.unforkable for report in reports),
    }


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        return (0.0, 0.0, 0.0)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return (low, middle, high)
