"""A trace as a person reads it: turns instead of nodes, and why each fork happened, in words.

    for turn in turns(trace):                      # parents before their children; turn 0 is the prompt
        turn.parent, turn.segments, turn.leaves, turn.fork

A turn is what the policy wrote and the observation that answered it. A tree's nodes are cut wherever something hangs on
them; here runs without a branch are joined again, so that every turn with several children is a real parting of ways.

Left out: how it looks (`page`, `terminal`).
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from algorithms.report.traces import Trace

POLICY, OBSERVATION = "policy", "observation"


class Segment(NamedTuple):
    """Nodes of one kind in a row."""

    kind: str
    nodes: tuple[int, ...]


@dataclass(slots=True)
class Turn:
    """A stretch of the tree without a parting.

    number, parent: positions in the list; -1 above the prompt. segments: what it consists of, in order.
    children: in the order in which paths started. leaves: that end here. through: leaves that pass or end here.
    fork: the decision that fell at its end, a `ForkRecord` as a dictionary, or None.
    path: the number of the path that starts with this turn, or None where an earlier one goes on.
    forked: whether that path was forked off a living one, instead of starting at the prompt.
    """

    number: int
    parent: int
    segments: list[Segment] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    through: list[int] = field(default_factory=list)
    fork: dict[str, Any] | None = None
    path: int | None = None
    forked: bool = False


def turns(trace: Trace) -> list[Turn]:
    """The turns of a trace's tree, parents first. Nodes that lie on no leaf's path are left out."""
    nodes = trace["tree"]["nodes"]
    through = _through(trace)
    below: list[list[int]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        if node["parent"] >= 0 and through[index]:
            below[node["parent"]].append(index)
    for some in below:
        some.sort(key=lambda index: min(through[index]))
    ends: dict[int, list[int]] = {}
    for number, leaf in enumerate(trace["tree"]["leaves"]):
        ends.setdefault(leaf["node"], []).append(number)
    forks = {record["node"]: record for record in trace["report"]["forks"]}
    starts = _starts(trace)
    found: list[Turn] = []
    waiting = [(0, -1)]
    while waiting:
        index, parent = waiting.pop()
        turn = Turn(len(found), parent, through=through[index])
        if index in starts:
            turn.path, turn.forked = starts[index]
        found.append(turn)
        if parent >= 0:
            found[parent].children.append(turn.number)
        joined = _joined(index, nodes, below, ends)
        turn.segments = _segments(joined, nodes)
        turn.leaves = ends.get(joined[-1], [])
        turn.fork = next((forks[one] for one in reversed(joined) if one in forks), None)
        waiting += [(child, turn.number) for child in reversed(below[joined[-1]])]
    return found


def _through(trace: Trace) -> list[list[int]]:
    """For each node, the leaves whose paths hold it."""
    nodes = trace["tree"]["nodes"]
    found: list[list[int]] = [[] for _ in nodes]
    for number, leaf in enumerate(trace["tree"]["leaves"]):
        index = leaf["node"]
        while index >= 0:
            found[index].append(number)
            index = nodes[index]["parent"]
    return found


def _starts(trace: Trace) -> dict[int, tuple[int, bool]]:
    """Node -> the path that begins with it, and whether that was forked. Of the paths that became leaves."""
    nodes = trace["tree"]["nodes"]
    found: dict[int, tuple[int, bool]] = {}
    for leaf, record in zip(trace["tree"]["leaves"], trace["report"]["leaves"], strict=True):
        index = leaf["node"]
        while index > 0 and nodes[index]["parent"] != record["origin"]:
            index = nodes[index]["parent"]
        if index > 0:
            found.setdefault(index, (record["path"], record["parent"] is not None))
    return found


def _joined(index: int, nodes: list[Any], below: list[list[int]], ends: dict[int, list[int]]) -> list[int]:
    """A node and those behind it that belong to the same turn: nothing parts or ends between them."""
    joined = [index]
    while len(below[joined[-1]]) == 1 and joined[-1] not in ends:
        kind, (child,) = nodes[joined[-1]]["kind"], below[joined[-1]]
        if kind != POLICY and nodes[child]["kind"] != kind:
            break
        joined.append(child)
    return joined


def _segments(joined: list[int], nodes: list[Any]) -> list[Segment]:
    found: list[Segment] = []
    for index in joined:
        kind = nodes[index]["kind"]
        if found and found[-1].kind == kind:
            found[-1] = Segment(kind, (*found[-1].nodes, index))
        else:
            found.append(Segment(kind, (index,)))
    return found


def fork_in_words(record: dict[str, Any]) -> str:
    """Why a path forked at a tool result, or did not: a few sentences with the numbers of the decision."""
    outcomes = {
        "forked": "Forked here.",
        "draw": "Did not fork here.",
        "budget": "Would have forked here, but no budget was left.",
        "environment": "Would have forked here, but the environment could not be forked.",
    }
    draw, probability = compared(record)
    level, start, rise = record["level"], record["start_level"], record["rise"]
    moved = f"{'rose' if level > start else 'fell'} from {start:.3f} to {level:.3f}"
    if level == start:
        moved = f"stayed at {level:.3f}"
    elif not rise:
        moved += ", which counted as no change (its unit is known from the second step on)"
    else:
        moved += f", by {abs(rise):.2f} units"
    why = f"Since the start of path {record['path']} the level of the policy's entropy {moved}: P(fork) = {probability}"
    if record["penalty"]:
        streak = record["streak"]
        why += f", after {100 * record['penalty']:.0f} % was taken off for {streak} fork{'s' * (streak != 1)} in a row"
    side = "below" if record["draw"] < record["probability"] else "not below"
    return f"{outcomes.get(record['outcome'], record['outcome'])} {why}. The draw {draw} was {side} it."


def compared(record: dict[str, Any]) -> tuple[str, str]:
    """The draw and P(fork) of a decision, with as many places as tell them apart."""
    draw, probability = record["draw"], record["probability"]
    places = next((count for count in (2, 3, 4) if round(draw, count) != round(probability, count)), 5)
    return f"{draw:.{places}f}", f"{probability:.{places}f}"
