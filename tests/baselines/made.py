"""Made-up cells with records, as training would leave them: scores drawn from a known truth."""

from pathlib import Path
from typing import Any

import numpy as np

from baselines.cells import Cell
from baselines.contenders import Contender
from baselines.records import VERSION

FAMILIES = ["web/1-hop"] * 70 + ["web/2-hop"] * 70 + ["web/arithmetic"] * 60


def cell(label: str, seed: int, out: Path = Path("out")) -> Cell:
    name = f"{label}-seed{seed}-00000000"
    return Cell(
        Contender(label, "grpo", None, {}), seed, ("grpo",), f"{label}{seed}", 4, "web", "tiny", out / "cells" / name
    )


def scores(truth: float, seed: int, stream: int, hard: np.ndarray[Any, Any] | None = None) -> list[int]:
    """Of one training: `truth` and a deviation of its own of 2 points; questions differ in how hard they are."""
    rng = np.random.default_rng([stream, seed])
    hard = np.random.default_rng(99).normal(0, 0.2, len(FAMILIES)) if hard is None else hard
    share = truth + rng.normal(0, 0.02) + hard - hard.mean()
    return [int(one) for one in rng.random(len(FAMILIES)) < share]


def record(
    one: Cell, ends: float, stream: int, *, used: float = 100.0, points: int = 4, sampled: bool = True
) -> dict[str, Any]:
    """A run that goes from 30 % to `ends` in `points` evaluations, and uses `used` rollouts for each."""
    curve = []
    for step in range(points + 1):
        truth = 0.3 + (ends - 0.3) * step / max(1, points)
        now = scores(0.3, 0, 0) if step == 0 else scores(truth, one.seed, 10 * stream + step)
        amount = round(step * used, 2)
        curve.append(
            {
                "step": step,
                "rollouts": amount,
                "tokens": 9 * amount,
                "tool_calls": 2 * amount,
                "seconds": 0.1 * amount,
                "greedy": now,
                "sampled": now if sampled and step in (0, points) else None,
            }
        )
    return {
        "version": VERSION,
        "cell": one.name,
        "identity": one.digest,
        "label": one.contender.label,
        "algorithm": "grpo",
        "variant": "paper",
        "settings": {},
        "seed": one.seed,
        "environment": "web",
        "model": "tiny",
        "steps": points,
        "families": FAMILIES,
        "curve": curve,
        "used": {name: curve[-1][name] for name in ("rollouts", "tokens", "tool_calls", "seconds")},
        "evaluation_seconds": 3.5,
        "diversity": {"distinct": 0.8, "mixed": 0.5, "calls": 4.2, "answers": 2.5, "entropy": 0.4, "shared": 0.3},
        "line": ["python", "-m", "algorithms.run", "grpo"],
        "versions": {},
    }


def comparison(
    truths: dict[str, float], seeds: int = 5, streams: dict[str, int] | None = None, **given: Any
) -> tuple[list[Cell], dict[str, dict[str, Any]]]:
    """Cells and records of contenders that truly end at these shares."""
    cells = [cell(label, seed) for seed in range(seeds) for label in truths]
    numbers = streams or {label: place + 1 for place, label in enumerate(truths)}
    records = {
        one.name: record(one, truths[one.contender.label], numbers[one.contender.label], **given) for one in cells
    }
    return cells, records
