"""Results: what an agent reached, in the shape of an evaluation of a trained policy, so that tables can show both.

    scores = scores_of(played, samples=4)              # algorithms.training.evaluation.Scores
    record = record_of(played, scores, ...)            # a line of results.jsonl
    for line in in_words(played, scores): print(line)

A record holds what eval.jsonl holds of a run ("when", "step", "questions", "greedy" or "sampled", "seconds") and who
played where: "agent", "model", "environment", "split", "seed", "samples", "temperature", "tokens".
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.report.summary import percent
from algorithms.training.evaluation import Scores, mean_share
from baselines.agents.episodes import Played


def scores_of(played: Sequence[Played], samples: int) -> Scores:
    """Per task the share of its samples that were right; `played` is task by task, as `play_all` gives it."""
    first = played[::samples]
    right = np.array([one.solved for one in played], np.float64).reshape(len(first), samples)
    calls: Counter[str] = sum((one.calls for one in played), Counter())
    stops = Counter(one.stop_reason for one in played)
    families = tuple(one.task.family for one in first)
    return Scores(right.mean(axis=1), families, dict(sorted(stops.items())), dict(sorted(calls.items())))


def record_of(played: Sequence[Played], scores: Scores, about: dict[str, Any], seconds: float) -> dict[str, Any]:
    """A line of results.jsonl. about: who played where; "temperature" 0 makes it a greedy evaluation."""
    tokens = {name: sum(getattr(one, name) for one in played) for name in ("requests", "read", "written")}
    kind = "sampled" if about["temperature"] or about["samples"] > 1 else "greedy"
    return {
        **about,
        "when": "agent",
        "step": 0,
        "questions": len(scores.scores),
        kind: scores.to_plain(),
        "tokens": tokens,
        "seconds": seconds,
    }


def append(file: Path, text: str = "") -> None:
    """Add text to a file; its folder is made. Nothing is a trial, before anybody plays.

    Raises ValueError where it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise ValueError(f"{file} cannot be written ({error.strerror}): choose another --results.") from error


def in_words(played: Sequence[Played], scores: Scores) -> list[str]:
    """Lines for a person: success by family, calls, tokens and why episodes ended."""
    found = scores.scores
    rows = [("all", found)]
    names = sorted(set(scores.families))
    rows += [(name, found[[one == name for one in scores.families]]) for name in names if len(names) > 1]
    width = max(len(name) for name, _ in rows)
    lines = [
        f"  {name:<{width}}  {shown:5.1f} %  ({low:.1f} to {high:.1f})  "
        f"{len(values)} question{'s' * (len(values) != 1)}"
        for name, values in rows
        for shown, low, high in [map(percent, mean_share(values))]
    ]
    count = len(played)
    calls = ", ".join(f"{name} {number / count:.2f}" for name, number in scores.tool_calls.items()) or "none"
    lines.append(f"tool calls an episode: {calls}")
    if any(one.requests for one in played):
        read, written, asked = (sum(getattr(one, name) for one in played) for name in ("read", "written", "requests"))
        lines.append(
            f"tokens an episode: {written / count:.0f} written, {read / count:.0f} read; requests {asked / count:.1f}"
        )
    lines.append("ended: " + ", ".join(f"{name} {number}" for name, number in scores.stop_reasons.items()))
    return lines
