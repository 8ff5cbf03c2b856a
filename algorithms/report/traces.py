"""Traces of a run, read back: plain dictionaries, one a question, and the names of their files.

    for step in traced_steps(run):
        for trace in read(run, step):
            trace["task"]["question"], trace["report"]["roots"]
    TokenTree.from_plain(trace["tree"])          # the tree itself

Fields of a trace:
    step, question: the step's number, from 1, and the question's place in its batch, from 0.
    task: id, question, family, answers (any one of them is right).
    tree: `TokenTree.to_plain`, per-token numbers rounded to 0.0001 nats. pieces, apart: see `texts`.
    report: roots (m), gap (H_root - H_tool of the probe, or None), calls by tool, steps, retried, dropped, unforkable;
        forks: `rollout.records.ForkRecord`s; leaves: `LeafRecord`s, in the order of the tree's leaves.
    leaves: per leaf whether it is "solved" (its answer wholly right), its mean "advantage" over the policy's tokens
        and, where these differ, the "advantages" of each in order (else None).

Left out: writing them (`training.traces`), drawing them (`page`, `terminal`).
"""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from algorithms.report.trace_shape import misfit

VERSION = 1

Trace = dict[str, Any]


def trace_file(run: Path, step: int) -> Path:
    """Where the traces of a step are."""
    return run / "traces" / f"step_{step:06d}.jsonl.gz"


def traced_steps(run: Path) -> list[int]:
    """Steps that have traces, ascending."""
    return sorted(
        int(file.name.partition("_")[2].partition(".")[0]) for file in (run / "traces").glob("step_??????.jsonl.gz")
    )


def read(run: Path, step: int) -> list[Trace]:
    """The traces of a step.

    Raises:
        ValueError: there are none, they were cut short or changed, or another version wrote them.
    """
    file = trace_file(run, step)
    if not file.is_file():
        known = traced_steps(run)
        there = f"there are steps {known[0]} to {known[-1]}" if known else "this run has none at all"
        raise ValueError(f"There are no traces of step {step} in {run}: {there}.")
    try:
        with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
            found: list[Trace] = [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise ValueError(f"{file} cannot be read ({error}): it was changed or cut short.") from error
    for number, trace in enumerate(found, start=1):
        if not isinstance(trace, dict) or trace.get("version") != VERSION:
            raise ValueError(f"{file} holds no traces of version {VERSION}: another release of this project wrote it.")
        if (wrong := misfit(trace)) is not None:
            raise ValueError(f"{file}, line {number}: {wrong!r} is not as a run writes it; the file was changed.")
    return found


def texts(trace: Trace, node: int) -> list[str]:
    """The text of each token of a node. Joined they are the node's text."""
    apart: list[str] | None = trace["apart"].get(str(node))
    if apart is not None:
        return apart
    return [trace["pieces"][str(token)] for token in trace["tree"]["nodes"][node]["tokens"]]
