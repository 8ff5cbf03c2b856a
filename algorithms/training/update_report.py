"""What an update did, as plain numbers: per optimiser step and in total.

report.plain()          # {"loss": ..., "clip_share": ..., "steps": [{...}, ...]}
"""

from dataclasses import dataclass, field
from typing import Any

from algorithms.loss.terms import ClipCounts
from algorithms.policy.learner import StepNumbers


@dataclass(frozen=True)
class StepReport:
    """One optimiser step.

    numbers: loss, gradient norm, learning rate, tokens forwarded. questions, uninformative: of the mini-batch; the
    latter are counted in denominators and not forwarded. counted_tokens: trained leaf tokens in the denominators.
    clips: on the leaf tokens that were forwarded; `trained` is their number.
    ratio_deviation: mean |new / old probability - 1| over these. kl: mean k3 estimate of KL(old || new), in nats.
    extras: of the algorithm's options and critic, by name (`objective.Objective.extras`).
    """

    numbers: StepNumbers
    questions: int
    uninformative: int
    counted_tokens: int
    clips: ClipCounts
    ratio_deviation: float
    kl: float
    extras: dict[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For a metrics file."""
        counts = {"clipped_high": "high", "clipped_low": "low", "clipped_dual": "dual", "trained_tokens": "trained"}
        return {
            **self.numbers._asdict(),
            "questions": self.questions,
            "uninformative": self.uninformative,
            "counted_tokens": self.counted_tokens,
            **{name: int(getattr(self.clips, field)) for name, field in counts.items()},
            "clip_share": _clipped(self.clips) / max(1.0, self.clips.trained),
            "kept_gradient": self.clips.kept,
            "ratio_deviation": self.ratio_deviation,
            "kl": self.kl,
            **self.extras,
        }


@dataclass(frozen=True)
class UpdateReport:
    """An update: its optimiser steps, mini-batches that made none, questions and uninformative ones, seconds."""

    steps: tuple[StepReport, ...]
    idle: int
    questions: int
    uninformative: int
    seconds: float

    @property
    def clip_share(self) -> float | None:
        """Share of trained tokens clipped, on any side, at steps after the first; None where there are none."""
        later = [step.clips for step in self.steps[1:]]
        trained = sum(clips.trained for clips in later)
        return sum(map(_clipped, later)) / trained if trained else None

    @property
    def kept_gradient(self) -> float:
        """What the balanced clip gave back, in units of advantage, summed over leaf tokens and steps."""
        return sum(step.clips.kept for step in self.steps)

    def plain(self) -> dict[str, Any]:
        """For a metrics file: totals, means over steps, and each step. Means are None where no step was made."""
        made = [step.plain() for step in self.steps]
        totals = (
            "clipped_high",
            "clipped_low",
            "clipped_dual",
            "trained_tokens",
            "unique_tokens",
            "raw_tokens",
            "micro_batches",
        )
        means = ("loss", "grad_norm", "ratio_deviation", "kl", *(self.steps[0].extras if self.steps else ()))
        return {
            **{name: sum(step[name] for step in made) / len(made) if made else None for name in means},
            **{name: sum(step[name] for step in made) for name in totals},
            "kept_gradient": self.kept_gradient,
            "clip_share": self.clip_share,
            "optimiser_steps": len(made),
            "idle_mini_batches": self.idle,
            "questions": self.questions,
            "uninformative": self.uninformative,
            "learning_rate": made[-1]["learning_rate"] if made else None,
            "seconds": self.seconds,
            "steps": made,
        }


def _clipped(clips: ClipCounts) -> float:
    return clips.high + clips.low + clips.dual
