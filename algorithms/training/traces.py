"""Traces: what a step's questions grew into, written so that a person, or a program without torch, can read it.

    traces.write(run, step=1, chosen(played, 14), batch, advantage, tokenizer)   # RUN/traces/step_000001.jsonl.gz

A line a question: the task, the tree with the text of its tokens, the report of its rollout (m, every fork decision,
every leaf), and per leaf its advantage. `report.traces` reads it and says what each field is. Numbers per token are
rounded to 0.0001 nats and advantages to three digits, which leaves them half the size; `checkpoints` are for going on
exactly, traces for looking.

Left out: snapshots, weights.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from aepo_env.files import write_whole
from aepo_env.tasks import Task
from algorithms.algorithm import LeafBatch
from algorithms.report.traces import VERSION, trace_file
from algorithms.rollout.records import QuestionReport
from algorithms.training.measures import solved
from algorithms.tree import TokenTree

_UNFINISHED = "\ufffd"  # what a decoder makes of a part of a character


class Played(NamedTuple):
    """A question of a step."""

    task: Task
    tree: TokenTree
    report: QuestionReport


def chosen(played: Sequence[Played], count: int) -> list[tuple[int, Played]]:
    """At most `count` questions with their numbers in the batch, spread evenly over it."""
    taken = min(count, len(played))
    return [(index, played[index]) for index in (place * len(played) // taken for place in range(taken))]


def write(
    run: Path, step: int, played: Sequence[tuple[int, Played]], batch: LeafBatch, advantage: Tensor, tokenizer: Any
) -> Path:
    """Write the questions of a step, aside and renamed; the file.

    Args:
        run: the run's folder.
        step: its number, from 1.
        played: some questions, each with its number in the batch.
        batch, advantage: what was trained on, [K, T].
        tokenizer: of transformers.
    """
    lines = []
    for number, (task, tree, report) in played:
        rows = batch.leaves_of([number]).tolist()
        line = {
            "version": VERSION,
            "step": step,
            "question": number,
            "task": {
                "id": task.id,
                "question": task.question,
                "family": task.family,
                "answers": list(task.answers),
            },
            "tree": _rounded(tree.to_plain()),
            **_texts(tree, tokenizer),
            "report": _plain(report),
            "leaves": [
                {"solved": solved(leaf.rewards), **_advantage(advantage[row][batch.mask[row]])}
                for leaf, row in zip(tree.leaves, rows, strict=True)
            ],
        }
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    file = trace_file(run, step)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, gzip.compress("".join(line + "\n" for line in lines).encode(), compresslevel=6, mtime=0))
    return file


def _rounded(plain: dict[str, Any]) -> dict[str, Any]:
    for node in plain["nodes"]:
        for name in ("log_probs", "entropies"):
            node[name] = [round(number, 4) for number in node[name]]
    return plain


def _texts(tree: TokenTree, tokenizer: Any) -> dict[str, Any]:
    """`pieces`: the text of every token used, by its id. `apart`: per node, the texts of its tokens, where characters
    are made of several tokens, so that these say nothing alone."""
    used = sorted({token for node in tree.nodes for token in node.tokens})
    pieces = {str(token): text for token, text in zip(used, _decoded(tokenizer, [[one] for one in used]), strict=True)}
    apart = {}
    for node in tree.nodes:
        if any(_UNFINISHED in pieces[str(token)] for token in node.tokens):
            ends = _decoded(tokenizer, [node.tokens[: end + 1] for end in range(len(node.tokens))])
            apart[str(node.index)] = _differences(ends)
    return {"pieces": pieces, "apart": apart}


def _decoded(tokenizer: Any, rows: list[list[int]]) -> list[str]:
    texts: list[str] = tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return texts


def _differences(ends: Sequence[str]) -> list[str]:
    """What each further token adds; a character belongs to the token that completes it."""
    found, said = [], ""
    for number, text in enumerate(ends, start=1):
        whole = text if number == len(ends) else text.rstrip(_UNFINISHED)
        found.append(whole[len(said) :] if whole.startswith(said) else "")
        said = whole if whole.startswith(said) else said
    return found


def _plain(report: QuestionReport) -> dict[str, Any]:
    return {
        "roots": report.roots,
        "gap": report.gap,
        "forks": [_short(record._asdict()) for record in report.forks],
        "leaves": [record._asdict() for record in report.leaves],
        "calls": dict(sorted(report.calls.items())),
        "steps": report.steps,
        "retried": report.retried,
        "dropped": report.dropped,
        "unforkable": report.unforkable,
    }


def _short(record: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in record.items()}


def _advantage(values: Tensor) -> dict[str, Any]:
    """The mean over a leaf's trained tokens, and each one's where they differ."""
    if not len(values):
        return {"advantage": 0.0, "advantages": None}
    differ = float(values.max() - values.min()) > 1e-9
    return {
        "advantage": float(f"{float(values.mean()):.4g}"),
        "advantages": [float(f"{value:.3g}") for value in values.tolist()] if differ else None,
    }
