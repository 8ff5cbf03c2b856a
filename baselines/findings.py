"""Findings: what a comparison's records show, as one plain dictionary that the table and the page are made of.

    found = findings(cells, results.found, unit="rollouts", reference="aepo")
    found["contenders"][1]["versus"]["verdict"]        # "better", "worse", "no difference" or "one seed"
    found["conclusions"], found["limits"]              # sentences

Contenders are compared at one budget: the largest that every finished run has reached, in the unit asked for. Nothing
is interpolated: each run is taken as it was at its last evaluation within that budget. Who was evaluated there before
training alone is not compared: that would be a verdict on the start.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from baselines import words
from baselines.cells import Cell
from baselines.records import DIVERSITY, USED, Record
from baselines.statistics import LEVEL, Estimate, Scores, holm, improvement, interquartile_mean, mean, paired, pooled

UNITS = {"rollouts": "rollouts", "tokens": "tokens", "tool-calls": "tool_calls", "seconds": "seconds"}
"""What `--budget-unit` may say, and the field of a record behind it."""

_CURVE_RESAMPLES = 500

Found = dict[str, Any]


def findings(
    cells: Sequence[Cell],
    records: Mapping[str, Record],
    *,
    unit: str = "rollouts",
    reference: str | None = None,
    failed: Mapping[str, str] | None = None,
) -> Found:
    """All findings.

    Args:
        cells: all that were asked for, in order; those without a record are not finished.
        records: by cells' names.
        unit: a key of `UNITS`.
        reference: the label that all others are compared with; None, or one without a finished run: the first.
        failed: why cells failed, by their names.

    Raises:
        ValueError: no cell is finished, or the cells or their questions are not of one comparison.
    """
    _of_one_comparison(cells)
    finished = [cell for cell in cells if cell.name in records]
    if not finished:
        raise ValueError("No cell is finished, so that there is nothing to compare yet.")
    families = records[finished[0].name]["families"]
    if any(records[cell.name]["families"] != families for cell in finished):
        raise ValueError("The records are of different questions and cannot be compared: give another --out.")
    field = UNITS[unit]
    trained = [records[cell.name]["used"][field] for cell in finished if records[cell.name]["used"][field]]
    budget = min(trained, default=0)
    by_label: dict[str, list[Record]] = {}
    for cell in finished:
        by_label.setdefault(cell.contender.label, []).append(records[cell.name])
    labels = [label for label in dict.fromkeys(cell.contender.label for cell in cells) if label in by_label]
    first = reference if reference in labels else labels[0]
    assert first is not None
    contenders = [_contender(label, by_label[label], field, budget, families) for label in labels]
    _compare(contenders, first, {label: by_label[label] for label in labels}, field, budget, families)
    found: Found = {
        "environment": finished[0].environment,
        "model": finished[0].model,
        "unit": unit,
        "field": field,
        "budget": budget,
        "reference": first,
        "seeds": max(len(one["seeds"]) for one in contenders),
        "asked": len({cell.seed for cell in cells}),
        "questions": len(families),
        "families": {name: families.count(name) for name in sorted(set(families))},
        "contenders": contenders,
        "missing": [label for label in dict.fromkeys(one.contender.label for one in cells) if label not in by_label],
        "cells": [_cell(cell, records.get(cell.name), (failed or {}).get(cell.name), field, budget) for cell in cells],
    }
    found["unlike"] = sorted({name for name, values in _machines(finished, records).items() if len(values) > 1})
    found["lost"] = sum(records[cell.name].get("lost", 0) for cell in finished)
    told = {"conclusions": words.conclusions(found), "limits": words.limits(found), "starts": words.starts(found)}
    return found | told


def _of_one_comparison(cells: Sequence[Cell]) -> None:
    """Raise ValueError where cells cannot be seeds of contenders under the same conditions, as in a mixed file."""
    own = "give each comparison a file of --records of its own"
    trained = [cell for cell in cells if cell.line]  # agents that do not train may have other models, or none
    for what in ("environment", "model"):
        if len(found := sorted({str(getattr(cell, what)) for cell in trained})) > 1:
            raise ValueError(f"The cells differ in their {what} ({', '.join(found)}) and cannot be compared: {own}.")
    seen: dict[str, Cell] = {}
    seeds: set[tuple[str, int]] = set()
    for cell in cells:
        label = cell.contender.label
        first = seen.setdefault(label, cell)
        for what, one, other in (
            ("algorithms", first.contender.algorithm, cell.contender.algorithm),
            ("variants", first.contender.variant, cell.contender.variant),
            ("settings", first.contender.settings, cell.contender.settings),
            ("steps", first.steps, cell.steps),
        ):
            if one != other:
                raise ValueError(f"Cells called {label} differ in their {what} ({one} and {other}): {own}.")
        if (label, cell.seed) in seeds:
            raise ValueError(f"{label}, seed {cell.seed} is there twice, from runs of unlike configurations: {own}.")
        seeds.add((label, cell.seed))


def _machines(cells: Sequence[Cell], records: Mapping[str, Record]) -> dict[str, set[str]]:
    """What the runs' machines and versions were called, by what they say of themselves."""
    named: dict[str, set[str]] = {}
    for cell in cells:
        for name, value in records[cell.name]["versions"].items():
            named.setdefault(name, set()).add(str(value))
    return named


def point(record: Record, field: str, budget: float) -> dict[str, Any]:
    """The last evaluation of a run within a budget."""
    within: dict[str, Any] = [one for one in record["curve"] if one[field] <= budget][-1]
    return within


def _scores(records: Sequence[Record], field: str, budget: float, seeds: Sequence[int]) -> Scores:
    """[seeds, questions], greedy, at the budget."""
    by_seed = {one["seed"]: one for one in records}
    return np.array([point(by_seed[seed], field, budget)["greedy"] for seed in seeds], np.float64)


def _contender(label: str, records: list[Record], field: str, budget: float, families: list[str]) -> Found:
    records = sorted(records, key=lambda one: one["seed"])
    seeds = [one["seed"] for one in records]
    scores = _scores(records, field, budget, seeds)
    before = np.array([one["curve"][0]["greedy"] for one in records], np.float64)
    end = np.array([one["curve"][-1]["greedy"] for one in records], np.float64)
    sampled = [one["curve"][-1]["sampled"] for one in records]
    points = [point(one, field, budget) for one in records]
    at_start = bool(records[0]["steps"]) and any(one["step"] == 0 for one in points)
    gain = paired(scores, before) if len(families) > 1 and not at_start else None
    return {
        "label": label,
        "algorithm": records[0]["algorithm"],
        "variant": records[0]["variant"],
        "settings": records[0]["settings"],
        "seeds": seeds,
        "steps": records[0]["steps"],
        "score": _plain(mean(scores, families)),
        "interquartile": _plain(interquartile_mean(scores, families)),
        "before": float(before.mean()),
        "gain": None if gain is None else [gain.difference, gain.low, gain.high],
        "end": float(end.mean()),
        "since_start": _since_start(records),
        "sampled": None if None in sampled else _plain(mean(np.array(sampled, np.float64), families)),
        "families": {
            name: float(scores[:, [one == name for one in families]].mean()) for name in sorted(set(families))
        },
        "at_steps": [one["step"] for one in points],
        "at_start": at_start,
        "at": {name: float(np.mean([one[name] for one in points])) for name in USED},
        "used": {name: float(np.mean([one["used"][name] for one in records])) for name in USED},
        "evaluation_seconds": float(np.mean([one["evaluation_seconds"] for one in records])),
        "diversity": {name: _mean_of([one["diversity"][name] for one in records]) for name in DIVERSITY},
        "curve": _curve(records, families),
        "versus": None,
    }


def _since_start(records: list[Record]) -> dict[str, Any]:
    """Whole runs against their own starts: by kind of answer, before, after and the difference with its interval.

    verdict: "improved" or "below" where an interval leaves 0 out, "no change shown" where none does, "mixed" where two
    leave it out on different sides.
    """
    found: dict[str, Any] = {}
    for kind in ("greedy", "sampled"):
        ends = [(one["curve"][0][kind], one["curve"][-1][kind]) for one in records if len(one["curve"]) > 1]
        if ends and not any(part is None or len(part) < 2 for pair in ends for part in pair):
            before, after = (np.array(part, np.float64) for part in zip(*ends, strict=True))
            gain = paired(after, before)
            found[kind] = {
                "before": float(before.mean()),
                "after": float(after.mean()),
                "gain": [gain.difference, gain.low, gain.high],
            }
    up = any(one["gain"][1] > 0 for one in found.values())
    down = any(one["gain"][2] < 0 for one in found.values())
    words_of = {(True, True): "mixed", (True, False): "improved", (False, True): "below"}
    return found | {"verdict": words_of.get((up, down), "no change shown") if found else None}


def _curve(records: list[Record], families: list[str]) -> list[Found]:
    """Greedy success at each evaluation that all seeds have, with its band, against the mean of what was used."""
    steps = sorted(set.intersection(*({one["step"] for one in record["curve"]} for record in records)))
    found = []
    for step in steps:
        points = [next(one for one in record["curve"] if one["step"] == step) for record in records]
        scores = np.array([one["greedy"] for one in points], np.float64)
        value, low, high = mean(scores, families, _CURVE_RESAMPLES)
        used = {name: float(np.mean([one[name] for one in points])) for name in USED}
        found.append({"step": step, **used, "value": value, "low": low, "high": high})
    return found


def _compare(
    contenders: list[Found],
    reference: str,
    by_label: Mapping[str, list[Record]],
    field: str,
    budget: float,
    families: list[str],
) -> None:
    """Write into each other contender how it does against the reference, over the seeds that both have."""
    late = {one["label"] for one in contenders if one["at_start"]}
    others = [one for one in contenders if one["label"] not in {reference, *late}]
    if reference in late:
        return
    by_label = {label: records for label, records in by_label.items() if label not in late}
    shared = sorted(set.intersection(*({one["seed"] for one in records} for records in by_label.values())))
    trained = [records for records in by_label.values() if records[0]["steps"]]
    trainings = pooled([_scores(records, field, budget, shared) for records in trained]) if shared and trained else None
    compared = []
    for one in others:
        both = sorted({record["seed"] for record in by_label[one["label"]]} & {r["seed"] for r in by_label[reference]})
        if not both or len(families) < 2:
            continue
        ours = _scores(by_label[one["label"]], field, budget, both)
        theirs = _scores(by_label[reference], field, budget, both)
        found = paired(ours, theirs, len(others), trainings)
        compared.append((one, found))
        one["versus"] = {
            "difference": found.difference,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "detectable": found.detectable,
            "seeds": len(both),
            "improvement": _plain(improvement(ours, theirs, families)),
            "identical": bool((ours == theirs).all()),
        }
    for (one, found), corrected in zip(compared, holm([found.p for _, found in compared]), strict=True):
        one["versus"]["p_corrected"] = corrected
        one["versus"]["verdict"] = (
            "one seed"
            if not found.over_seeds
            else "no difference"
            if corrected >= LEVEL
            else "better"
            if found.difference > 0
            else "worse"
        )


def _cell(cell: Cell, record: Record | None, why: str | None, field: str, budget: float) -> Found:
    here = cell.folder / "report.html"
    return {
        "label": cell.contender.label,
        "seed": cell.seed,
        "name": cell.name,
        "score": None if record is None else float(np.mean(point(record, field, budget)["greedy"])),
        "end": None if record is None else float(np.mean(record["curve"][-1]["greedy"])),
        "report": f"cells/{cell.name}/report.html" if here.is_file() else None,
        "failed": why,
    }


def _plain(estimate: Estimate) -> list[float]:
    return list(estimate)


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return float(np.mean(known)) if known else None
