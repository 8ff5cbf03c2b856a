"""Agents that do not train, in a comparison's tables: what `python -m baselines.agents ... --results FILE` left.

    cells, records = untrained(Path("agents.jsonl"), seeds=3, environment="web", families=families, out=out)

An agent is one contender without a budget. Having no training, it counts with the same scores beside every seed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.cells import Cell
from baselines.contenders import Contender
from baselines.records import DIVERSITY, USED, VERSION, Record


def untrained(
    file: Path, *, seeds: Sequence[int], environment: str, families: Sequence[str], out: Path
) -> tuple[list[Cell], dict[str, Record]]:
    """A cell and a record for every agent of the file and every seed.

    Raises:
        ValueError: the file cannot be read, or an agent played other questions.
    """
    cells: list[Cell] = []
    records: dict[str, Record] = {}
    for label, one in _agents(file).items():
        scores = one.get("greedy") or one["sampled"]
        played = one["environment"]["name"]
        if played != environment or scores["family_of"] != list(families):
            raise ValueError(
                f"{label} in {file} played {len(scores['scores'])} questions of {played}, not those of "
                f"this comparison ({len(families)} of {environment}): let it play them, or leave it out."
            )
        for seed in seeds:
            cell = Cell(
                contender=Contender(label, str(one["agent"]), None, {}),
                seed=seed,
                line=(),
                digest="untrained",
                steps=0,
                environment=environment,
                model=str(one.get("model")),
                folder=out / "cells" / f"{label}-untrained-seed{seed}",
            )
            cells.append(cell)
            records[cell.name] = _record(cell, scores)
    return cells, records


def _agents(file: Path) -> dict[str, dict[str, Any]]:
    """The last record of each agent, by what it is called."""
    found: dict[str, dict[str, Any]] = {}
    try:
        for line in file.read_text("utf-8").splitlines():
            one = json.loads(line)
            scores = one.get("greedy") or one["sampled"]
            if len(scores["scores"]) != len(scores["family_of"]):
                raise ValueError("scores and questions do not fit")
            one["environment"]["name"]
            found[f"{one['agent']} ({one['model']})" if one.get("model") else str(one["agent"])] = one
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"--agents {file} is no file of baselines.agents' results ({error}).") from error
    if not found:
        raise ValueError(f"--agents {file} holds no results.")
    return found


def _record(cell: Cell, scores: dict[str, Any]) -> Record:
    nothing = dict.fromkeys(USED, 0)
    return {
        "version": VERSION,
        "cell": cell.name,
        "identity": cell.digest,
        "label": cell.contender.label,
        "algorithm": cell.contender.algorithm,
        "variant": "paper",
        "settings": {},
        "seed": cell.seed,
        "environment": cell.environment,
        "model": cell.model,
        "steps": 0,
        "families": scores["family_of"],
        "curve": [{"step": 0, **nothing, "greedy": scores["scores"], "sampled": None}],
        "used": nothing,
        "evaluation_seconds": 0.0,
        "diversity": dict.fromkeys(DIVERSITY),
        "line": [],
        "versions": {},
    }
