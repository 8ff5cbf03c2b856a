"""Every question that can be asked about the Factbook, as a plan: which place to start from, where to go, what to ask.

    plans = all_plans("train")                      # {"factbook/1-hop": [Plan, ...], ...}, in a fixed order

A plan is only made when each of its steps has exactly one outcome: the capital names one place, the longest border is
longer than every other, the winner of a comparison is ahead. Plans are split by the place they start from, so that no
question of the test split is built on a place that training questions start from.
Left out: wording and proofs (`questions`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from aepo_env.worlds.factbook.facts import REGIONS, RELATIONS, Fact, Place, load_facts
from aepo_env.worlds.factbook.lists import DIRECTORIES, currency_users, region_places, region_ranking
from aepo_env.worlds.factbook.source import load_profiles
from aepo_env.worlds.world import SPLITS

FAMILIES = tuple(f"factbook/{name}" for name in ("1-hop", "2-hop", "3-hop", "comparison", "counting", "arithmetic"))
_SPLIT_BOUNDS = (60, 80, 100)  # hundredths of the places: enough of each for 500 questions of each family
_MOST_NEIGHBOURS = 6  # each is a page to open
_PARTNERS = 8  # other places that each place is paired with
_DEEPEST_RANK = 12
_ASKS_OF_A_HOLDER = 4

# What can be compared, and by the words of `questions` also summed or counted.
NEIGHBOUR_CRITERIA = ("area", "population", "median_age", "life_expectancy", "airports")
PAIR_CRITERIA = (*NEIGHBOUR_CRITERIA, "height", "coastline")


class Step(NamedTuple):
    """One step of a chain, and where it leads.

    kind: "name" (the question names the place), "holder" (by a fact only it has; detail is the relation), "rank" (by
    its rank in its region; detail is the region); or, over a land border of the place before: "longest", "shortest",
    "only".
    """

    kind: str
    code: str
    detail: str = ""


class Plan(NamedTuple):
    """What to do. form: "chain", or a name of `questions`; by, most, other: what is compared, which end, with whom."""

    family: str
    form: str
    chain: tuple[Step, ...]
    ask: str = ""
    by: str = ""
    most: bool = True
    other: str = ""

    @property
    def departure(self) -> str:
        return self.chain[0].code


@cache
def split_of_place(code: str) -> str:
    """train, dev or test: by a hash of the code, the same everywhere and for every version of the data."""
    hundredth = int.from_bytes(hashlib.sha256(f"factbook {code}".encode()).digest()[:4], "big") % 100
    return next(split for split, bound in zip(SPLITS, _SPLIT_BOUNDS, strict=True) if hundredth < bound)


def _drawn(plan: Plan) -> bytes:
    """A fixed order that has nothing to do with what the plan asks."""
    return hashlib.sha256(repr(tuple(plan)).encode()).digest()


@cache
def all_plans(split: str) -> dict[str, tuple[Plan, ...]]:
    """The plans of one split by family, each plan once."""
    plans: dict[str, dict[Plan, None]] = {family: {} for family in FAMILIES}
    for code in sorted(load_facts()):
        if split_of_place(code) == split:
            for plan in (*_chains(code), *_comparisons(code), *_counts(code), *_sums(code)):
                plans[plan.family][plan] = None
    return {family: tuple(found) for family, found in plans.items()}


# --------------------------------------------------------------------------------------------- chains


def _chains(code: str) -> Iterator[Plan]:
    name = Step("name", code)
    starts = [*_holders(code), *_ranks(code)]
    yield from _asks("1-hop", (name,))
    for start in starts:
        # A fixed draw: else questions of this form, the easiest of two hops, would crowd out those over borders.
        asks = sorted(_asks("2-hop", (start,)), key=_drawn)
        yield from asks[:_ASKS_OF_A_HOLDER]
    for start in (name, *starts):
        for second in _moves(code):
            chain = (start, second)
            yield from _asks("2-hop" if start is name else "3-hop", chain)
            if start is name:
                for third in _moves(second.code):
                    yield from _asks("3-hop", (*chain, third))


def _asks(family: str, chain: tuple[Step, ...]) -> Iterator[Plan]:
    """The chain with everything that can be asked at its end; chains that come back to a place are dropped."""
    if len({step.code for step in chain}) < len(chain):
        return
    told = {step.detail for step in chain if step.kind == "holder"}
    for ask in load_facts()[chain[-1].code].values:
        # The peak and its height stand in one row: the one told, the other is no further hop.
        same_row = len(chain) == 1 and {ask, *told} == {"peak", "height"}
        if ask not in told and not same_row and not _given_away(chain, "", ask, chain[-1].code):
            yield Plan(f"factbook/{family}", "chain", chain, ask)


def _given_away(chain: tuple[Step, ...], other: str, ask: str, code: str) -> bool:
    """Whether the answer stands in what the question must name: "the capital of San Marino"."""
    facts = load_facts()
    start = chain[0]
    named = facts[start.code].title if start.kind == "name" else start.detail
    if start.kind == "holder":
        named = facts[start.code].values[start.detail].answers[0]
    told = f" {named} {facts[other].title if other else ''} ".casefold()
    return f" {facts[code].values[ask].answers[0].casefold()} " in told


def _holders(code: str) -> Iterator[Step]:
    place = load_facts()[code]
    for relation in DIRECTORIES:
        fact = place.values.get(relation)
        if fact and _owners(relation)[fact.answers[0].casefold()] == 1 and not _named_alike(place, fact):
            yield Step("holder", code, relation)


@cache
def _owners(relation: str) -> Counter[str]:
    """How many places claim each value, told by all texts and not only by those that became facts."""
    values = [
        place.values[relation].answers[0].casefold() for place in load_facts().values() if relation in place.values
    ]
    claims = Counter(values)
    for code, profile in load_profiles().items():
        fact = load_facts()[code].values.get(relation) if code in load_facts() else None
        text = profile.text(*RELATIONS[relation].path).casefold()
        if text and not fact:  # "La Paz (administrative capital); Sucre": nobody else may call La Paz its capital
            claims.update({value for value in set(values) if len(value) > 2 and value in text})
    return claims


def _named_alike(place: Place, fact: Fact) -> bool:
    """ "The country whose capital is Kuwait City" gives itself away."""
    names = {word for word in place.title.casefold().replace("-", " ").split() if len(word) > 3}
    return bool(names & set(fact.answers[0].casefold().replace("-", " ").split()))


def _ranks(code: str) -> Iterator[Step]:
    facts = load_facts()
    for region in REGIONS:
        ranked = region_ranking(region)
        if code in ranked[:_DEEPEST_RANK] and len(ranked) > 4:
            areas = Counter(facts[other].values["area"].number for other in ranked)
            if areas[facts[code].values["area"].number] == 1:
                yield Step("rank", code, region)


def _moves(code: str) -> Iterator[Step]:
    borders = load_facts()[code].borders or ()
    if len(borders) == 1:
        yield Step("only", borders[0].code)
    if len(borders) < 2:
        return
    by_length = sorted(borders, key=lambda border: border.kilometres)
    if by_length[-1].kilometres > by_length[-2].kilometres:
        yield Step("longest", by_length[-1].code)
    if by_length[0].kilometres < by_length[1].kilometres:
        yield Step("shortest", by_length[0].code)


# ---------------------------------------------------------------------------- comparisons, counts, sums


def neighbours(code: str) -> list[str]:
    """Codes of the places that border `code`, in the order of its page."""
    return [border.code for border in load_facts()[code].borders or ()]


def number(code: str, relation: str) -> float | None:
    """The relation's figure at `code`; None where it is no fact."""
    fact = load_facts()[code].values.get(relation)
    return fact.number if fact else None


def winner(codes: list[str], by: str, most: bool) -> str:
    """The place that is strictly ahead; "" where a figure is missing or two places are level."""
    figures = {code: number(code, by) for code in codes}
    known = {code: figure for code, figure in figures.items() if figure is not None}
    if len(known) < len(codes):
        return ""
    best = (max if most else min)(known.values())
    ahead = [code for code, figure in known.items() if figure == best]
    return ahead[0] if len(ahead) == 1 else ""


@cache
def partners(code: str) -> tuple[str, ...]:
    """Other places of the same split to pair `code` with: a fixed draw, each pair once."""
    split = split_of_place(code)
    others = [other for other in load_facts() if other != code and split_of_place(other) == split]
    drawn = sorted(others, key=lambda other: hashlib.sha256("-".join(sorted((code, other))).encode()).digest())
    return tuple([other for other in drawn[: 2 * _PARTNERS] if code < other][:_PARTNERS])


def _comparisons(code: str) -> Iterator[Plan]:
    around = neighbours(code)
    chain = (Step("name", code),)
    if 2 <= len(around) <= _MOST_NEIGHBOURS:
        for by in NEIGHBOUR_CRITERIA:
            for most in (True, False):
                yield from _asked_of_winner("neighbours", chain, around, by, most)
    for other in partners(code):
        for by in PAIR_CRITERIA:
            most = hashlib.sha256(f"{code}{other}{by}".encode()).digest()[0] % 2 == 0
            yield from _asked_of_winner("pair", chain, [code, other], by, most)


def _asked_of_winner(form: str, chain: tuple[Step, ...], codes: list[str], by: str, most: bool) -> Iterator[Plan]:
    """Asks for further facts of the winner, and only for such as no other candidate shares."""
    facts = load_facts()
    best = winner(codes, by, most)
    if not best:
        return
    told = {by, "peak"} if by == "height" else {by}
    other = codes[1] if form == "pair" else ""
    asks = list(facts[best].values)
    # There are far more pairs than neighbourhoods: a fixed draw of two asks each keeps the two forms in balance.
    left = len(asks) if form == "neighbours" else 2
    first = hashlib.sha256(f"{codes} {by}".encode()).digest()[0] % len(asks)
    for ask in (*asks[first:], *asks[:first]):
        answer = facts[best].values[ask].answers[0]
        rivals = [facts[code].values[ask].answers[0] for code in codes if code != best and ask in facts[code].values]
        if left and ask not in told and answer not in rivals and not _given_away(chain, other, ask, best):
            left -= 1
            yield Plan("factbook/comparison", form, chain, ask, by, most, other)


def _counts(code: str) -> Iterator[Plan]:
    place = load_facts()[code]
    around = neighbours(code)
    name = Step("name", code)
    for start in (name, *_holders(code)):
        if len(around) >= 2:
            yield Plan("factbook/counting", "count_borders", (start,))
        if place.region and "population" in place.values and len(region_places(place.region)) > 4:
            yield Plan("factbook/counting", "count_region", (start,), by="population")
        if "currency" in place.values and len(currency_users(place.values["currency"].answers[0])) > 1:
            yield Plan("factbook/counting", "count_currency", (start,), by="currency")
    if 3 <= len(around) <= _MOST_NEIGHBOURS:
        for by in NEIGHBOUR_CRITERIA:
            figures = [number(other, by) for other in (*around, code)]
            if None not in figures and len(set(figures)) == len(figures):
                for most in (True, False):
                    yield Plan("factbook/counting", "count_neighbours", (name,), by=by, most=most)


def _sums(code: str) -> Iterator[Plan]:
    name = (Step("name", code),)
    around = neighbours(code)
    drafts = []
    if 2 <= len(around) <= _MOST_NEIGHBOURS:
        drafts += [
            Plan("factbook/arithmetic", "sum_neighbours", name, by=by) for by in ("area", "population", "airports")
        ]
    longest = [step for step in _moves(code) if step.kind == "longest"]
    if longest:
        drafts.append(Plan("factbook/arithmetic", "border_share", name))
        for by in ("height", "life_expectancy", "median_age"):
            drafts.append(Plan("factbook/arithmetic", "difference", (*name, *longest), by=by))
    for other in partners(code):
        drafts.append(Plan("factbook/arithmetic", "density_difference", name, by="population", other=other))
        drafts += [Plan("factbook/arithmetic", "ratio", name, by=by, other=other) for by in ("area", "population")]
    yield from (plan for plan in drafts if computed(plan))


DIGITS = {"sum_neighbours": 2, "border_share": 1, "difference": 1, "density_difference": 2, "ratio": 2}


def computed(plan: Plan) -> str:
    """The result of an arithmetic plan, rounded as asked ("12.5"); "" where a figure is missing or rounding is unsafe.

    Exact: figures are read as written. A result so close to a tie that floating point could round it the other way,
    or too small to carry two figures, is no fair question.
    """
    value = _exact(plan)
    digits = DIGITS[plan.form]
    if value is None or value * 10**digits < 10:
        return ""
    scaled = value * 10**digits
    below = scaled.__floor__()
    if abs(scaled - below - Fraction(1, 2)) < Fraction(1, 10**6):
        return ""
    nearest = Fraction(below + (scaled - below > Fraction(1, 2)), 10**digits)
    text = f"{float(nearest):.{digits}f}"
    return text.rstrip("0").rstrip(".")


def _exact(plan: Plan) -> Fraction | None:
    code, by = plan.chain[0].code, plan.by
    if plan.form == "border_share":
        lengths = [Fraction(str(border.kilometres)) for border in load_facts()[code].borders or ()]
        return max(lengths) / sum(lengths) * 100
    if plan.form == "sum_neighbours":
        figures = [_figure(other, by) for other in neighbours(code)]
        return sum((figure for figure in figures if figure), Fraction(0)) if None not in figures else None
    other = plan.chain[1].code if plan.form == "difference" else plan.other
    first, second = _figure(code, by), _figure(other, by)
    if first is None or second is None:
        return None
    if plan.form == "difference":
        return abs(first - second)
    if plan.form == "ratio":
        return max(first, second) / min(first, second)
    areas = _figure(code, "area"), _figure(other, "area")
    return abs(first / areas[0] - second / areas[1]) if areas[0] and areas[1] else None


def _figure(code: str, relation: str) -> Fraction | None:
    figure = number(code, relation)
    return None if figure is None else Fraction(str(figure))
