r"""An agent that solves the generated web's tasks through the tools alone.

    agent = WebOracle(task)
    agent.act(question, info)          # "<think>I need the mayor.</think><search>Keld</search>"

It knows the task's plan (where to start, which relations to follow, what to do with the numbers) and the wordings that
pages use; every value it takes from what the tools answered. It searches first, opens a page when the snippet does not
hold the fact, and calculates with python. Its turns are also demonstrations for small models: short and regular.
When it cannot find a fact it answers "unknown".
"""

import re
from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from aepo_env.tasks import Task
from aepo_env.worlds.script import ScriptedAgent, Steps, browse, has_next_part, python, search, text_of_part
from aepo_env.worlds.web.reading import listed_entries, read_value, without_marks
from aepo_env.worlds.web.relations import RELATIONS

Result = TypeVar("Result")
Turns = Generator[str, str, Result]
"""Yields turns, is sent what the tools said, and returns a result."""


class _Hit(NamedTuple):
    """A search hit as the tool showed it."""

    number: int
    title: str
    snippet: str


class _Lost(Exception):
    """A fact was not found where it should stand."""


class WebOracle:
    """Solves one task. Make a new one for every episode."""

    def __init__(self, task: Task):
        self._plan: dict[str, Any] = task.metadata["plan"]
        self._agent = ScriptedAgent(self._solve)
        self._thought = ""  # what the last result taught; becomes the next turn's thought
        self._hits: list[_Hit] = []  # of the last search
        self._snippets: dict[str, str] = {}
        self._opened: dict[str, str] = {}  # titles of opened pages and their text so far

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """The next turn. `observation` is what the environment said last (at first the question)."""
        return self._agent.act(observation, info)

    # ---- what to do with the values

    def _solve(self, question: str) -> Steps:
        operation = self._plan["operation"]
        try:
            if operation == "lookup":
                answer = yield from self._follow(self._plan["walks"][0])
            elif operation == "count":
                answer = yield from self._count()
            elif operation in ("largest", "smallest"):
                answer = yield from self._compare()
            else:
                answer = yield from self._calculate()
        except _Lost:
            self._thought, answer = "I did not find it.", "unknown"
        return answer, self._thought

    def _compare(self) -> Turns[str]:
        """The further fact of the entity with the largest or smallest measure."""
        measured: list[tuple[int, str]] = []
        for walk in self._plan["walks"]:
            title = yield from self._follow(walk)
            measured.append((int((yield from self._read(title, walk["measure"]))), title))
        choose = max if self._plan["operation"] == "largest" else min
        winner = choose(measured)[1]
        self._thought = f"So it is {winner}."
        return (yield from self._read(winner, self._plan["asked"]))

    def _count(self) -> Turns[str]:
        """The length of a list page."""
        described = self._plan["word"]
        for walk in self._plan["walks"]:
            described = yield from self._follow(walk)
        members = RELATIONS[self._plan["list"]].members.format(o=described)
        title = members[0].upper() + members[1:]
        self._thought = self._thought or "I need the list."
        yield from self._search(title)
        hit = self._hit(title)
        if hit is None:
            raise _Lost
        text = yield from self._open(hit)
        count = len(listed_entries(text))
        self._thought = f"The list has {count} entries."
        return str(count)

    def _calculate(self) -> Turns[str]:
        """Python's result for the expression over the values read."""
        values = []
        for walk in self._plan["walks"]:
            values.append((yield from self._follow(walk)))
        code = self._plan["expression"].format(**dict(zip("xyz", values, strict=False)))
        output = yield python(f"print({code})", self._thought)
        numbers = re.findall(r"-?\d+", output)
        if not numbers:
            raise _Lost
        self._thought = f"The result is {numbers[-1]}."
        return str(numbers[-1])

    # ---- how to get at values

    def _follow(self, walk: dict[str, Any]) -> Turns[str]:
        """The value at the end of a walk; the start's title for a walk without steps."""
        value = yield from self._start(walk["start"])
        for relation in walk["relations"]:
            value = yield from self._read(value, relation)
        return value

    def _start(self, start: dict[str, Any]) -> Turns[str]:
        """The title of the entity that a question names."""
        name = str(start["name"])
        if start["clue"] is None:
            if start.get("alias_of"):  # a second name: the page it leads to is the first hit
                self._thought = f"I look up {name}."
                yield from self._search(name)
                if not self._hits:
                    raise _Lost
                return self._hits[0].title
            return name
        return (yield from self._told_apart(name, *start["clue"]))

    def _told_apart(self, name: str, relation: str, wanted: str) -> Turns[str]:
        """The title of that bearer of a name whose `relation` has the value `wanted`."""
        self._thought = f"I need the {RELATIONS[relation].nouns[0]} of each {name}."
        tried: set[str] = set()
        for query in (f"{name} {wanted}", name):
            yield from self._search(query)
            # The page of that name lists its bearers, also those that the search did not bring up.
            bearers: list[str] = re.findall(rf"\b{re.escape(name)} \([IVX]+\)", self._snippets.get(name, ""))
            for title in [hit.title for hit in self._hits if hit.title.startswith(f"{name} (")] + bearers:
                if title in tried:
                    continue
                tried.add(title)
                try:
                    value = yield from self._read(title, relation)
                except _Lost:  # this one's page does not say
                    continue
                if value == wanted:
                    self._thought = f"It is {title}."
                    return title
        raise _Lost

    def _read(self, title: str, relation: str) -> Turns[str]:
        """The value of a relation: from what was seen already, from a snippet, else from the page."""
        value = self._known(title, relation)
        self._thought = self._thought or f"I need the {RELATIONS[relation].nouns[0]}."
        if value is None and self._hit(title) is None:
            yield from self._search(title)
            value = self._known(title, relation)
        if value is None and title not in self._opened:
            hit = self._hit(title)
            if hit is None:
                raise _Lost
            yield from self._open(hit)
            value = self._known(title, relation)
        if value is None:
            raise _Lost
        self._thought = f"The {RELATIONS[relation].nouns[0]} is {value}."
        return value

    def _known(self, title: str, relation: str) -> str | None:
        if title in self._opened:
            return read_value(self._opened[title], relation, title)
        if title in self._snippets:
            return read_value(self._snippets[title], relation, title, snippet=True)
        return None

    def _hit(self, title: str) -> _Hit | None:
        """The hit of the last search with exactly this title."""
        return next((hit for hit in self._hits if hit.title == title), None)

    def _search(self, query: str) -> Turns[None]:
        result = yield search(query, self._thought)
        self._hits = _hits(result)
        self._snippets.update({hit.title: hit.snippet for hit in self._hits})

    def _open(self, hit: _Hit) -> Turns[str]:
        """The whole text of a hit's page, all its parts."""
        text = yield browse(f"result {hit.number}", f"I open {hit.title}.")
        whole = text
        while has_next_part(text):
            text = yield browse("next", "I read on.")
            whole = _glued(whole, text_of_part(text))
        self._opened[hit.title] = without_marks(whole)
        return self._opened[hit.title]


def _glued(text: str, part: str) -> str:
    """A page's text with its next part: on the same line if the cut went through a sentence."""
    last_line = text.rpartition("\n")[2]
    is_row = re.match(r"- |## |.* \| |[A-Z][\w ()]*: ", last_line) is not None
    return text + ("\n" if is_row or last_line.endswith(".") else " ") + part


def _hits(result: str) -> list[_Hit]:
    """The hits of a search result: numbered titles, each with an address and a snippet below."""
    starts = list(re.finditer(r"^(\d+)\. (.+)$", result, re.MULTILINE))
    ends = [*(start.start() for start in starts[1:]), len(result)]
    hits = []
    for start, end in zip(starts, ends, strict=False):
        lines = [line.strip() for line in result[start.end() : end].splitlines()]
        snippet = " ".join(line for line in lines if line and not re.match(r"https?://\S+$", line))
        hits.append(_Hit(int(start[1]), start[2].strip(), snippet))
    return hits
