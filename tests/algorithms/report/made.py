"""A run directory made by hand, without torch: what a report reads, with texts and numbers a test chooses."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from algorithms.report.traces import VERSION, Trace, trace_file
from algorithms.tree import Kind, TokenTree

yaml = pytest.importorskip("yaml", reason="configurations need the extra 'train'")

PIECES = {
    1: "What is ",
    2: "it?",
    3: "<search>",
    4: "cats",
    5: "</search>",
    6: "<result>a page</result>",
    7: "<answer>",
    8: "x",
}


def tree() -> TokenTree:
    """Path 0 answers at once; path 1 searches, and at the result path 2 forks off. Two turns are cut in two."""
    made = TokenTree("question-1", [1, 2])
    direct = made.add(0, Kind.POLICY, [7, 8], [-0.1, -0.2], [0.3, 0.4])
    turn = made.add(0, Kind.POLICY, [3, 4, 5], [-1.0, -0.5, -0.25], [1.0, 0.5, 0.25])
    page = made.add(turn, Kind.OBSERVATION, [6])
    first = made.add(page, Kind.POLICY, [7, 8, 8], [-2.0, -0.1, -0.1], [2.0, 0.1, 0.1])
    second = made.add(page, Kind.POLICY, [7, 4], [-3.0, -0.1], [2.5, 0.1])
    made.split(first, 1)
    made.split(turn, 2)
    for end, reward in ((direct, 0.0), (first, 1.0), (second, 0.0)):
        made.add_leaf(end, "answered", {"accuracy": reward, "total": reward})
    return made


def fork(**changes: Any) -> dict[str, Any]:
    """The decision at the page: taken."""
    record = {
        "round": 1, "path": 1, "node": 3, "start_level": 0.1, "level": 0.3, "rise": 1.5, "streak": 0,
        "probability": 0.8, "penalty": 0.0, "draw": 0.25, "outcome": "forked",
    }  # fmt: skip
    return {**record, **changes}


def trace(step: int = 1, question: int = 0, **changes: Any) -> Trace:
    """What `training.traces` writes of `tree`; changes are fields of the trace, or of its task by "task__name"."""
    made: Trace = {
        "version": VERSION,
        "step": step,
        "question": question,
        "task": {"id": "question-1", "question": "What is it?", "family": "web/1-hop", "answers": ["xx", "x x"]},
        "tree": tree().to_plain(),
        "pieces": {str(token): text for token, text in PIECES.items()},
        "apart": {},
        "report": {
            "roots": 2,
            "gap": -0.05,
            "forks": [fork()],
            "leaves": [
                {
                    "path": path, "parent": parent, "origin": origin, "turns": turns, "stop_reason": "answered",
                    "retried": False,
                }
                for path, parent, origin, turns in ((0, None, 0, 1), (1, None, 0, 2), (2, 1, 3, 2))
            ],
            "calls": {"search": 1},
            "steps": 4, "retried": 0, "dropped": 0, "unforkable": 0,
        },
        "leaves": [
            {"solved": False, "advantage": -0.7, "advantages": None},
            {"solved": True, "advantage": 1.4, "advantages": [1.3, 1.4, 1.5, 1.4, 1.3, 1.5]},
            {"solved": False, "advantage": -0.7, "advantages": None},
        ],
    }  # fmt: skip
    for name, value in changes.items():
        place, _, field = name.rpartition("__")
        (made[place] if place else made)[field] = value
    return made


def metrics(step: int = 1, **changes: Any) -> dict[str, Any]:
    """A line of metrics.jsonl; changes are fields, nested ones by "rollout__forks"."""
    made: dict[str, Any] = {
        "step": step, "questions": 4, "grown_questions": 5, "leaves": 16, "reward": 0.25,
        "reward_parts": {"accuracy": 0.25},
        "success": 0.25, "success_deviation": 0.2, "dead_questions": 1, "entropy": 0.5, "entropy_deviation": 0.9,
        "policy_tokens": 90, "leaf_policy_tokens": 150, "unique_tokens": 200, "raw_tokens": 400, "turns_mean": 2.0,
        "roots_mean": 2.5, "gap_mean": -0.1,
        "rollout": {
            "roots": [[2, 2], [3, 2]], "fork_decisions": 8, "forks": 3, "fork_share": 0.375,
            "fork_probability_quartiles": [0.4, 0.5, 0.7], "fork_probabilities": [[0.4, 2], [0.5, 4], [0.7, 2]],
            "questions_forked": 3, "not_forked": {"draw": 5}, "stop_reasons": {"answered": 14, "malformed": 2},
            "tool_calls": {"python": 2, "search": 9}, "steps": 30, "leaves": 16, "retried": 0, "dropped": 0,
            "unforkable": 0,
        },
        "update": {
            "loss": 0.1, "grad_norm": 0.3, "ratio_deviation": 0.01, "kl": 0.001, "kept_gradient": 0.4,
            "clip_share": 0.02,
        },
        "rounds": 1,
        "audit": {"tokens": 50, "mean": 1e-7, "largest": 2e-6},
        "interpreters": {"started": 2, "forked": 1, "rebuilt": 0, "refused": 0, "evicted": 0},
        "seconds": {"rollout": 2.0, "score": 0.1, "update": 1.0},
        "warnings": [],
    }  # fmt: skip
    for name, value in changes.items():
        place, _, field = name.rpartition("__")
        (made[place] if place else made)[field] = value
    return made


def evaluation(when: str, scores: list[float], step: int = 0) -> dict[str, Any]:
    """A line of eval.jsonl; questions are of two families in turn."""
    kinds = [("web/1-hop", "web/2-hop")[place % 2] for place in range(len(scores))]
    mean = sum(scores) / len(scores)
    part = {"mean": mean, "interval": [mean - 0.1, mean + 0.1], "family_of": kinds, "scores": scores}
    return {"when": when, "step": step, "questions": len(scores), "greedy": part, "sampled": dict(part), "seconds": 1.0}


def run(folder: Path, *, steps: int = 2, planned: int = 2, traces: list[Trace] | None = None, **config: Any) -> Path:
    """Write a run directory; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "algorithm": "aepo",
        "variant": "paper",
        "environment": {"name": "web"},
        "model": "tiny",
        "seed": 3,
        "steps": planned,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({**given, **config}))
    (folder / "command.txt").write_text("python -m algorithms.run aepo --env web\n")
    (folder / "environment.json").write_text(json.dumps({"python": "3.11", "cores": 2}))
    lines(folder / "metrics.jsonl", [metrics(step) for step in range(1, steps + 1)])
    ends = [evaluation("before", [0.0, 1.0, 0.0, 0.0])]
    ends += [evaluation("after", [1.0, 1.0, 0.0, 1.0], planned)] if steps == planned else []
    lines(folder / "eval.jsonl", ends)
    given_traces = [trace(step) for step in range(1, steps + 1)] if traces is None else traces
    for step in {one["step"] for one in given_traces}:
        write_traces(folder, [one for one in given_traces if one["step"] == step])
    return folder


def write_traces(folder: Path, some: list[Trace]) -> None:
    file = trace_file(folder, some[0]["step"])
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in some).encode()))


def lines(file: Path, records: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
