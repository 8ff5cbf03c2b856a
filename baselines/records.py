"""Records: what is kept of each finished cell, a line each in results.jsonl, from which everything is computed again.

    results = Results(out / "results.jsonl")           # or any other file, to be kept under version control
    results.add(record(cell))             # written aside and renamed: a line is there, or it is not
    results.found[cell.name]["curve"]

A record has everything that tables and pages show, so that cells whose run directories are gone, or were made on
another machine, still count and are not repeated. Its fields:

    cell, identity: the cell's name and digest. label, algorithm, variant, settings, seed, environment, model, steps.
    families: of the questions evaluated, in their order.
    curve: the evaluations, by step; each with what was used so far (`USED`) and the score of every question, greedy
        and, before and after training, sampled (None elsewhere).
    used: in the whole run. evaluation_seconds: beside it. before_of: the cell that measured the evaluation before
        training, where this one shares it; else None. lost: episodes that faults took from its evaluations.
    diversity: means over the steps: see `DIVERSITY`.
    line: the command. versions: of the machine and of what it ran.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aepo_env.files import write_whole
from algorithms.names import NAMES
from algorithms.report.run_files import RunFiles
from algorithms.report.summary import lost
from baselines.cells import Cell
from baselines.contenders import Contender
from baselines.suite import SUITE

VERSION = 1

USED = ("rollouts", "tokens", "tool_calls", "seconds")
"""What a run has used: trajectories grown; tokens the policy wrote, a shared one once; tools run, a shared call once;
seconds of training, without evaluations."""

DIVERSITY = ("distinct", "mixed", "calls", "answers", "entropy", "shared")
"""distinct: share of a question's trajectories that differ in what the policy wrote. mixed: share of questions with
both right and wrong trajectories. calls, answers: different ones of a question's trajectories. entropy: nats a token.
shared: share of tokens that trajectories have in common."""

Record = dict[str, Any]


def record(cell: Cell) -> Record:
    """Of a cell whose run is finished.

    Raises:
        ValueError: the run lacks something, or its files cannot be read.
    """
    files = RunFiles.read(cell.folder)
    if files.done < cell.steps or files.evaluation("before") is None or files.evaluation("after") is None:
        raise ValueError(f"The run in {cell.folder} is not finished: it has taken {files.done} of {cell.steps} steps.")
    used = _used(files.metrics)
    by_step = {one["step"]: one for one in sorted(files.evaluations, key=lambda one: one.get("sampled") is not None)}
    contender = cell.contender
    return {
        "version": VERSION,
        "cell": cell.name,
        "identity": cell.digest,
        "label": contender.label,
        "algorithm": contender.algorithm,
        "variant": contender.variant or "paper",
        "settings": dict(contender.settings),
        "seed": cell.seed,
        "environment": cell.environment,
        "model": cell.model,
        "steps": cell.steps,
        "families": files.evaluations[-1]["greedy"]["family_of"],
        "curve": [
            {
                "step": step,
                **used[step],
                "greedy": _scores(one["greedy"]),
                "sampled": None if one.get("sampled") is None else _scores(one["sampled"]),
            }
            for step, one in sorted(by_step.items())
        ],
        "used": used[-1],
        "evaluation_seconds": round(sum(one["seconds"] for one in files.evaluations), 2),
        "before_of": next((one["taken_from"] for one in files.evaluations if "taken_from" in one), None),
        "lost": sum(map(lost, files.evaluations)),
        "diversity": _diversity(files.metrics),
        "line": ["python", "-m", "algorithms.run", *cell.line],
        "versions": files.environment,
    }


def _used(metrics: list[dict[str, Any]]) -> list[dict[str, float]]:
    """What had been used before the first step and after each."""
    found: list[dict[str, float]] = [dict.fromkeys(USED, 0)]
    for one in metrics:
        spent = {
            "rollouts": one["rollout"]["leaves"],
            "tokens": one["grown"]["policy_tokens"],
            "tool_calls": sum(one["rollout"]["tool_calls"].values()),
            "seconds": sum(one["seconds"].values()),
        }
        found.append({name: round(found[-1][name] + spent[name], 2) for name in USED})
    return found


def _diversity(metrics: list[dict[str, Any]]) -> dict[str, float | None]:
    if not metrics:
        return dict.fromkeys(DIVERSITY)
    of_step = {
        "distinct": [one["grown"]["distinct"] for one in metrics],
        "mixed": [one["grown"]["mixed"] for one in metrics],
        "calls": [one["exploration"]["different"]["calls"] for one in metrics],
        "answers": [one["exploration"]["different"]["answers"] for one in metrics],
        "entropy": [one["entropy"] for one in metrics],
        "shared": [1 - one["unique_tokens"] / one["raw_tokens"] for one in metrics],
    }
    return {name: round(sum(values) / len(values), 5) for name, values in of_step.items()}


def _scores(evaluation: Mapping[str, Any]) -> list[float]:
    """Of each question, whole numbers written short."""
    return [int(score) if score == int(score) else score for score in evaluation["scores"]]


def cells_of(records: Mapping[str, Record], out: Path) -> list[Cell]:
    """The cells that records are of, AEPO and its suite first: for a page of records alone, without the line."""
    order = [*SUITE, *(name for name in NAMES if name not in SUITE)]

    def place(one: Record) -> tuple[int, int, int, str]:
        first = order.index(one["algorithm"]) if one["algorithm"] in order else len(order)
        return one["seed"], first, one["label"] != one["algorithm"], one["label"]

    return [
        Cell(
            Contender(
                one["label"], one["algorithm"], None if one["variant"] == "paper" else one["variant"], one["settings"]
            ),
            one["seed"],
            tuple(one["line"][3:]),
            one["identity"],
            one["steps"],
            one["environment"],
            one["model"],
            out / "cells" / one["cell"],
        )
        for one in sorted(records.values(), key=place)
    ]


class Results:
    """results.jsonl, or a file of another name. One process writes at a time: the caller sees to it.

    Attributes:
        found: records by their cells' names.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: dict[str, Record] = {}
        for number, line in enumerate(file.read_text("utf-8").splitlines() if file.is_file() else [], start=1):
            try:
                one = json.loads(line)
                known = one["version"] == VERSION
                name: str = one["cell"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}, line {number} is no record of a cell: take the line out.") from error
            if not known:
                raise ValueError(f"{file}, line {number} was written by another release: give another --out.")
            self.found[name] = one

    def has(self, cell: Cell) -> bool:
        """Whether the cell is finished."""
        return self.found.get(cell.name, {}).get("identity") == cell.digest

    def add(self, one: Record) -> None:
        """Keep a record, on the disk too."""
        self.found[one["cell"]] = one
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(self.found[name], separators=(",", ":")) + "\n" for name in sorted(self.found)]
        write_whole(self.file, "".join(lines), to_disk=True)
