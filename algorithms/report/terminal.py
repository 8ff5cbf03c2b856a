"""A rollout tree in a terminal: box lines, what was said, why it forked, what each trajectory was worth.

    look = Look(width=100, colour=False)
    for line in tree_lines(trace, look):
        print(line)

A turn without a parting goes on in its parent's column; only a parting moves to the right. Text of a run is untrusted:
control characters, which could move the cursor or change the terminal, are shown as symbols.

Left out: token-wise numbers (the report's page has them).
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from algorithms.report.traces import Trace, texts
from algorithms.report.turns import OBSERVATION, POLICY, Segment, Turn, compared, fork_in_words, turns

_COLOURS = {"policy": "36", "observation": "33", "fork": "35", "right": "32", "wrong": "31", "dim": "2", "bold": "1"}
_SIGNS = {POLICY: "▸", OBSERVATION: "◂", "prompt": "?"}
_NARROWEST = 24  # columns left for text, however deep the tree


@dataclass(frozen=True)
class Look:
    """How to draw. width: columns. colour: whether to write escape codes. full: whole texts, not one line."""

    width: int = 100
    colour: bool = False
    full: bool = False

    def painted(self, text: str, kind: str) -> str:
        """The text in the colour of its kind."""
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if self.colour and text else text


def tree_lines(trace: Trace, look: Look) -> Iterator[str]:
    """The drawing, line by line, with a heading."""
    task, report = trace["task"], trace["report"]
    solved = sum(leaf["solved"] for leaf in trace["leaves"])
    gap = "" if report["gap"] is None else f", gap {report['gap']:+.3f}"
    forks = sum(record["outcome"] == "forked" for record in report["forks"])
    heading = (
        f"step {trace['step']}, question {trace['question']} · {shown(task['family'])} · {solved} of "
        f"{len(trace['leaves'])} right · m = {report['roots']}{gap} · {forks} forks"
    )
    yield from (look.painted(line, "bold") for line in _wrapped(heading, look.width))
    yield from _wrapped(f"accepted: {shown(' or '.join(task['answers']))}", look.width)
    yield ""
    yield from _subtree(trace, turns(trace), 0, "", "", look)


def _subtree(trace: Trace, all_turns: Sequence[Turn], number: int, first: str, rest: str, look: Look) -> Iterator[str]:
    """A turn and all below it. first: what stands before its first line; rest: before the others."""
    waiting = [(number, first, rest)]
    while waiting:
        number, first, rest = waiting.pop()
        turn = all_turns[number]
        parts = [*turn.leaves, *turn.children]
        below = rest if len(parts) == 1 else f"{rest}{'│' if parts else ' '} "
        prefix = first
        for line in _turn_lines(trace, turn, below, look):
            yield look.painted(prefix, "dim") + line
            prefix = below
        single = len(parts) == 1
        for place, leaf in enumerate(turn.leaves):
            end = place == len(parts) - 1
            before = rest + ("" if single else "└─" if end else "├─")
            yield look.painted(before, "dim") + _leaf_line(trace, leaf, look, look.width - len(before))
        for place, child in reversed(list(enumerate(turn.children, start=len(turn.leaves)))):
            end = place == len(parts) - 1
            if single:
                waiting.append((child, rest, rest))
            else:
                waiting.append((child, rest + ("└─" if end else "├─"), rest + ("  " if end else "│ ")))


def _turn_lines(trace: Trace, turn: Turn, prefix: str, look: Look) -> Iterator[str]:
    mark = f"⑂{turn.path} " if turn.forked else ""
    room = max(_NARROWEST, look.width - len(prefix) - len(mark) - 2)
    for place, segment in enumerate(turn.segments):
        text = "".join(text for node in segment.nodes for text in texts(trace, node))
        label = f"{_SIGNS[segment.kind]} "
        if not place:
            label = look.painted(mark, "fork") + label
        note = _note(trace, segment)
        kind = segment.kind if segment.kind in _COLOURS else "bold"
        lines = _fitted(text, note, room, look.full)
        for number, line in enumerate(lines):
            yield (label if not number else "  ") + look.painted(line, kind)
    if turn.fork is not None:
        words = fork_in_words(turn.fork) if look.full else _short_fork(turn.fork)
        kind = "fork" if turn.fork["outcome"] == "forked" else "dim"
        for line in _wrapped(words, room):
            yield look.painted(f"  {line}", kind)


def _short_fork(record: dict[str, Any]) -> str:
    outcomes = {"forked": "forked", "draw": "no fork", "budget": "no budget left", "environment": "cannot be forked"}
    sign = "<" if record["draw"] < record["probability"] else "≥"
    draw, probability = compared(record)
    penalty = f", penalty {100 * record['penalty']:.0f} %" if record["penalty"] else ""
    return (
        f"⑂ {outcomes.get(record['outcome'], record['outcome'])}: draw {draw} {sign} P "
        f"{probability} (entropy rise {record['rise']:+.2f}{penalty})"
    )


def _note(trace: Trace, segment: Segment) -> str:
    """Behind what the policy wrote: its number of tokens and their mean entropy."""
    if segment.kind != POLICY:
        return ""
    entropies = [value for node in segment.nodes for value in trace["tree"]["nodes"][node]["entropies"]]
    return f"  [{len(entropies)} tokens, entropy {sum(entropies) / len(entropies):.2f}]"


def _fitted(text: str, note: str, room: int, full: bool) -> list[str]:
    """The text in lines that fit; shortened to one line unless all is wanted: a turn's end, its action, is kept."""
    if full:
        lines = [line for part in text.strip().split("\n") for line in _wrapped(shown(part), room)]
        return [*lines, note.strip()] if note else lines
    line, space = " ".join(shown(text, " ").split()), room - len(note)
    if note and columns(line) > space > 20:
        end = line[-(space // 2) :]
        line = cut(line[: len(line) - len(end)], space - columns(end)) + end
    return [cut(line, space) + note]


def _leaf_line(trace: Trace, number: int, look: Look, room: int) -> str:
    leaf, more, record = trace["tree"]["leaves"][number], trace["leaves"][number], trace["report"]["leaves"][number]
    parts = ", ".join(f"{shown(name)} {value:g}" for name, value in leaf["rewards"].items() if name != "total")
    mark = look.painted("✓" if more["solved"] else "✗", "right" if more["solved"] else "wrong")
    reward = f"reward {leaf['rewards']['total']:g}{f' ({parts})' if parts else ''}"
    path = f"  path {record['path']}"
    worth = cut(f"{reward}, advantage {more['advantage']:+.3f}, {shown(leaf['stop_reason'])}", room - 2 - len(path))
    return f"{mark} {worth}" + look.painted(path, "dim")


def step_lines(traces: Sequence[Trace], look: Look) -> Iterator[str]:
    """The questions of a step, a line each."""
    yield look.painted("question  right  forks  family              text", "bold")
    for trace in traces:
        solved = sum(leaf["solved"] for leaf in trace["leaves"])
        forks = sum(record["outcome"] == "forked" for record in trace["report"]["forks"])
        family = cut(shown(trace["task"]["family"]), 18)
        head = f"{trace['question']:>8}  {solved:>2}/{len(trace['leaves']):<2}  {forks:>5}  {padded(family, 18)}  "
        yield head + cut(shown(trace["task"]["question"].strip(), " "), max(_NARROWEST, look.width - len(head)))


def shown(text: str, newline: str = "⏎") -> str:
    """Text without anything a terminal would obey: control characters and overrides of direction become symbols."""

    def symbol(character: str) -> str:
        if character == "\n":
            return newline
        if character == "\t":
            return "  "
        code = ord(character)
        if code < 0x20 or code == 0x7F:
            return chr(0x2400 + code) if code < 0x20 else "␡"
        return "�" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") else character

    return "".join(symbol(character) for character in text)


def columns(text: str) -> int:
    """How wide a terminal shows the text: two columns for wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def cut(text: str, room: int) -> str:
    """The text, with an ellipsis where it does not fit into `room` columns."""
    if columns(text) <= room:
        return text
    out, used = [], 0
    for character in text:
        used += columns(character)
        if used > room - 1:
            break
        out.append(character)
    return "".join(out) + "…"


def padded(text: str, width: int) -> str:
    """The text with spaces up to `width` columns."""
    return text + " " * (width - columns(text))


def _wrapped(text: str, room: int) -> list[str]:
    if columns(text) == len(text):
        return textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    lines, line = [], ""
    for word in re.split(r"(\s+)", text):
        if line and columns(line + word) > room:
            lines.append(line.rstrip())
            line = ""
        line += word if line else word.lstrip()
        while columns(line) > room:
            head = cut(line, room)[:-1] or line[:1]
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line] if line or not lines else lines
