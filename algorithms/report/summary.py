"""What a run reached and whether each part of its algorithm acted: one plain dictionary, and sentences about it.

    found = summary(RunFiles.read(path))
    found["gain"]["greedy"]["mean"], found["root_values"], found["fork_probability"]["range"]
    for line in part_lines(parts_in_words(found)):
        print(line)

Every figure is made of metrics.jsonl and eval.jsonl alone. Intervals are 95 % over questions, normal where questions
differ; gains are paired by question.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from algorithms.report.run_files import RunFiles

CLIPPED = (0.005, 0.10)
"""Share of tokens that a healthy run clips after the first optimiser step of a batch."""
_NEXT_TO_NONE = 0.0005
"""A smaller mean share is written as 0.0 %: clipping took next to no part."""

FEWEST_STEPS = 10
"""A part that did not act in fewer steps may be whole all the same: clipping and units of entropy need a few."""

_JUDGE = "reward"  # as rollout.faults.JUDGE, which a reader of files does without: what metrics count a judge under

_USUAL_PARTS = {"aepo": ["branching", "premonitor", "balanced", "entropy_weight"], "arpo": ["branching"]}
"""Of runs whose metrics do not name the parts that were on."""


class Part(NamedTuple):
    """A part of the algorithm: its name, whether it was seen to act, and a sentence with figures.

    early: it did not act, in a run of too few steps to tell.
    """

    name: str
    acted: bool
    words: str
    early: bool = False

    @property
    def verdict(self) -> str:
        """Whether it was seen to act, in a word or a few."""
        return "yes" if self.acted else "too few steps to tell" if self.early else "NO"


def summary(run: RunFiles) -> dict[str, Any]:
    """The figures of a run. Shares are from 0 to 1; what there is no data for is None.

    parts: that the algorithm had, as its settings left it; names of `training.watch`.
    gain: by "greedy" and "sampled", before, after, mean, low, high and questions.
    root_values: the values that m took. fork_probability: quartiles (low, middle, high) over all decisions of the run
    and their range. decisions, forks, not_forked: counts. questions, questions_forked: grown and forked at least once.
    interpreters: started, forked, rebuilt. steps_given_back: share of the steps in which the balanced clip gave back
    gradient. steps_clipped: share of the steps that clipped `CLIPPED` of the tokens after the first optimiser step.
    entropy_deviation: its mean. steps_grouped: mean share of steps whose state another shares. token_share: unique
    tokens of raw ones. dead: share of questions that taught nothing.
    failed_calls: by tool. audited: tokens, largest difference in nats. warnings: (step, words).
    """
    metrics = run.metrics
    rollouts = [one["rollout"] for one in metrics]
    updates = [one["update"] for one in metrics]
    questions = sum(one.get("grown_questions", one["questions"]) for one in metrics)
    shares = [one["clip_share"] for one in updates if one["clip_share"] is not None]
    interpreters: Counter[str] = Counter()
    for one in metrics:
        interpreters.update(one.get("interpreters", {}))
    failed = totals(map(faults_by_name, rollouts))
    return {
        "parts": metrics[-1].get("parts", _USUAL_PARTS.get(run.config.get("algorithm", ""), [])) if metrics else [],
        "steps": run.done,
        "planned_steps": run.steps,
        "gain": {name: gained for name in ("greedy", "sampled") if (gained := _gain_of(run, name)) is not None},
        "root_values": sorted({roots for one in rollouts for roots, _ in one["roots"]}),
        "fork_probability": _quartiles(rollouts),
        "decisions": sum(one["fork_decisions"] for one in rollouts),
        "forks": sum(one["forks"] for one in rollouts),
        "not_forked": totals(one["not_forked"] for one in rollouts),
        "questions": questions,
        "questions_forked": sum(one["questions_forked"] for one in rollouts),
        "tool_calls": totals(one["tool_calls"] for one in rollouts),
        "failed_calls": {name: count for name, count in failed.items() if name != _JUDGE},
        "judge_failed": failed.get(_JUDGE, 0),
        "interpreters": dict(interpreters),
        "steps_given_back": _share([one["kept_gradient"] > 0 for one in updates]),
        "clip_share": sum(shares) / len(shares) if shares else None,
        "steps_clipped": _share([CLIPPED[0] <= share <= CLIPPED[1] for share in shares]),
        "entropy_deviation": _mean([one["entropy_deviation"] for one in metrics]),
        "steps_grouped": _mean([one["steps"]["grouped"] or 0.0 for one in metrics if "steps" in one]),
        "unique_tokens": sum(one["unique_tokens"] for one in metrics),
        "raw_tokens": sum(one["raw_tokens"] for one in metrics),
        "dead": sum(one["dead_questions"] for one in metrics) / max(1, sum(one["questions"] for one in metrics)),
        "seconds": sum(sum(one["seconds"].values()) for one in metrics),
        "audited": {
            "tokens": sum(one["audit"]["tokens"] for one in metrics),
            "largest": max((one["audit"]["largest"] for one in metrics), default=0.0),
        },
        "lost": {name: sum(one[name] for one in rollouts) for name in ("retried", "dropped", "unforkable")},
        "warnings": [(one["step"], words) for one in metrics for words in one.get("warnings", ())],
    }


def headline(found: dict[str, Any]) -> list[str]:
    """The gain in words, a sentence each for greedy and sampled."""
    names = {"greedy": "Greedy", "sampled": "Sampled (pass@1)"}
    return [f"{names[name]}: {gain_in_words(one)}." for name, one in found["gain"].items()]


def failures_in_words(found: dict[str, Any]) -> list[str]:
    """What failed while training, a sentence for each tool and one for the judge; nothing where nothing did."""
    calls = found["tool_calls"]
    said = [
        f"{count} of {calls.get(tool, count)} calls of {tool} failed." for tool, count in found["failed_calls"].items()
    ]
    if found["judge_failed"]:
        count = found["judge_failed"]
        said.append(f"The judge was out of reach {count} time{'s' * (count != 1)}.")
    return said


def gain_in_words(gain: dict[str, Any]) -> str:
    """What `gain` found: before, after, the difference and its interval."""
    shown = gain_in_percent(gain)
    return (
        f"{shown['before']:.1f} % before, {shown['after']:.1f} % after training: "
        f"{shown['mean']:+.1f} points (95 % interval {shown['low']:+.1f} to {shown['high']:+.1f}, "
        f"{gain['questions']} unseen questions)"
    )


def gain_in_percent(gain: dict[str, Any]) -> dict[str, Any]:
    """What `gain` found, each share in percent as it is shown."""
    return {name: percent(value) if name != "questions" else value for name, value in gain.items()}


def percent(share: float) -> float:
    """A share in percent to a tenth, halves away from zero.

    Whatever shows a result rounds it here: 23.75 is 23.8 everywhere, however its last binary digits came to be and
    whatever Python and JavaScript, which differ in this, make of an exact half.
    """
    tenths = math.floor(round(1000 * abs(share), 6) + 0.5)
    return (tenths if share > 0 else -tenths) / 10


def parts_in_words(found: dict[str, Any]) -> list[Part]:
    """Each part of the algorithm with what it was seen to do. Parts that it lacks, or that were off, are left out."""
    few = found["steps"] < FEWEST_STEPS
    return [part._replace(early=few and not part.acted) for part in _parts(found)] if found["steps"] else []


def part_lines(parts: Iterable[Part]) -> list[str]:
    """A line each: the verdict, the name, what it was seen to do."""
    return [f"{part.verdict:<3}  {part.name}: {part.words}" for part in parts]


def _parts(found: dict[str, Any]) -> list[Part]:
    parts = []
    has = frozenset(found["parts"])
    if "premonitor" in has:
        parts.append(_premonitoring(found))
    if "branching" in has:
        parts += [_branching(found), _spread(found), _live_forks(found)]
    clipped = found["steps_clipped"]
    if clipped is not None:
        parts.append(
            Part(
                "Clip",
                found["clip_share"] >= _NEXT_TO_NONE or clipped > 0,
                f"{100 * clipped:.0f} % of the steps clipped between {100 * CLIPPED[0]:g} and {100 * CLIPPED[1]:g} % "
                f"of their tokens after the first update; {100 * found['clip_share']:.1f} % on average.",
            )
        )
    if "balanced" in has:
        parts.append(_balanced(found))
    if "entropy_weight" in has:
        parts.append(_entropy_weight(found))
    if "steps" in has:
        parts.append(_steps(found))
    saved = found["unique_tokens"] / max(1, found["raw_tokens"])
    parts.append(
        Part(
            "Token tree",
            saved < 1,
            f"Unique tokens were {100 * saved:.0f} % of those of flat rows: each shared one was computed once.",
        )
    )
    return parts


def _premonitoring(found: dict[str, Any]) -> Part:
    values = found["root_values"]
    told = f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"
    many = "one value" if len(values) == 1 else f"{len(values)} values"
    return Part(
        "Pre-monitoring",
        len(values) > 1,
        f"m, the trajectories that start at the prompt, took {many} ({told}).",
    )


def _branching(found: dict[str, Any]) -> Part:
    share = found["questions_forked"] / max(1, found["questions"])
    return Part(
        "Branching",
        found["forks"] > 0,
        f"{100 * share:.0f} % of the questions forked at a tool result; {found['forks']} of {found['decisions']} "
        "decisions were for a fork.",
    )


def _spread(found: dict[str, Any]) -> Part:
    quartiles = found["fork_probability"]
    if quartiles is None:
        return Part("Entropy in P(fork)", False, "No fork was ever decided on.")
    return Part(
        "Entropy in P(fork)",
        quartiles["range"] > 0,
        f"P(fork) had the quartiles {quartiles['low']:.2f}, {quartiles['middle']:.2f} and {quartiles['high']:.2f}: "
        f"an interquartile range of {quartiles['range']:.2f}.",
    )


def _live_forks(found: dict[str, Any]) -> Part:
    counted = found["interpreters"]
    forked, started = counted.get("forked", 0), counted.get("started", 0)
    return Part(
        "Live interpreters in forks",
        forked > 0,
        f"{forked} live Python interpreters were forked, {started} started."
        if started
        else "No Python interpreter was started: no tool or no question called for one.",
    )


def _balanced(found: dict[str, Any]) -> Part:
    share = found["steps_given_back"] or 0.0
    return Part(
        "Balanced clip",
        share > 0,
        f"In {100 * share:.0f} % of the steps it gave gradient back to clipped tokens.",
    )


def _entropy_weight(found: dict[str, Any]) -> Part:
    deviation = found["entropy_deviation"] or 0.0
    return Part(
        "Entropy-aware advantage",
        deviation > 0,
        f"Token entropies had a standard deviation of {deviation:.2f} nats, by which advantages were weighted.",
    )


def _steps(found: dict[str, Any]) -> Part:
    share = found["steps_grouped"] or 0.0
    return Part(
        "Steps from the same state",
        share > 0,
        f"{100 * share:.0f} % of the steps were taken from a state that another of their question was taken from too.",
    )


def _gain_of(run: RunFiles, name: str) -> dict[str, Any] | None:
    before, after = run.evaluation("before"), run.evaluation("after")
    if before is None or after is None or name not in before or name not in after:
        return None
    first, second = before[name]["scores"], after[name]["scores"]
    return gain(first, second) if len(first) == len(second) else None


def gain(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """Means of scores over the same questions, and the mean difference with its interval, paired by question."""
    mean, low, high = difference_interval([late - early for early, late in zip(before, after, strict=True)])
    return {
        "before": math.fsum(before) / len(before),
        "after": math.fsum(after) / len(after),
        "mean": mean,
        "low": low,
        "high": high,
        "questions": len(before),
    }


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and normal 95 % interval; of one value alone, the value."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, mean, mean
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = 1.96 * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half


def share_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of values between 0 and 1, within these.

    Where all are right or all wrong it is that of Clopper and Pearson: the normal one would have no width then, as if a
    few questions were proof.
    """
    if len(values) > 1 and min(values) == max(values) and values[0] in (0.0, 1.0):
        reach = _reach(len(values))
        return (0.0, 0.0, reach) if values[0] == 0 else (1.0, 1.0 - reach, 1.0)
    mean, low, high = interval(values)
    return mean, max(0.0, low), min(1.0, high)


def difference_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of differences between shares of the same questions, within -1 and 1.

    Where no question differs from another in it, there is room on both sides for a share of questions that do and were
    not drawn: the normal interval would have no width, as for shares.
    """
    mean, low, high = interval(values)
    if len(values) > 1 and min(values) == max(values):
        low, high = mean - _reach(len(values)), mean + _reach(len(values))
    return mean, max(-1.0, low), min(1.0, high)


def _reach(count: int) -> float:
    """The largest share of which `count` draws show none in 25 of 1,000 cases."""
    return float(1 - 0.025 ** (1 / count))


def _quartiles(rollouts: Iterable[dict[str, Any]]) -> dict[str, float] | None:
    """Of P(fork) over all decisions of a run, from counts of probabilities to 0.01."""
    counts: Counter[float] = Counter()
    for one in rollouts:
        for probability, count in one.get("fork_probabilities", ()):
            counts[probability] += count
    total = counts.total()
    if not total:
        return None
    low, middle, high = (_quantile(counts, share * (total - 1)) for share in (0.25, 0.5, 0.75))
    return {"low": low, "middle": middle, "high": high, "range": high - low}


def _quantile(counts: Counter[float], place: float) -> float:
    """The value at a place, from 0, of the sorted values; between two of them in proportion."""

    def at(index: int) -> float:
        seen = 0
        for value in sorted(counts):
            seen += counts[value]
            if index < seen:
                return value
        raise IndexError(index)

    below = math.floor(place)
    above = math.ceil(place)
    return at(below) + (place - below) * (at(above) - at(below))


def faults_by_name(rollout: Mapping[str, Any]) -> dict[str, int]:
    """How many faults a step's rollout had, by tool, or by `_JUDGE`; of metrics."""
    return {name: sum(one["kinds"].values()) for name, one in rollout.get("faults", {}).items()}


def lost(evaluation: Mapping[str, Any]) -> int:
    """Episodes that faults of tools took from an evaluation, a record of eval.jsonl."""
    return sum((evaluation.get(kind) or {}).get("lost", 0) for kind in ("greedy", "sampled"))


def totals(each: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums by name, in the order of the names."""
    total: Counter[str] = Counter()
    for one in each:
        total.update(one)
    return dict(sorted(total.items()))


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
