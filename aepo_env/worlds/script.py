"""Scripted agents: an oracle written as one function, top to bottom, instead of as a state machine.

    def solve(question: str) -> Steps:
        page = yield search("Ada Lovelace", "I look her up.")      # a turn out, the tool's answer back
        return "1815", "The page says so."

    agent = ScriptedAgent(solve)                                   # act(observation, info) -> str

Turns are in the tags protocol (<think>, <search>, <browse>, <python>, <answer> with \\boxed{}), so that a played
episode also serves as a demonstration. Left out: several calls in one turn.
"""

import re
from collections.abc import Callable, Generator
from typing import Any

Steps = Generator[str, str, tuple[str, str]]  # yields turns, is sent what the tools said, returns (answer, reason)
_PART = re.compile(r"^part (\d+) of (\d+)$", re.MULTILINE)
_AROUND_A_RESULT = re.compile(r"\A<result>\n?|\n?</result>\s*\Z")


class ScriptedAgent:
    """An Agent that follows one script for one episode; make a new one for the next."""

    def __init__(self, script: Callable[[str], Steps]) -> None:
        self._script = script
        self._steps: Steps | None = None
        self._last = ""

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """The script's next turn. After its answer the answer is repeated, whatever comes."""
        try:
            if self._steps is None:
                self._steps = self._script(observation)
                self._last = next(self._steps)
            else:
                self._last = self._steps.send(_AROUND_A_RESULT.sub("", observation))
        except StopIteration as end:
            if end.value is not None:
                answer, reason = end.value
                self._last = f"<think>{reason}</think><answer>\\boxed{{{answer}}}</answer>"
        return self._last


def search(query: str, reason: str) -> str:
    """A turn that searches."""
    return f"<think>{reason}</think><search>{query}</search>"


def browse(argument: str, reason: str) -> str:
    """A turn that browses."""
    return f"<think>{reason}</think><browse>{argument}</browse>"


def python(code: str, reason: str) -> str:
    """A turn that runs code; a single line stays on the line of its tags, which is easier to learn."""
    edge = "\n" if "\n" in code else ""
    return f"<think>{reason}</think><python>{edge}{code}{edge}</python>"


def hit_number(observation: str, title: str) -> int:
    """The number of the search hit with exactly this title; 0 when there is none. Hits read "1. Title"."""
    wanted = " ".join(title.split())
    for number, listed in re.findall(r"^(\d+)\. (.*)$", observation, re.MULTILINE):
        if listed.strip() == wanted:
            return int(number)
    return 0


def without_link_numbers(text: str) -> str:
    """Page text without the " [4]" that the browse tool puts behind a link."""
    return re.sub(r" \[\d+\]", "", text)


def has_next_part(observation: str) -> bool:
    """Whether the browse tool says that the page goes on ("part 2 of 5")."""
    part = _PART.search(observation)
    return part is not None and int(part.group(1)) < int(part.group(2))


def text_of_part(observation: str) -> str:
    """The page's text alone, without the title, address and part that the browse tool puts above it."""
    return _PART.split(observation, maxsplit=1)[-1].strip()
