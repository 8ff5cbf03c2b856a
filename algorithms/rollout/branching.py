"""Where AEPO and ARPO spend a question's budget: how many roots, and whether a path forks at a tool result.

    units = EntropyUnits("standardised", RunningDeviation())
    level = entropy_level(first_tokens_entropies, "standardised", vocabulary)     # at the root, after each tool result
    gap = probe_difference(root_level, levels_after_tools)                        # AEPO's pre-monitoring
    roots = root_budget(units.scaled(gap), budget=16, sensitivity=1.0)
    rule = ForkRule(base=0.5, weight=0.2, penalty=0.05)                           # ARPO: penalty=0
    decision = rule.decide(units.scaled(level - path_root_level), streak, draw)
    streak = next_streak(streak, decision.forked)

Sources: ARPO, arXiv:2507.19849 (entropy-based adaptive rollout); AEPO, arXiv:2510.14545 (entropy pre-monitoring, branch
penalty); the authors' code as described with each function ("official").

Pure decision rules: nothing here samples, and a draw from [0, 1) is an argument. What rollouts must see to: the level
at a path's start is reset for every question (the official code keeps it for ever under the row's number, so that from
the second batch on it is another question's); a child inherits its parent's start level and streak; and scaling stays
fixed during a rollout batch and is updated after it, so that no question waits for another.

Left out: budget accounting, top-up and the order of decisions (the rollout engine's), and Z > 1 children a fork.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

EntropyScale = Literal["standardised", "mean", "sum20"]
"""In what units differences of entropy enter probabilities and budgets.

standardised: their own running standard deviation, so that `weight` and `sensitivity` mean the same for any vocabulary.
mean: mean token entropy / ln(vocabulary), a share of the greatest entropy. sum20: the sum over the first 20 tokens
/ ln(vocabulary), the official code's (which also sums over the 10 likeliest tokens only); some 20 times `mean`.
"""

Form = Literal["paper", "official"]
Mode = Literal["bernoulli", "threshold"]
Streaks = Literal["path", "question"]

SUMMED_TOKENS = 20  # of a segment, in the official code
ROUNDING = 1e-3  # nats; how far below 0 half-precision logits may bring an entropy
FEWEST_OBSERVATIONS = 8  # differences seen before their deviation is trusted


def entropy_level(entropies: Sequence[float], scale: EntropyScale, vocabulary: int) -> float:
    """How uncertain the policy is over the first tokens it wrote at some point.

    Args:
        entropies: of the look-ahead tokens, in nats, at least one (fewer than asked for, where the turn ended sooner).
        scale: see `EntropyScale`; `standardised` takes the mean too, its unit is applied to differences.
        vocabulary: number of tokens the policy chooses from.

    Raises:
        ValueError: no tokens, an entropy that is not finite or negative beyond rounding, a vocabulary below 2, or an
            unknown scale.
    """
    if not entropies or not all(math.isfinite(value) and value >= -ROUNDING for value in entropies):
        raise ValueError(f"Expected the entropies of one or more tokens in nats, finite and from 0, got {entropies!r}.")
    entropies = [max(value, 0.0) for value in entropies]
    if vocabulary < 2:
        raise ValueError(f"A vocabulary has at least 2 tokens, not {vocabulary}.")
    if scale not in get_args(EntropyScale):
        raise ValueError(f"Unknown entropy scale {scale!r}: choose one of {', '.join(get_args(EntropyScale))}.")
    if scale == "sum20":
        return math.fsum(entropies[:SUMMED_TOKENS]) / math.log(vocabulary)
    return math.fsum(entropies) / len(entropies) / math.log(vocabulary)


def probe_difference(root: float, after_tools: Sequence[float]) -> float:
    """H_root - H_tool of AEPO's pre-monitoring probe, unscaled: what `root_budget` decides on.

    Args:
        root: `entropy_level` of the probe's first tokens.
        after_tools: levels after each of its tool results. Empty where it called no tool: the difference is 0 then, and
            the budget is split evenly. (The official code takes the levels of all segments here, the first and the
            answer among them, and the root's from a generation of its own.)

    Raises:
        ValueError: a level is not finite.
    """
    difference = root - math.fsum(after_tools) / len(after_tools) if after_tools else 0.0
    _finite(difference)
    return difference


class RunningDeviation(NamedTuple):
    """Count, sum and sum of squares of the differences seen so far: the whole state, to be stored with a checkpoint.

    `RunningDeviation(*json.loads(json.dumps(state)))` gives it back exactly.
    """

    seen: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def updated(self, differences: Iterable[float], *, keep: float = 1.0) -> "RunningDeviation":
        """The state after one more batch of differences, whose order does not matter, to the last bit.

        Args:
            differences: all of one rollout batch.
            keep: weight the past keeps at each update, 0 to 1. Below 1 old batches fade: entropies shrink in training.

        Raises:
            ValueError: a difference is not finite, or `keep` is outside 0 to 1.
        """
        new = list(differences)
        if not all(math.isfinite(value) for value in new) or not 0 <= keep <= 1:
            raise ValueError(f"Expected finite differences and keep between 0 and 1, got keep={keep} and {new[:10]!r}.")
        # Plain sums lose digits only where the mean is far greater than the deviation; differences lie around 0.
        return RunningDeviation(
            keep * self.seen + len(new),
            math.fsum([keep * self.total, *new]),
            math.fsum([keep * self.squares, *(value * value for value in new)]),
        )

    def value(self) -> float | None:
        """The standard deviation, or None while it is unknown: too few differences, or all of them equal."""
        if self.seen < FEWEST_OBSERVATIONS:
            return None
        mean = self.total / self.seen
        variance = self.squares / self.seen - mean * mean
        # Equal differences leave rounding noise of this order, and no unit to measure by.
        return math.sqrt(variance) if variance > 1e-12 * self.squares / self.seen else None


class EntropyUnits(NamedTuple):
    """A scale and, for `standardised`, the deviation measured so far. Roots and forks each have their own."""

    scale: EntropyScale
    deviation: RunningDeviation = RunningDeviation()

    def scaled(self, difference: float) -> float:
        """A difference of two `entropy_level`s in this unit.

        While the deviation is unknown (in the first batch) a standardised difference is 0: nobody can say yet whether
        it is large, so roots and forks are split evenly and forks fall with the base probability.

        Raises:
            ValueError: the difference is not finite.
        """
        _finite(difference)
        if self.scale != "standardised":
            return difference
        deviation = self.deviation.value()
        return 0.0 if deviation is None else difference / deviation


def root_budget(difference: float, budget: int, *, sensitivity: float, form: Form = "paper") -> int:
    """AEPO's pre-monitoring: how many of a question's trajectories start at the root; the others come from forks.

        paper:     m = budget * sigmoid(sensitivity * (H_root - H_tool)), rounded (half up), 1 to budget
        official:  m = floor(budget * sigmoid(...)) + 1, 1 to budget

    So a question whose root is more uncertain than its tool results gets more roots. The official sensitivity is 0.5 on
    `sum20`; its scripts switch this part off. Rounding and clamping are ours: the paper's m is a real number.

    Args:
        difference: H_root - H_tool from `probe_difference`, scaled by `EntropyUnits`.
        budget: trajectories of the question in all, at least 1.
        sensitivity: how strongly the difference acts (the paper's beta).
        form: "paper" or "official".

    Raises:
        ValueError: the difference is not finite, the budget below 1, or an unknown form.
    """
    _finite(difference)
    if budget < 1:
        raise ValueError(f"A question has a budget of at least 1 trajectory, not {budget}.")
    share = budget * _sigmoid(sensitivity * difference)
    if form == "paper":
        roots = math.floor(share + 0.5)
    elif form == "official":
        roots = math.floor(share) + 1
    else:
        raise ValueError(f"Unknown form {form!r}: choose paper or official.")
    return min(max(roots, 1), budget)


class Decision(NamedTuple):
    """A fork decision, as it is logged.

    probability: of a fork; 0 or 1 for a threshold. penalty: the share of the score that the streak took.
    """

    forked: bool
    probability: float
    penalty: float


@dataclass(frozen=True)
class ForkRule:
    """Whether a path forks at a tool result.

    With the scaled rise of entropy since the path's start, dH, and the path's consecutive forks so far, l:

        paper:     score = (base + weight * dH) * (1 - min(1, penalty * l));  ARPO is penalty = 0
        official:  P(fork) = 1 - base / pen + weight * dH, pen = max(0, 1 - penalty * l); 0 where pen is 0

    mode "bernoulli": forks with probability score, cut to 0..1 (the official code of ARPO, and AEPO's form here);
    mode "threshold": forks if score > threshold (both papers). The official AEPO form is what drawing u and comparing
    clip((u + weight * dH) * pen, 0, 1) >= base amounts to; at l = 0 and base = 0.5 both forms are the same.

    Attributes:
        base: score of a path whose entropy did not change (paper: alpha; code: branch_probability 0.5).
        weight: how strongly the change acts (ARPO's beta, AEPO's gamma; code: entropy_weight 0.2 on `sum20`).
        penalty: what each consecutive fork takes off, 0.05 in AEPO's code; 0 turns the branch penalty off.
        mode: "bernoulli" or "threshold".
        threshold: tau of mode "threshold".
        form: "paper" or "official".
        streaks: whose forks in a row count: the "path"'s, or the "question"'s rounds in which any path forked (the
            official code, where it also stays as it is in a round in which no question of the worker gained a path).

    Raises:
        ValueError: base or threshold outside 0 to 1, a negative penalty, an unknown mode, form or streaks, or the
            official form with a threshold.
    """

    base: float = 0.5
    weight: float = 0.2
    penalty: float = 0.05
    mode: Mode = "bernoulli"
    threshold: float = 0.5
    form: Form = "paper"
    streaks: Streaks = "path"

    def __post_init__(self) -> None:
        if not (0 <= self.base <= 1 and 0 <= self.threshold <= 1 and self.penalty >= 0 and math.isfinite(self.weight)):
            raise ValueError(f"Expected base and threshold in 0..1, penalty >= 0 and a finite weight, got {self}.")
        if self.mode not in get_args(Mode) or self.form not in get_args(Form):
            raise ValueError(
                f"Expected mode {' or '.join(get_args(Mode))} and form {' or '.join(get_args(Form))}: {self}."
            )
        if self.streaks not in get_args(Streaks):
            raise ValueError(f"Expected streaks {' or '.join(get_args(Streaks))}: {self}.")
        if self.form == "official" and self.mode == "threshold":
            raise ValueError(
                "The official form compares a draw with its base and has no threshold: choose mode bernoulli."
            )

    def decide(self, rise: float, streak: int, draw: float) -> Decision:
        """Decide one fork.

        Args:
            rise: entropy level after the tool result minus that at the path's start, scaled.
            streak: the path's consecutive forks before this tool result, from 0.
            draw: a number from [0, 1), from the question's own stream; unused by a threshold.

        Raises:
            ValueError: the rise is not finite, the streak negative, or the draw outside [0, 1).
        """
        _finite(rise)
        if streak < 0 or not 0 <= draw < 1:
            raise ValueError(f"Expected a streak from 0 on and a draw from [0, 1), got {streak} and {draw}.")
        penalty = min(1.0, self.penalty * streak)
        if self.form == "official":
            score = 1 - self.base / (1 - penalty) + self.weight * rise if penalty < 1 else 0.0
        else:
            score = (self.base + self.weight * rise) * (1 - penalty)
        if self.mode == "threshold":
            forked = score > self.threshold
            return Decision(forked, float(forked), penalty)
        probability = min(max(score, 0.0), 1.0)
        return Decision(draw < probability, probability, penalty)


def next_streak(streak: int, forked: bool) -> int:
    """Consecutive forks of a path after a decision; original and child both go on with it. As recommended, per path."""
    return streak + 1 if forked else 0


def _sigmoid(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def _finite(difference: float) -> None:
    """Refuse what would turn a decision into noise."""
    if not math.isfinite(difference):
        raise ValueError(
            f"A difference of entropies must be finite, but is {difference}: look at its log-probabilities."
        )
