"""An agent that answers the Factbook's questions through search, browse and python alone.

    agent = FactbookOracle(task)        # act(observation, info) -> str

It knows the plan (what the question names, which fact to ask for in which order) and how the site is built (which list
holds capitals, on which section page an elevation stands). Every value, and every place it goes on to, it reads from
the tools' answers. Sums and quotients go through the python tool. It needs the tools search and browse, and python for
arithmetic and for counting over a region. Left out: other ways to the same answer.
"""

import re
from collections.abc import Generator
from typing import Any

from aepo_env.tasks import Task
from aepo_env.worlds.factbook import lists
from aepo_env.worlds.factbook.facts import RELATIONS, read_number
from aepo_env.worlds.factbook.naming import section_title
from aepo_env.worlds.factbook.site import BORDERS_LABEL
from aepo_env.worlds.script import (
    ScriptedAgent,
    Steps,
    browse,
    has_next_part,
    hit_number,
    python,
    search,
    without_link_numbers,
)

Move = Generator[str, str, str]  # yields turns, is sent observations, gives back a text that was read
_LONGEST_READ = 60  # parts of one page
_SHORT = 3  # characters: shorter words stand in too many rows to be looked for
_ANSWER_FORM = {"peak": r"(.+?) [\d,]+ m", "currency": r".+\((\w+)\)", "height": r".+? ([\d,]+) m"}


class NotFound(Exception):
    """A page or a row the plan needs is not where it should be."""


class FactbookOracle:
    """Solves one task; make a new one for the next."""

    def __init__(self, task: Task) -> None:
        self._form: str = task.metadata["form"]
        self._plan: dict[str, Any] = dict(task.metadata["plan"])
        self._page = ""  # the title of the open page
        self._text = ""  # what has been read of it
        self._more = False  # whether it goes on
        self._agent = ScriptedAgent(self._solve)

    def act(self, observation: str, info: dict[str, Any]) -> str:
        return self._agent.act(observation, info)

    def _solve(self, question: str) -> Steps:
        solve = {
            "chain": self._chain,
            "neighbours": self._winner,
            "pair": self._winner,
            "count_borders": self._count_borders,
            "count_neighbours": self._count_neighbours,
            "count_currency": self._count_currency,
            "count_region": self._count_region,
        }.get(self._form, self._calculate)
        try:
            answer = yield from solve()
        except NotFound as missing:
            return "unknown", f"I cannot find {missing}."
        return answer, "That settles it."

    # ---------------------------------------------------------------------------------------- reading

    def _open(self, title: str, reason: str) -> Move:
        """Opens the page with exactly this title: the first one through search, later ones by their names."""
        if self._page == title:
            return self._text
        part = ""
        if self._page:
            part = yield browse(title, reason)
        if not re.search(rf"^#*\s*{re.escape(title)}$", part, re.MULTILINE):
            hits = yield search(title, reason)
            number = hit_number(hits, title)
            if not number:
                raise NotFound(f"the page {title}")
            part = yield browse(f"result {number}", f"I open {title}.")
        self._page, self._text, self._more = title, without_link_numbers(part), has_next_part(part)
        return self._text

    def _find(self, pattern: str, what: str) -> Move:
        """The first group of the first match on the open page, read on as far as needed."""
        for _ in range(_LONGEST_READ):
            if match := re.search(pattern, self._text, re.MULTILINE):
                return match.group(1)
            if not self._more:
                break
            yield from self._read_on(what)
        raise NotFound(what)

    def _find_row(self, first: str) -> Move:
        """The second cell of the open list's row that begins with `first`: looked for by its words, else by reading."""
        pattern = rf"^{re.escape(first)} \| (.+)$"
        if len(first) > _SHORT and not re.search(pattern, self._text, re.MULTILINE):
            part = without_link_numbers((yield browse(f"find {first}", f"I look for {first} in the list.")))
            if match := re.search(pattern, part, re.MULTILINE):
                return match.group(1)
            part = yield browse("top", "I read the list from the top.")
            self._text, self._more = without_link_numbers(part), has_next_part(part)
        return (yield from self._find(pattern, first))

    def _read_on(self, what: str) -> Move:
        part = yield browse("next", f"I read on for {what}.")
        self._text, self._more = f"{self._text}\n{without_link_numbers(part)}", has_next_part(part)
        return self._text

    def _rows(self, cells: int, what: str) -> Generator[str, str, list[list[str]]]:
        """All rows of the open list, to its end."""
        while self._more:
            yield from self._read_on(what)
        rows = [line.split(" | ") for line in self._text.splitlines()]
        return [list(map(str.strip, row)) for row in rows if len(row) == cells and row[0] != "Place"]

    def _fact(self, title: str, relation: str) -> Move:
        """The text of a fact, as it stands on the place's page or section page."""
        known = RELATIONS[relation]
        yield from self._open(section_title(title, known.section), f"I need: {known.label} of {title}.")
        return (yield from self._find(rf"^{re.escape(known.label)}: (.+)$", known.label))

    def _answer(self, title: str, relation: str) -> Move:
        """The asked form of a fact: its figure, code or name."""
        text = yield from self._fact(title, relation)
        if relation == "independence":
            year = re.search(r"\b\d{4}\b", text)
            return year.group() if year else text
        if form := _ANSWER_FORM.get(relation):
            match = re.match(form, text)
            return match.group(1) if match else text
        return _figure(text) or re.sub(r" \([^()]*\)$", "", text)

    def _number(self, title: str, relation: str) -> Generator[str, str, float]:
        text = yield from self._answer(title, relation)
        fact = read_number(text)
        if fact is None or fact.number is None:
            raise NotFound(f"a figure for {relation} of {title}")
        return fact.number

    def _borders(self, title: str) -> Generator[str, str, dict[str, float]]:
        """Land neighbours and the lengths of the borders, in the page's order."""
        yield from self._open(title, f"I need the land borders of {title}.")
        text = yield from self._find(rf"^{BORDERS_LABEL}: (.+)$", "the land borders")
        entries = (re.fullmatch(r"(.+) ([\d.,]+) km", entry.strip()) for entry in text.split(";"))
        return {entry.group(1): float(entry.group(2).replace(",", "")) for entry in entries if entry}

    # ----------------------------------------------------------------------------------------- moving

    def _start(self) -> Move:
        kind, detail, named = self._plan["kind"], self._plan["detail"], self._plan["named"]
        if kind == "holder":
            title = lists.DIRECTORIES[detail]
            yield from self._open(title, f"I look up {named} in a list.")
            return (yield from self._find_row(named))
        if kind == "rank":
            yield from self._open(lists.region_ranking_title(detail), f"I look for number {named} in {detail}.")
            return (yield from self._find(rf"^{named} \| (.+?) \| ", f"number {named}"))
        return str(named)

    def _place(self) -> Move:
        """The place at the end of the plan's chain."""
        title = yield from self._start()
        for move in self._plan["moves"]:
            borders = yield from self._borders(title)
            title = (min if move == "shortest" else max)(borders, key=lambda name: borders[name])
        return title

    # ---------------------------------------------------------------------------------------- solving

    def _chain(self) -> Move:
        title = yield from self._place()
        return (yield from self._answer(title, self._plan["ask"]))

    def _winner(self) -> Move:
        title = yield from self._start()
        titles = list((yield from self._borders(title))) if self._form == "neighbours" else [title, self._plan["other"]]
        figures = {}
        for each in titles:
            figures[each] = yield from self._number(each, self._plan["by"])
        best = (max if self._plan["most"] else min)(figures, key=lambda name: figures[name])
        return (yield from self._answer(best, self._plan["ask"]))

    def _count_borders(self) -> Move:
        title = yield from self._start()
        return str(len((yield from self._borders(title))))

    def _count_neighbours(self) -> Move:
        title = yield from self._start()
        around = yield from self._borders(title)
        own = yield from self._number(title, self._plan["by"])
        count = 0
        for each in around:
            figure = yield from self._number(each, self._plan["by"])
            count += figure > own if self._plan["most"] else figure < own
        return str(count)

    def _count_currency(self) -> Move:
        title = yield from self._start()
        currency = yield from self._answer(title, "currency")
        yield from self._open(lists.currency_title(currency), f"I need all places that use {currency}.")
        return str(len((yield from self._rows(2, "all places"))))

    def _count_region(self) -> Move:
        title = yield from self._start()
        yield from self._open(title, f"I need the region of {title}.")
        region = yield from self._find(r"^Region: (.+)$", "the region")
        yield from self._open(lists.region_title(region), f"I need all places of {region}.")
        rows = yield from self._rows(4, "all places")
        figures = {row[0]: fact.number for row in rows if (fact := read_number(row[2])) and fact.number is not None}
        if title not in figures:
            raise NotFound(f"{title} in its region")
        code = f"figures = {list(figures.values())}\nprint(sum(figure > {figures[title]} for figure in figures))"
        return (yield from self._run(code))

    def _calculate(self) -> Move:
        title = yield from self._start()
        by = self._plan["by"]
        if self._form == "border_share":
            lengths = list((yield from self._borders(title)).values())
            return (yield from self._run(f"lengths = {lengths}\nprint(round(100 * max(lengths) / sum(lengths), 1))"))
        if self._form == "sum_neighbours":
            figures = []
            for each in (yield from self._borders(title)):
                figures.append((yield from self._number(each, by)))
            return (yield from self._run(f"print(round(sum({figures}), 2))"))
        other = self._plan["other"] or (yield from self._place())
        first = yield from self._number(title, by)
        if self._form == "density_difference":
            areas = [(yield from self._number(title, "area"))]
        second = yield from self._number(other, by)
        if self._form == "difference":
            return (yield from self._run(f"print(round(abs({first} - {second}), 1))"))
        if self._form == "ratio":
            code = f"print(round(max({first}, {second}) / min({first}, {second}), 2))"
            return (yield from self._run(code))
        areas.append((yield from self._number(other, "area")))
        return (yield from self._run(f"print(round(abs({first} / {areas[0]} - {second} / {areas[1]}), 2))"))

    def _run(self, code: str) -> Move:
        """Runs a calculation and reads the figure it printed."""
        printed = yield python(code, "I let Python calculate.")
        match = re.search(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", printed)
        if not match:
            raise NotFound("the result of the calculation")
        return _without_zero(match.group())


def _figure(text: str) -> str:
    """The figure at the start of "643,801 sq km"; "" where there is none."""
    match = re.match(r"(-?[\d,]+(?:\.\d+)?(?: million| billion)?)(?= |$)", text)
    return match.group(1) if match else ""


def _without_zero(figure: str) -> str:
    return re.sub(r"\.0$", "", figure)
