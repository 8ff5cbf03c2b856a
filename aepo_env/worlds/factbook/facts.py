"""Which facts are asked about, where they stand, and the strict rules by which their texts are read.

    facts = load_facts()
    facts["fr"].values["area"]        # Fact(text="643,801 sq km ; …") is dropped: it has two figures
    facts["fr"].borders               # (Border(code="an", kilometres=55.0, text="55 km"), …)

A text that has notes, several figures or anything else unforeseen is not a fact: it stays on its page and is never
asked about. So every question has one right answer, at the price of a few per cent of the places.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from aepo_env.worlds.factbook.naming import MAIN
from aepo_env.worlds.factbook.source import ALIASES, UNIONS, Profile, load_profiles

REGIONS = (
    "Africa",
    "Antarctic Region",
    "Arctic Region",
    "Asia",
    "Central America and the Caribbean",
    "Europe",
    "Middle East",
    "North America",
    "Oceania",
    "South America",
    "Southeast Asia",
)


class Fact(NamedTuple):
    """text: as it stands on the page. answers: accepted forms, the usual one first. number: where it is a figure."""

    text: str
    answers: tuple[str, ...]
    number: float | None = None


class Border(NamedTuple):
    """A land border with the place `code`. text: its length as the page gives it."""

    code: str
    kilometres: float
    text: str


@dataclass(frozen=True)
class Relation:
    """One thing that can be asked.

    section: "" for the place's own page, else the Factbook's section. label: the head of its table row.
    path: where the Factbook keeps it. asks: how to ask, {x} standing for the place.
    """

    key: str
    section: str
    label: str
    path: tuple[str, ...]
    read: Callable[[str], Fact | None]
    asks: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """What is known of one place. borders is None when its border list could not be read whole."""

    code: str
    title: str
    region: str
    values: dict[str, Fact]
    borders: tuple[Border, ...] | None


_NUMBER = r"(-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)( million| billion)?"
_DATED = r"(?: \(\d{4}(?: est\.)?\))?"


def read_number(text: str, unit: str = "") -> Fact | None:
    """ "643,801 sq km", "68,512,806 (2025 est.)": one figure with its unit and at most a year. Else None."""
    tail = f" {re.escape(unit)}" if unit else ""
    match = re.fullmatch(f"{_NUMBER}{tail}{_DATED}", text)
    if not match:
        return None
    figure, scale = match.group(1), match.group(2) or ""
    number = round(float(figure.replace(",", "")) * {"": 1, " million": 1e6, " billion": 1e9}[scale], 6)
    plain = f"{number:.6f}".rstrip("0").rstrip(".")
    forms = [figure + scale, plain, f"{int(number):,}" if number.is_integer() else plain]
    if unit:
        forms.append(f"{figure}{scale} {unit}")
    return Fact(text, tuple(dict.fromkeys(forms)), number)


def _numbers(unit: str = "") -> Callable[[str], Fact | None]:
    return lambda text: read_number(text, unit)


def read_capital(text: str) -> Fact | None:
    """One city, at most with a remark of words in parentheses. "La Paz (…); Sucre (…)" is no fact."""
    match = re.fullmatch(r"([A-Z][\w'’. -]*?(?:, D\.C\.)?)(?: \([^()]*\))?", text)
    # A bracket may also say that there is another capital, or that this one is only its seat.
    if not match or re.search(r"capital|note| in |seat", text):
        return None
    name = match.group(1)
    return Fact(text, (name, "Washington") if name == "Washington, D.C." else (name,))


def read_currency(text: str) -> Fact | None:
    """ "euros (EUR) per US dollar -" as shown ("euros (EUR)") and asked (EUR)."""
    match = re.fullmatch(r"(.+?) \(([A-Z]{3})\) per US dollar(?: -)?", text)
    return Fact(f"{match.group(1)} ({match.group(2)})", (match.group(2),)) if match else None


def read_domain(text: str) -> Fact | None:
    """ ".fr"."""
    return Fact(text, (text, text[1:])) if re.fullmatch(r"\.[a-z]{2}", text) else None


def read_prefix(text: str) -> Fact | None:
    """ "9XR", one aircraft registration prefix."""
    return Fact(text, (text,)) if re.fullmatch(r"[0-9A-Z]{1,4}(?:-[A-Z]+)?", text) else None


def read_independence(text: str) -> Fact | None:
    """ "5 July 1962 (from France)": one full date, and no other year in the remark. Asked for its year."""
    match = re.fullmatch(r"\d{1,2} [A-Z][a-z]+ (\d{4})(?: \(from [^()\d]*\))?", text)
    return Fact(text, (match.group(1),), float(match.group(1))) if match else None


_PEAK = re.compile(r"([A-Z][^\d();,<>]*?) ([\d,]+) m")


def read_peak_name(text: str) -> Fact | None:
    """ "Kilimanjaro" of "Kilimanjaro 5,895 m"; unnamed and doubly placed points are no facts."""
    match = _PEAK.fullmatch(text)
    if not match or re.search(r"unnamed|location|\bon\b|\bof\b|/", text, re.IGNORECASE):
        return None
    return Fact(text, (match.group(1),))


def read_peak_height(text: str) -> Fact | None:
    """5895 of "Kilimanjaro 5,895 m"."""
    match = _PEAK.fullmatch(text)
    figure = read_number(match.group(2)) if match else None
    return Fact(text, (*figure.answers, f"{figure.answers[0]} m"), figure.number) if figure else None


_PEOPLE = "People and Society"
_TRANSPORT = "Transportation"
RELATIONS: dict[str, Relation] = {
    relation.key: relation
    for relation in (
        Relation("capital", MAIN, "Capital", ("Government", "Capital", "name"), read_capital,
                 ("What is the capital of {x}?", "Which city is the capital of {x}?", "Name the capital of {x}.")),
        Relation("area", MAIN, "Total area", ("Geography", "Area", "total"), _numbers("sq km"),
                 ("What is the total area of {x} in square kilometres?",
                  "How many square kilometres does {x} cover in total?",
                  "Give the total area of {x} in square kilometres.")),
        Relation("population", MAIN, "Population", ("People and Society", "Population", "total"), _numbers(),
                 ("What is the population of {x}?", "How many people live in {x}?",
                  "Give the population figure of {x}.")),
        Relation("currency", MAIN, "Currency", ("Economy", "Exchange rates", "Currency"), read_currency,
                 ("What is the three-letter code of the currency of {x}?",
                  "By which three-letter code is the currency of {x} known?",
                  "Give the currency code of {x}.")),
        Relation("domain", MAIN, "Internet country code", ("Communications", "Internet country code"), read_domain,
                 ("What is the internet country code of {x}?", "Which internet country code belongs to {x}?",
                  "Under which internet country code is {x} found?")),
        Relation("independence", MAIN, "Independence", ("Government", "Independence"), read_independence,
                 ("In which year did {x} become independent?", "What is the year of independence of {x}?",
                  "Since which year has {x} been independent?")),
        Relation("peak", "Geography", "Elevation, highest point", ("Geography", "Elevation", "highest point"),
                 read_peak_name,
                 ("What is the highest point of {x} called?", "What is the name of the highest point of {x}?",
                  "Name the highest point of {x}.")),
        Relation("height", "Geography", "Elevation, highest point", ("Geography", "Elevation", "highest point"),
                 read_peak_height,
                 ("How many metres high is the highest point of {x}?",
                  "At how many metres lies the highest point of {x}?",
                  "What is the elevation in metres of the highest point of {x}?")),
        Relation("coastline", "Geography", "Coastline", ("Geography", "Coastline"), _numbers("km"),
                 ("How long is the coastline of {x} in kilometres?",
                  "How many kilometres of coastline does {x} have?",
                  "What is the length of the coastline of {x} in kilometres?")),
        Relation("median_age", _PEOPLE, "Median age, total", (_PEOPLE, "Median age", "total"), _numbers("years"),
                 ("What is the median age in {x}, in years?", "How many years is the median age in {x}?",
                  "Give the total median age of {x} in years.")),
        Relation("life_expectancy", _PEOPLE, "Life expectancy at birth, total population",
                 (_PEOPLE, "Life expectancy at birth", "total population"), _numbers("years"),
                 ("What is the life expectancy at birth in {x}, in years?",
                  "How many years is life expectancy at birth in {x}?",
                  "Give the life expectancy at birth for the total population of {x}, in years.")),
        Relation("airports", _TRANSPORT, "Airports", (_TRANSPORT, "Airports"), _numbers(),
                 ("How many airports does {x} have?", "What is the number of airports in {x}?",
                  "Give the number of airports of {x}.")),
        Relation("prefix", _TRANSPORT, "Civil aircraft registration country code prefix",
                 (_TRANSPORT, "Civil aircraft registration country code prefix"), read_prefix,
                 ("What is the civil aircraft registration prefix of {x}?",
                  "With which prefix are civil aircraft of {x} registered?",
                  "Give the aircraft registration prefix of {x}.")),
    )
}  # fmt: skip


def read_borders(text: str, codes: dict[str, str]) -> tuple[Border, ...] | None:
    """The land borders in "Andorra 55 km; Belgium 556 km", longest list first come. `codes`: names to codes.

    None when an entry cannot be read or names no profile: half a list would make every count wrong.
    """
    text = re.sub(r" \([^()]*\d[^()]*\)", "", text)  # remarks with figures of their own
    lengths: dict[str, list[str]] = {}
    for entry in re.split(r";|(?<=km),|(?<=km) and ", text):
        match = re.fullmatch(rf"([A-Z].*?) {_NUMBER} km", entry.strip())
        if not match or match.group(3):
            return None
        name = match.group(1)
        code = codes.get(name.casefold()) or codes.get(re.sub(r" \([^()]*\)$", "", name).casefold())
        if code is None:
            return None
        lengths.setdefault(code, []).append(match.group(2))
    borders = []
    for code, figures in lengths.items():  # a border in two pieces ("Spain (Ceuta) … and Spain (Melilla) …") is one
        total = round(sum(float(figure.replace(",", "")) for figure in figures), 3)
        borders.append(Border(code, total, f"{figures[0] if len(figures) == 1 else f'{total:,g}'} km"))
    return tuple(borders)


@cache
def name_codes() -> dict[str, str]:
    """Every unambiguous name of a profile (title, long form, alias), folded, to its code."""
    profiles = load_profiles()
    codes = {profile.title.casefold(): code for code, profile in profiles.items()}
    for code, aliases in ALIASES.items():
        codes |= {alias.casefold(): code for alias in aliases}
    taken: dict[str, list[str]] = {}
    for code, profile in profiles.items():
        if profile.long_name:
            taken.setdefault(profile.long_name.casefold(), []).append(code)
    return codes | {name: owners[0] for name, owners in taken.items() if len(owners) == 1 and name not in codes}


@cache
def load_facts() -> dict[str, Place]:
    """All places but the unions, by code. Raises MissingExtra, naming the extra."""
    codes = name_codes()
    return {code: _place(profile, codes) for code, profile in load_profiles().items() if code not in UNIONS}


def _place(profile: Profile, codes: dict[str, str]) -> Place:
    values = {}
    for relation in RELATIONS.values():
        fact = relation.read(profile.text(*relation.path))
        # No coast and no airports are known facts, but as figures they stand for "none".
        if fact and fact.number != 0:
            values[relation.key] = fact
    borders = read_borders(profile.text("Geography", "Land boundaries", "border countries"), codes)
    return Place(profile.code, profile.title, region_of(profile), values, borders)


def region_of(profile: Profile) -> str:
    """The one part of the world on whose map the place is ("Africa"); "" where the Factbook names several or none."""
    region = profile.text("Geography", "Map references")
    return region if region in REGIONS else ""
