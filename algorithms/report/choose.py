"""Which trees a report shows: a few of many steps, early and late, as data that a page holds.

    shown = trees(run.path, budget=3_500_000)    # the first is the one that is worth seeing first

Of each step that is looked into: the question with the most right trajectories, the one with the fewest, the one whose
trajectories differ most, the most forked, and the one with the most calls of python. Steps are taken first and last
first, then those between, until the budget of bytes is used up.

Left out: what does not fit. `trace` draws any question of any traced step.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from algorithms.report.traces import Trace, read, texts, traced_steps
from algorithms.report.turns import POLICY, fork_in_words, turns
from algorithms.report.worth import fork_count, right_share, worth_seeing

MOST_STEPS = 16
LONGEST_OBSERVATION = 6_000  # characters; more is cut in the middle
LONGEST_TURN = 1_500  # policy tokens of one turn with their numbers; the rest is shown as plain text


def trees(run: Path, budget: int) -> list[dict[str, Any]]:
    """The chosen questions: the one of `worth_seeing`, then the others by step and number. At most `budget` bytes.

    Each is `tree_data` with "why" it was chosen.
    """
    found, used = [], 0
    best = worth_seeing(run)
    steps = in_turn(traced_steps(run))
    first = [] if best is None else [best[0]]
    for step in dict.fromkeys(first + steps):
        try:
            traces = read(run, step)
        except ValueError:  # cut short: the others are worth showing all the same
            continue
        for trace, why in _with_best(traces, best, others=step in steps):
            data = {**tree_data(trace), "why": why}
            size = _bytes(data)
            if used + size <= budget:
                used += size
                found.append(data)
    return sorted(found, key=lambda one: ((one["step"], one["question"]) != best, one["step"], one["question"]))


def _with_best(traces: list[Trace], best: tuple[int, int] | None, others: bool) -> Iterator[tuple[Trace, list[str]]]:
    """The best tree, if it is of this step, and the chosen ones if `others` are wanted; each once, with its reasons."""
    picked = list(chosen(traces)) if others else []
    first = [trace for trace in traces if (trace["step"], trace["question"]) == best][:1]
    for trace in first:
        yield trace, ["start here", *(word for one, why in picked if one is trace for word in why)]
    yield from ((trace, why) for trace, why in picked if not any(trace is one for one in first))


def _bytes(data: dict[str, Any]) -> int:
    """In the page, where what could end its block of data is written in six characters."""
    text = json.dumps(data)
    return len(text) + 5 * sum(text.count(character) for character in "<>&")


def in_turn(steps: list[int], most: int = MOST_STEPS) -> list[int]:
    """First, last, the middle, and so on halving, so that wherever one stops the run is covered evenly."""
    found: list[int] = []
    if steps:
        found = [steps[0], steps[-1]]
        spans = [(0, len(steps) - 1)]
        while spans and len(found) < most:
            low, high = spans.pop(0)
            if high - low > 1:
                middle = (low + high) // 2
                found.append(steps[middle])
                spans += [(low, middle), (middle, high)]
    return list(dict.fromkeys(found))[:most]


def chosen(traces: list[Trace]) -> Iterator[tuple[Trace, list[str]]]:
    """Questions of one step worth looking at, each once, with all reasons."""
    reasons: dict[int, list[str]] = {}

    def take(why: str, scores: list[float]) -> None:
        if scores and max(scores) > min(scores):
            reasons.setdefault(scores.index(max(scores)), []).append(why)

    right = [right_share(trace) for trace in traces]
    take("most mixed", [share * (1 - share) for share in right])
    take("best", right)
    take("most forked", [float(fork_count(trace)) for trace in traces])
    take("worst", [-share + fork_count(trace) / 1_000 for share, trace in zip(right, traces, strict=True)])
    take("python", [float(trace["report"]["calls"].get("python", 0)) for trace in traces])
    if not reasons and traces:
        reasons[0] = ["first"]
    yield from ((traces[index], why) for index, why in reasons.items())


def tree_data(trace: Trace) -> dict[str, Any]:
    """A trace as the page draws it.

    turns: parent ("up"); segments ("parts": kind, text, number of tokens; for the policy's the text of each token, its
    -log-probability and its entropy in hundredths of a nat); the fork decision with its words; the path that starts
    and the leaves that end there.
    leaves: stop reason, rewards, whether solved, advantage, and the advantages of its tokens in thousandths or None.
    """
    report = trace["report"]
    return {
        "step": trace["step"],
        "question": trace["question"],
        "task": trace["task"],
        "roots": report["roots"],
        "gap": report["gap"],
        "calls": report["calls"],
        "lost": report["dropped"],
        "unforkable": report["unforkable"],
        "turns": [
            {
                "up": turn.parent,
                "parts": [_part(trace, segment.kind, segment.nodes) for segment in turn.segments],
                "fork": None if turn.fork is None else {**turn.fork, "words": fork_in_words(turn.fork)},
                "path": turn.path,
                "forked": turn.forked,
                "leaves": turn.leaves,
            }
            for turn in turns(trace)
        ],
        "leaves": [
            {
                "stop": leaf["stop_reason"],
                "rewards": leaf["rewards"],
                "solved": more["solved"],
                "advantage": more["advantage"],
                "advantages": None if more["advantages"] is None else [round(1000 * x) for x in more["advantages"]],
                **{name: record[name] for name in ("path", "parent", "turns", "retried")},
            }
            for leaf, more, record in zip(trace["tree"]["leaves"], trace["leaves"], report["leaves"], strict=True)
        ],
    }


def _part(trace: Trace, kind: str, nodes: tuple[int, ...]) -> dict[str, Any]:
    pieces = [text for node in nodes for text in texts(trace, node)]
    if kind != POLICY:
        text = "".join(pieces)
        if len(text) > LONGEST_OBSERVATION:
            half = LONGEST_OBSERVATION // 2
            text = f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
        return {"kind": kind, "text": text, "tokens": len(pieces)}
    plain = trace["tree"]["nodes"]
    shown = pieces[:LONGEST_TURN]
    surprise = [round(-100 * x) for node in nodes for x in plain[node]["log_probs"]][:LONGEST_TURN]
    entropy = [round(100 * x) for node in nodes for x in plain[node]["entropies"]][:LONGEST_TURN]
    part = {"kind": kind, "pieces": shown, "surprise": surprise, "entropy": entropy, "tokens": len(pieces)}
    return (
        part if len(pieces) <= LONGEST_TURN else {**part, "rest": "".join(pieces[LONGEST_TURN:])[:LONGEST_OBSERVATION]}
    )
