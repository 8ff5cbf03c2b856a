"""The curves of a report: what is drawn over the steps of a run, as plain data.

    for chart in charts(run):
        chart["title"], chart["unit"], [line["values"] for line in chart["lines"]]

A chart has a title, a unit, a note that says how to read it, and one of three kinds: "lines" (lines, with a band of
low and high where there is one, and points of evaluations), "stack" (parts that add up) and "counts" (how many
questions had which value). Values are one per step, None where there is none. A chart without any value is left out.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from algorithms.report.run_files import RunFiles
from algorithms.report.summary import faults_by_name, gain, percent, share_interval

Chart = dict[str, Any]
Record = dict[str, Any]


def charts(run: RunFiles) -> list[Chart]:
    """All charts of a run, in the order in which they are shown."""
    metrics = run.metrics
    if not metrics:
        return []
    made = [
        *_learning(run),
        *_growing(metrics),
        *_updating(metrics),
        _stack("How trajectories ended", "% of trajectories", "", metrics, lambda one: _percent(one, "stop_reasons")),
        _stack(
            "Time",
            "seconds a step",
            "Rollout includes the tools; score is the audit and the advantages.",
            metrics,
            lambda one: one["seconds"],
        ),
    ]
    return [chart for chart in made if any(value is not None for line in chart["lines"] for value in line["values"])]


def _learning(run: RunFiles) -> list[Chart]:
    metrics = run.metrics
    success = _line("training", [100 * step_success(one) for one in metrics], "main")
    success["low"], success["high"] = _band(metrics)
    parts = sorted({name for one in metrics for name in one["reward_parts"]})
    rewards = [_line("total", [one["reward"] for one in metrics], "main")]
    if len(parts) > 1:
        rewards += [_line(name, [one["reward_parts"].get(name) for one in metrics]) for name in parts]
    return [
        _lines(
            "Success",
            "% of trajectories",
            "Sampled, on each step's new questions; the band is the 95 % interval over questions. Points: greedy on "
            "the unseen dev questions.",
            [success],
            points=_points(run),
        ),
        _lines("Reward", "mean of a trajectory", "", rewards),
        _lines(
            "Dead questions",
            "% of questions",
            "All trajectories of theirs had the same reward, so that they taught nothing.",
            [_line("share", [100 * one["dead_questions"] / one["questions"] for one in metrics], "main")],
        ),
        _lines("Entropy", "nats a token", "", [_line("mean", [one["entropy"] for one in metrics], "main")]),
    ]


def step_success(metrics: Record) -> float:
    """Of all that a step grew: a filter keeps questions by their success."""
    grown = metrics.get("grown_success")
    return float(metrics["success"] if grown is None else grown)


def _branching(metrics: Sequence[Record]) -> list[Chart]:
    rollouts = [one["rollout"] for one in metrics]
    quartiles = [one["fork_probability_quartiles"] or [None] * 3 for one in rollouts]
    probability = _line("median", [one[1] for one in quartiles], "main")
    probability["low"], probability["high"] = [one[0] for one in quartiles], [one[2] for one in quartiles]
    roots: Chart = {
        "kind": "counts",
        "title": "Roots of a question (m)",
        "unit": "trajectories",
        "note": "How many started at the prompt: the darker, the more questions. The line is the mean.",
        "lines": [_line("mean", [one["roots_mean"] for one in metrics], "main")],
        "counts": [one["roots"] for one in rollouts],
    }
    return [
        roots,
        _lines(
            "Fork decisions",
            "a step",
            "",
            [
                _line("decisions", [one["fork_decisions"] for one in rollouts]),
                _line("forks", [one["forks"] for one in rollouts], "main"),
            ]
            if any(one["fork_decisions"] for one in rollouts)
            else [],
            zero=True,
        ),
        _lines("P(fork)", "probability", "The band holds the middle half of the decisions.", [probability]),
        *_exploring(metrics),
    ]


def _exploring(metrics: Sequence[Record]) -> list[Chart]:
    found = [one["exploration"] for one in metrics if "exploration" in one]
    if not found or len(found) < len(metrics):  # a run of an earlier version
        return []
    shares = {"uncertain turns in a row": "uncertain_in_a_row", "forks on the busiest three": "forks_of_busiest"}
    return [
        _lines(
            "Where uncertainty lies",
            "%",
            "Of uncertain turns behind a tool result, those whose predecessor was so too; of forks, those on the three "
            "paths of their question that forked most.",
            [
                _line(name, [None if one[key] is None else 100 * one[key] for one in found])
                for name, key in shares.items()
                if any(one[key] is not None for one in found)
            ],
        ),
        _lines(
            "Different in a question",
            "mean of its trajectories",
            "Calls (tool and argument), results and answers that differ: how widely the group explores.",
            [_line(name, [one["different"][name] for one in found]) for name in ("calls", "results", "answers")],
            zero=True,
        ),
    ]


def _growing(metrics: Sequence[Record]) -> list[Chart]:
    rollouts = [one["rollout"] for one in metrics]
    tools = sorted({name for one in rollouts for name in one["tool_calls"]})
    failing = [faults_by_name(one) for one in rollouts]
    live = [one.get("interpreters", {}) for one in metrics]
    return [
        *_branching(metrics),
        _lines(
            "Tokens",
            "a step",
            "Raw: what flat rows would hold. Unique: each shared token once, as the tree computes it.",
            [
                _line("raw", [one["raw_tokens"] for one in metrics]),
                _line("unique", [one["unique_tokens"] for one in metrics], "main"),
            ],
            zero=True,
        ),
        _lines(
            "Tool calls",
            "a step",
            "",
            [_line(name, [one["tool_calls"].get(name, 0) for one in rollouts]) for name in tools]
            + [
                _line(f"{name}, failed", [one.get(name, 0) for one in failing])
                for name in tools
                if any(name in one for one in failing)
            ],
            zero=True,
        ),
        *(
            [
                _lines(
                    "Live interpreters",
                    "a step",
                    "Forked by the operating system, variables and all.",
                    [_line(name, [one.get(name, 0) for one in live]) for name in ("started", "forked")],
                    zero=True,
                )
            ]
            if any(one.get("started") or one.get("forked") for one in live)
            else []
        ),
    ]


def _updating(metrics: Sequence[Record]) -> list[Chart]:
    updates = [one["update"] for one in metrics]
    clipped = _line("clipped", [_times(100, one["clip_share"]) for one in updates], "main")
    return [
        _lines(
            "Clipped tokens",
            "% of trained tokens",
            "After the first optimiser step of a batch. Between 0.5 and 10 %, the dashed lines, clipping acts and "
            "learning goes on.",
            [clipped, *_by_side(updates)],
            marks=[0.5, 10.0],
            zero=True,
        ),
        _lines(
            "Gradient given back",
            "units of advantage",
            "What the balanced clip kept of clipped tokens.",
            [_line("given back", [one["kept_gradient"] for one in updates], "main")]
            if any(one["kept_gradient"] for one in updates)
            else [],
            zero=True,
        ),
        _lines(
            "Policy drift",
            "nats",
            "KL from the policy that sampled (k3 estimate), mean over optimiser steps.",
            [_line("KL", [one["kl"] for one in updates], "main")],
            zero=True,
        ),
        _lines(
            "Gradient norm",
            "before clipping",
            "",
            [
                _line("norm", [one["grad_norm"] for one in updates], "main"),
                *(
                    [_line("the critic's", [one.get("critic_grad_norm") for one in updates])]
                    if any("critic_grad_norm" in one for one in updates)
                    else []
                ),
            ],
            zero=True,
        ),
    ]


def _by_side(updates: Sequence[Record]) -> list[dict[str, Any]]:
    """Clipped tokens of the same steps, where they lay; sides on which none ever did are left out."""
    later = [one.get("steps", [])[1:] for one in updates]
    trained = [sum(step["trained_tokens"] for step in steps) for steps in later]
    sides = {"above": "clipped_high", "below": "clipped_low", "dual clip": "clipped_dual"}
    counts = {name: [sum(step[field] for step in steps) for steps in later] for name, field in sides.items()}
    return [
        _line(name, [100 * count / all_ if all_ else None for count, all_ in zip(each, trained, strict=True)])
        for name, each in counts.items()
        if any(each)
    ]


def families(run: RunFiles) -> list[dict[str, Any]]:
    """Before and after on the dev questions: a table each for greedy and sampled, a row a family and one for all.

    A row: name, questions, "before" and "after" as mean, low, high in percent, and the points "gained"; None where
    there is nothing.
    """
    tables = []
    names = {"greedy": "Greedy", "sampled": "Sampled, pass@1"}
    for mode, title in names.items():
        rows: dict[str, dict[str, Any]] = {}
        for when in ("before", "after"):
            record = run.evaluation(when)
            if record is None or mode not in record:
                continue
            scores, kinds = record[mode]["scores"], record[mode].get("family_of") or []
            groups: dict[str, list[float]] = {"all": scores}
            for score, kind in zip(scores, kinds, strict=False):
                groups.setdefault(kind or "no family", []).append(score)
            for name in ["all", *sorted(set(groups) - {"all"})]:
                row = rows.setdefault(name, {"name": name, "questions": len(groups[name]), "scores": {}})
                row["scores"][when] = groups[name]
        if rows:
            tables.append({"title": title, "rows": [_row(**row) for row in rows.values()]})
    return tables


def _row(name: str, questions: int, scores: dict[str, list[float]]) -> dict[str, Any]:
    shown = {when: [percent(number) for number in share_interval(some)] for when, some in scores.items()}
    early, late = scores.get("before"), scores.get("after")
    gained = percent(gain(early, late)["mean"]) if early and late and len(early) == len(late) else None
    return {"name": name, "questions": questions, "before": None, "after": None, **shown, "gained": gained}


def _line(name: str, values: Sequence[float | None], role: str = "") -> dict[str, Any]:
    return {"name": name, "values": [_finite(value) for value in values], "role": role}


def _lines(title: str, unit: str, note: str, lines: list[dict[str, Any]], **more: Any) -> Chart:
    return {"kind": "lines", "title": title, "unit": unit, "note": note, "lines": lines, **more}


def _stack(
    title: str, unit: str, note: str, metrics: Sequence[Record], parts: Callable[[Record], dict[str, float]]
) -> Chart:
    each = [parts(one) for one in metrics]
    names = sorted({name for one in each for name in one}, key=lambda name: -sum(one.get(name, 0.0) for one in each))
    lines = [_line(name, [one.get(name, 0.0) for one in each]) for name in names]
    return {"kind": "stack", "title": title, "unit": unit, "note": note, "lines": lines}


def _percent(one: Record, name: str) -> dict[str, float]:
    counts = one["rollout"][name]
    total = sum(counts.values()) or 1
    return {kind.replace("_", " "): 100 * count / total for kind, count in counts.items()}


def _band(metrics: Sequence[Record]) -> tuple[list[float | None], list[float | None]]:
    """95 % interval of each step's success, in percent, questions being the sample."""
    low: list[float | None] = []
    high: list[float | None] = []
    for one in metrics:
        grown = "grown_success_deviation" in one  # of the same questions as `step_success`
        deviation = one["grown_success_deviation"] if grown else one.get("success_deviation")
        count = one["grown_questions"] if grown else one["questions"]
        half = None if deviation is None else 1.96 * deviation / math.sqrt(count)
        low.append(None if half is None else max(0.0, 100 * (step_success(one) - half)))
        high.append(None if half is None else min(100.0, 100 * (step_success(one) + half)))
    return low, high


def _points(run: RunFiles) -> list[dict[str, Any]]:
    """Greedy evaluations, each with the step after which it was made."""
    return [
        {
            "step": one["step"],
            "value": percent(one["greedy"]["mean"]),
            "low": percent(one["greedy"]["interval"][0]),
            "high": percent(one["greedy"]["interval"][1]),
            "name": f"greedy, {one['when']}",
        }
        for one in run.evaluations
        if "greedy" in one
    ]


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
