"""What stands on the Factbook's list pages: regions, ranks, directories, currencies, organisations.

    region_places("Europe"), region_ranking("Europe"), currency_users("EUR")    # codes, in the lists' order

Left out: their HTML (`site`).
"""

import re
from collections.abc import Iterable
from functools import cache

from aepo_env.worlds.factbook.facts import Place, load_facts
from aepo_env.worlds.factbook.naming import in_sentence
from aepo_env.worlds.factbook.source import UNIONS, load_profiles

_SMALLEST_LIST = 2
# Lists by one fact, largest first: relation and the list's title.
RANKINGS = {
    "area": "Places by total area",
    "population": "Places by population",
    "median_age": "Places by median age",
    "height": "Places by elevation of the highest point",
}
# Tables from a distinguishing fact back to its place: relation and the list's title.
DIRECTORIES = {
    "capital": "Capitals of the world",
    "domain": "Internet country codes",
    "prefix": "Aircraft registration prefixes",
    "peak": "Highest points",
}


def region_title(region: str) -> str:
    """The title of a region's list."""
    return f"Places of {in_sentence(region)}"


def region_ranking_title(region: str) -> str:
    """The title of a region's list by area."""
    return f"{region}: places by total area"


def currency_title(code: str) -> str:
    """The title of the list of places with one currency."""
    return f"Places that use the currency {code}"


@cache
def region_places(region: str) -> tuple[str, ...]:
    """Codes of the places of a region, by title."""
    facts = load_facts()
    codes = (code for code, place in facts.items() if place.region == region)
    return tuple(sorted(codes, key=lambda code: facts[code].title))


def ranking(relation: str, codes: Iterable[str] | None = None) -> tuple[str, ...]:
    """Codes by the relation's figure, largest first, equal ones by title."""
    facts = load_facts()
    known = [code for code in (facts if codes is None else codes) if relation in facts[code].values]
    return tuple(sorted(known, key=lambda code: (-(facts[code].values[relation].number or 0.0), facts[code].title)))


@cache
def region_ranking(region: str) -> tuple[str, ...]:
    """Codes of a region's places by total area, largest first."""
    return ranking("area", region_places(region))


def region_row(place: Place) -> tuple[str, str, str, str]:
    """The cells of a place in its region's list."""
    known = (place.values.get(relation) for relation in ("capital", "population", "currency"))
    capital, population, currency = known
    return (
        place.title,
        capital.answers[0] if capital else "-",
        population.answers[0] if population else "-",
        currency.answers[0] if currency else "-",
    )


def currency_row(place: Place) -> tuple[str, str]:
    """The cells of a place in the list of its currency."""
    return region_row(place)[0], region_row(place)[1]


@cache
def currencies() -> dict[str, list[str]]:
    """Codes of the places with each currency, by title; currencies in order of code."""
    facts = load_facts()
    users: dict[str, list[str]] = {}
    for code in sorted(facts, key=lambda code: facts[code].title):
        if currency := facts[code].values.get("currency"):
            users.setdefault(currency.answers[0], []).append(code)
    return {currency: users[currency] for currency in sorted(users)}


def currency_users(code: str) -> list[str]:
    """Codes of the places that use the currency `code`, by title."""
    return currencies()[code]


def organisations() -> dict[str, list[str]]:
    """Organisations by their abbreviation, with the places that take part in full (no remark in brackets)."""
    profiles = load_profiles()
    members: dict[str, list[str]] = {}
    for code in sorted(profiles, key=lambda code: profiles[code].title):
        if code in UNIONS:
            continue
        for name in profiles[code].text("Government", "International organization participation").split(","):
            if re.fullmatch(r"[A-Z][A-Za-z0-9&-]{1,11}", name.strip()):
                members.setdefault(name.strip(), []).append(code)
    return {name: members[name] for name in sorted(members) if len(members[name]) >= _SMALLEST_LIST}
