"""Plans in words: question, accepted answers, and the proof: which page says what, hop by hop.

    task = make_task(plan, seed=0)
    task.metadata["path"]       # [{"page": address, "text": exact string of that page's readable text}, …]

Wording is drawn by seed and plan, so the same question reads the same in every process.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from aepo_env.tasks import Task
from aepo_env.worlds.factbook import site
from aepo_env.worlds.factbook.facts import MAIN, RELATIONS, load_facts, read_number
from aepo_env.worlds.factbook.plans import Plan, Step, computed, neighbours, number, winner

_HOLDER = {
    "capital": (
        "the country or territory whose capital is {v}",
        "the place that has {v} as its capital",
        "the place governed from its capital {v}",
    ),
    "domain": (
        "the country or territory with the internet country code {v}",
        "the place found under the internet country code {v}",
        "the place whose internet country code is {v}",
    ),
    "prefix": (
        "the country or territory whose civil aircraft bear the registration prefix {v}",
        "the place with the aircraft registration prefix {v}",
        "the place where civil aircraft are registered under the prefix {v}",
    ),
    "peak": (
        "the country or territory whose highest point is {v}",
        "the place whose highest elevation is called {v}",
        "the place that has {v} as its highest point",
    ),
}
_MOVE = {
    "longest": (
        "the neighbour with which {x} shares its longest land border",
        "the place on the other side of the longest land border of {x}",
        "whichever place has the longest common land border with {x}",
    ),
    "shortest": (
        "the neighbour with which {x} shares its shortest land border",
        "the place on the other side of the shortest land border of {x}",
        "whichever place has the shortest common land border with {x}",
    ),
    "only": (
        "the only place that borders {x} by land",
        "the single neighbour that {x} has by land",
        "the one place with which {x} shares a land border",
    ),
}
# relation: (superlatives, comparatives, "the ... of", unit in words); the first of each pair is for most=True
_COMPARED = {
    "area": (("the largest total area", "the smallest total area"), ("a larger total area", "a smaller total area"),
             "total area in square kilometres"),
    "population": (("the largest population", "the smallest population"), ("a larger population", "a smaller population"),
                   "population"),
    "median_age": (("the highest median age", "the lowest median age"), ("a higher median age", "a lower median age"),
                   "median age in years"),
    "life_expectancy": (("the highest life expectancy at birth", "the lowest life expectancy at birth"),
                        ("a higher life expectancy at birth", "a lower life expectancy at birth"),
                        "life expectancy at birth in years"),
    "airports": (("the most airports", "the fewest airports"), ("more airports", "fewer airports"), "number of airports"),
    "height": (("the more elevated highest point", "the less elevated highest point"),
               ("a more elevated highest point", "a less elevated highest point"), "elevation of the highest point in metres"),
    "coastline": (("the longest coastline", "the shortest coastline"), ("a longer coastline", "a shorter coastline"),
                  "coastline in kilometres"),
}  # fmt: skip
_WHOLE = {
    "count_borders": (
        "How many countries and territories does {x} border by land?",
        "With how many other places does {x} share a land border?",
        "What is the number of places that border {x} by land?",
    ),
    "count_region": (
        "How many places of the region to which {x} belongs have a larger population than it has?",
        "In the region of {x}, how many places have a larger population?",
        "By how many places of its own region is {x} exceeded in population?",
    ),
    "count_currency": (
        "How many places use the same currency as {x}, itself included?",
        "The currency of {x} is used by how many places in all, itself included?",
        "Counting itself, how many places share the currency of {x}?",
    ),
    "count_neighbours": (
        "How many of the places that border {x} by land have {than} than {x} itself?",
        "Among the land neighbours of {x}, how many have {than} than {x}?",
        "Of the places sharing a land border with {x}, how many have {than} than it?",
    ),
    "sum_neighbours": (
        "Added up over all places that border {x} by land, what is the {noun}?",
        "What does the {noun} come to for all land neighbours of {x} together?",
        "Taking all places with a land border to {x} together, what is the sum of the {noun}?",
    ),
    "border_share": (
        "Adding up the lengths of all land borders of {x}, what percentage of the sum is its longest one?{round}",
        "What percentage of the land borders of {x}, added up neighbour by neighbour, is the longest of them?{round}",
        "Of the summed length of the land borders of {x}, what per cent falls to the longest border?{round}",
    ),
    "difference": (
        "By how much do {x} and {y} differ in {noun}?{round}",
        "What is the difference in {noun} between {x} and {y}?{round}",
        "Between {x} and {y}, how large is the gap in {noun}?{round}",
    ),
    "density_difference": (
        "By how much do {x} and {y} differ in people per square kilometre of total area?{round}",
        "What is the difference in population per square kilometre of total area between {x} and {y}?{round}",
        "Between {x} and {y}, how large is the gap in inhabitants per square kilometre of total area?{round}",
    ),
    "ratio": (
        "Of {x} and {y}, take the {noun}: how many times the smaller figure is the larger one?{round}",
        "How many times as large is the larger {noun} of {x} and {y} as the smaller one?{round}",
        "Divide the larger {noun} of {x} and {y} by the smaller: what is the ratio?{round}",
    ),
}
_ROUND = {
    "border_share": " Round to one decimal.",
    "difference": " Round to one decimal.",
    "density_difference": " Round to two decimals.",
    "ratio": " Round to two decimals.",
}


def plan_id(plan: Plan) -> str:
    """Unique, and the same in every process."""
    return f"{plan.family}:{hashlib.sha256(repr(tuple(plan)).encode()).hexdigest()[:16]}"


def make_task(plan: Plan, seed: int) -> Task:
    """The plan as a task; `seed` draws the wording. metadata: departure, form, plan (for the oracle) and path."""
    proof = _Proof()
    question, answers = _Words(plan, seed).question(), _answers(plan, proof)
    metadata: dict[str, Any] = {
        "departure": plan.departure,
        "form": plan.form,
        "plan": _open_plan(plan),
        "path": [{"page": page, "text": text} for page, text in dict.fromkeys(proof.steps)],
    }
    return Task(plan_id(plan), question, answers, plan.family, metadata)


def _open_plan(plan: Plan) -> dict[str, Any]:
    """What the oracle may know: what the question names, and in which order to ask for what. No value it must find."""
    facts, start = load_facts(), plan.chain[0]
    named = facts[start.code].title
    if start.kind == "holder":
        named = facts[start.code].values[start.detail].answers[0]
    elif start.kind == "rank":
        named = str(site.region_ranking(start.detail).index(start.code) + 1)
    other = facts[plan.other].title if plan.other else ""
    moves = [step.kind for step in plan.chain[1:]]
    known = {"kind": start.kind, "detail": start.detail, "named": named, "moves": moves, "other": other}
    return known | {"ask": plan.ask, "by": plan.by, "most": plan.most}


# --------------------------------------------------------------------------------------------- words


class _Words:
    """Draws one wording after the other for one plan."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._stream = hashlib.sha256(f"{seed} {plan_id(plan)}".encode()).digest()
        self._drawn = 0

    def _one(self, wordings: Sequence[str]) -> str:
        byte = self._stream[self._drawn % len(self._stream)]
        self._drawn += 1
        return wordings[byte % len(wordings)]

    def question(self) -> str:
        plan = self._plan
        text = (
            self._whole() if plan.form in _WHOLE else self._one(RELATIONS[plan.ask].asks).format(x=self._asked_place())
        )
        return text[0].upper() + text[1:]

    def _whole(self) -> str:
        plan, facts = self._plan, load_facts()
        x = self._place(plan.chain[:1])
        y = self._place(plan.chain) if len(plan.chain) > 1 else ""
        if plan.other:
            y = site.in_sentence(facts[plan.other].title)
        words = _COMPARED.get(plan.by)
        than, noun = (words[1][0 if plan.most else 1], words[2]) if words else ("", "")
        return self._one(_WHOLE[plan.form]).format(x=x, y=y, than=than, noun=noun, round=_ROUND.get(plan.form, ""))

    def _asked_place(self) -> str:
        plan = self._plan
        if plan.form == "chain":
            return self._place(plan.chain)
        x, best = self._place(plan.chain), _COMPARED[plan.by][0][0 if plan.most else 1]
        if plan.form == "neighbours":
            return self._one(
                ("the place with {b} among those that border {x} by land", "whichever land neighbour of {x} has {b}")
            ).format(x=x, b=best)
        y, more = site.in_sentence(load_facts()[plan.other].title), _COMPARED[plan.by][1][0 if plan.most else 1]
        return self._one(("whichever of {x} and {y} has {m}", "the one of {x} and {y} that has {m}")).format(
            x=x, y=y, m=more
        )

    def _place(self, chain: Sequence[Step]) -> str:
        """A chain in words: "the only place that borders the country or territory whose capital is Paris by land"."""
        *before, last = chain
        if last.kind in _MOVE:
            return self._one(_MOVE[last.kind]).format(x=self._place(before))
        place = load_facts()[last.code]
        if last.kind == "holder":
            return self._one(_HOLDER[last.detail]).format(v=place.values[last.detail].answers[0])
        if last.kind == "rank":
            rank, region = site.region_ranking(last.detail).index(last.code) + 1, last.detail
            nth = "" if rank == 1 else f"{_ordinal(rank)} "
            return self._one(
                (
                    "the {n}largest place by total area that the Factbook lists under {r}",
                    "the place with the {n}largest total area among those that the Factbook lists under {r}",
                )
            ).format(n=nth, r=region)
        return site.in_sentence(place.title)


def _ordinal(number: int) -> str:
    words = "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
    return words.split()[number - 2]


# --------------------------------------------------------------------------------------- answers, proof


class _Proof:
    """Collects (page, text) in the order in which a reader would meet them."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def fact(self, code: str, relation: str) -> None:
        known, fact = RELATIONS[relation], load_facts()[code].values[relation]
        self.steps.append((site.place_address(code, known.section), site.shown(known.label, fact.text)))

    def borders(self, code: str) -> None:
        text = site.borders_text(load_facts()[code])
        self.steps.append((site.place_address(code), site.shown(site.BORDERS_LABEL, text)))

    def chain(self, chain: Sequence[Step]) -> None:
        before = ""
        for step in chain:
            if step.kind == "holder":
                self.fact(step.code, step.detail)
            elif step.kind == "rank":
                rank, fact = site.region_ranking(step.detail).index(step.code) + 1, load_facts()[step.code]
                text = site.row(str(rank), fact.title, fact.values["area"].text)
                self.steps.append((site.list_address(site.region_ranking_title(step.detail)), text))
            elif step.kind != "name":
                self.borders(before)
            before = step.code


def _answers(plan: Plan, proof: _Proof) -> tuple[str, ...]:
    """The accepted answers, with their proof written into `proof`."""
    proof.chain(plan.chain)
    code = plan.chain[-1].code
    if plan.form == "chain":
        return _told(code, plan.ask, proof)
    if plan.form in ("neighbours", "pair"):
        if plan.form == "neighbours":
            proof.borders(code)
        codes = neighbours(code) if plan.form == "neighbours" else [code, plan.other]
        for each in codes:
            proof.fact(each, plan.by)
        return _told(winner(codes, plan.by, plan.most), plan.ask, proof)
    if plan.form.startswith("count_"):
        return (str(_counted(plan, code, proof)),)
    _prove_sum(plan, proof)
    figure = read_number(computed(plan))
    assert figure is not None, plan
    return figure.answers


def _told(code: str, ask: str, proof: _Proof) -> tuple[str, ...]:
    proof.fact(code, ask)
    return load_facts()[code].values[ask].answers


def _counted(plan: Plan, code: str, proof: _Proof) -> int:
    place = load_facts()[code]
    if plan.form == "count_borders":
        proof.borders(code)
        return len(neighbours(code))
    if plan.form == "count_neighbours":
        proof.borders(code)
        own = number(code, plan.by) or 0.0
        for each in (code, *neighbours(code)):
            proof.fact(each, plan.by)
        figures = [number(each, plan.by) or 0.0 for each in neighbours(code)]
        return sum(figure > own if plan.most else figure < own for figure in figures)
    if plan.form == "count_currency":
        proof.fact(code, "currency")
        users = site.currency_users(place.values["currency"].answers[0])
        page = site.list_address(site.currency_title(place.values["currency"].answers[0]))
        proof.steps += [(page, site.row(*site.currency_row(load_facts()[user]))) for user in users]
        return len(users)
    proof.steps.append((site.place_address(code, MAIN), site.shown("Region", place.region)))
    page, own = site.list_address(site.region_title(place.region)), number(code, "population") or 0.0
    ahead = [each for each in site.region_places(place.region) if (number(each, "population") or 0.0) > own]
    proof.steps += [(page, site.row(*site.region_row(load_facts()[each]))) for each in (code, *ahead)]
    return len(ahead)


def _prove_sum(plan: Plan, proof: _Proof) -> None:
    code = plan.chain[0].code
    if plan.form in ("border_share", "sum_neighbours"):
        proof.borders(code)
    if plan.form == "sum_neighbours":
        for each in neighbours(code):
            proof.fact(each, plan.by)
    elif plan.form != "border_share":
        for each in (code, plan.other or plan.chain[-1].code):
            for relation in ("area", "population") if plan.form == "density_difference" else (plan.by,):
                proof.fact(each, relation)
