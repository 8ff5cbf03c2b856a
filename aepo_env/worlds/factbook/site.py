"""The Factbook as a web site: pages of places, of their sections, of regions, currencies, organisations, and ranks.

    for page in site_pages(): ...                    # some 3,400 pages, in a fixed order
    place_address("fr"), place_address("fr", "Geography")

A place's own page has a table of its main facts, its land borders as links, and its background; each section of the
Factbook ("Geography of France") is a page of its own with every field, word for word. Aliases are redirects.
The address is on a reserved domain (RFC 2606): nothing here can be mistaken for the CIA's own site.
Left out: pictures, maps, and the Factbook's layout.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from aepo_env.corpus import Page
from aepo_env.worlds.factbook.facts import MAIN, REGIONS, RELATIONS, Place, load_facts, name_codes, region_of
from aepo_env.worlds.factbook.source import ALIASES, UNIONS, Profile, clean, load_profiles

SITE = "https://factbook.example/"
RENDERING = 1  # raise it when pages change, so that cached indexes are rebuilt
BORDERS_LABEL = "Land borders"
_LONG = 240  # characters: longer texts are paragraphs under a heading, shorter ones are rows of a table
_SMALLEST_LIST = 2
_WITH_ARTICLE = frozenset(
    (
        "Netherlands",
        "Philippines",
        "Maldives",
        "Comoros",
        "Holy See",
        "World",
        "West Bank",
        "Isle of Man",
        "Middle East",
    )
)

# Lists by one fact, largest first: relation and the list's title.
RANKINGS = {
    "area": "Places by total area",
    "population": "Places by population",
    "median_age": "Places by median age",
    "height": "Places by elevation of the highest point",
}
# Tables from a distinguishing fact back to its place: relation, the list's title, its heads.
DIRECTORIES = {
    "capital": "Capitals of the world",
    "domain": "Internet country codes",
    "prefix": "Aircraft registration prefixes",
    "peak": "Highest points",
}


def shown(label: str, text: str) -> str:
    """How the reader prints a table row with one head."""
    return f"{label}: {text}"


def row(*cells: str) -> str:
    """How the reader prints a table row of several cells."""
    return " | ".join(cells)


@cache
def slug(title: str) -> str:
    """ "Côte d'Ivoire" -> "cote-d-ivoire"."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def place_address(code: str, section: str = MAIN) -> str:
    """The address of a place's page, or of one of its section pages."""
    name = slug(load_profiles()[code].title)
    return f"{SITE}places/{name}.html" if section == MAIN else f"{SITE}sections/{name}--{slug(section)}.html"


def place_title(code: str, section: str = MAIN) -> str:
    """The title of the page at `place_address`."""
    return section_title(load_profiles()[code].title, section)


def section_title(title: str, section: str) -> str:
    """The title of a section page of the place `title` ("Geography of France"); the place's own for no section."""
    return title if section == MAIN else f"{section} of {in_sentence(title)}"


def in_sentence(title: str) -> str:
    """A title as a sentence names it: "the Netherlands", "the United States", "France"."""
    if title.startswith("The "):
        return "the " + title[4:]
    needs = (
        re.match(r"(United|Republic|Democratic Republic|Central African|Federated|British|French S|Dominican)", title)
        or re.search(r"(Islands|Territory|Lands|Strip|Refuges|Union|Republic|Region)$", title)
        or title in _WITH_ARTICLE
    )
    return f"the {title}" if needs else title


def list_address(title: str) -> str:
    """The address of a list page ("Countries of Africa")."""
    return f"{SITE}lists/{slug(title)}.html"


def region_title(region: str) -> str:
    """The title of a region's list."""
    return f"Places of {in_sentence(region)}"


def region_ranking_title(region: str) -> str:
    """The title of a region's list by area."""
    return f"{region}: places by total area"


def currency_title(code: str) -> str:
    """The title of the list of places with one currency."""
    return f"Places that use the currency {code}"


def site_pages() -> Iterator[Page]:
    """All pages and redirects. Raises FactbookMissing, naming the extra."""
    profiles, facts = load_profiles(), load_facts()
    for code, profile in profiles.items():
        sections = [name for name in profile.sections if name != "Introduction"]
        yield _place_page(profile, facts.get(code), sections)
        for section in sections:
            yield _section_page(profile, section, sections)
    yield from _redirects(profiles)
    for title, head, rows in _lists(profiles, facts):
        yield _page(list_address(title), title, _table(head, rows))
    titles = sorted(title for title, _, _ in _lists(profiles, facts))
    index = "".join(f"<li>{_link(list_address(title), title)}</li>" for title in titles)
    yield _page(list_address("Index of lists"), "Index of lists", f"<ul>{index}</ul>")


# ------------------------------------------------------------------------------------------------- pages


def _page(address: str, title: str, body: str) -> Page:
    heading = escape(title, quote=False)
    source = (
        f"<!doctype html><html><head><title>{heading}</title></head><body>\n"
        '<nav><a href="../lists/index-of-lists.html">Lists</a> <a href="../lists/capitals-of-the-world.html">Capitals</a>'
        f"</nav>\n<main><h1>{heading}</h1>\n{body}\n</main>\n"
        "<footer>From The World Factbook, a work of the US government in the public domain.</footer>\n</body></html>"
    )
    return Page(address, title, html=source)


def _place_page(profile: Profile, place: Place | None, sections: Iterable[str]) -> Page:
    rows = []
    for relation in RELATIONS.values():
        text = profile.text(*relation.path)
        if relation.section == MAIN and text:
            fact = place.values.get(relation.key) if place else None
            rows.append((relation.label, escape(fact.text if fact else text, quote=False)))
    rows.append(("Region", _region_link(profile)))
    rows.append((BORDERS_LABEL, _borders(profile, place)))
    rows.append(("Government type", escape(profile.text("Government", "Government type"), quote=False)))
    table = "".join(f"<tr><th>{label}</th><td>{text}</td></tr>\n" for label, text in rows if text)
    background = _paragraphs(profile.text("Introduction", "Background"))
    more = "".join(
        f"<li>{_link(place_address(profile.code, name), place_title(profile.code, name))}</li>" for name in sections
    )
    body = (
        f'<table class="infobox">\n{table}</table>\n<h2>Background</h2>\n{background}\n<h2>More</h2>\n<ul>{more}</ul>'
    )
    return _page(place_address(profile.code), profile.title, body)


def _region_link(profile: Profile) -> str:
    region = region_of(profile)
    return _link(list_address(region_title(region)), region) if region else ""


def borders_text(place: Place) -> str:
    """The land borders as the place's page shows them ("Andorra 55 km; Belgium 556 km"); "" where there are none."""
    profiles = load_profiles()
    return "; ".join(f"{profiles[border.code].title} {border.text}" for border in place.borders or ())


def _borders(profile: Profile, place: Place | None) -> str:
    if place is None or place.borders is None:
        return escape(profile.text("Geography", "Land boundaries", "border countries"), quote=False)
    profiles = load_profiles()
    links = (f"{_link(place_address(b.code), profiles[b.code].title)} {b.text}" for b in place.borders)
    return "; ".join(links)


def _section_page(profile: Profile, section: str, sections: Iterable[str]) -> Page:
    parts: list[str] = []
    rows: list[str] = []

    def finish_table() -> None:
        if rows:
            parts.append("<table>\n" + "".join(rows) + "</table>")
            rows.clear()

    for label, text in _leaves(profile.sections[section]):
        if len(text) > _LONG or "\n" in text:
            finish_table()
            parts.append(f"<h3>{escape(label, quote=False)}</h3>\n{_paragraphs(text)}")
        else:
            rows.append(f"<tr><th>{escape(label, quote=False)}</th><td>{escape(text, quote=False)}</td></tr>\n")
    finish_table()
    others = ", ".join(_link(place_address(profile.code, name), name) for name in sections if name != section)
    parts.append(f"<p>See also {_link(place_address(profile.code), profile.title)}: {others}.</p>")
    return _page(place_address(profile.code, section), place_title(profile.code, section), "\n".join(parts))


def _leaves(section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(label, text) of every field and subfield: "Coastline", "Median age, total"."""
    for field, entry in section.items():
        for name, value in entry.items():
            text = clean(value if isinstance(value, str) else value.get("text", ""))
            if text:
                yield (field if name in ("text", field) else f"{field}, {name}"), text


def _redirects(profiles: Mapping[str, Profile]) -> Iterator[Page]:
    """Long names and aliases, as far as they mean one place and are nobody's title."""
    codes, taken = name_codes(), {slug(profile.title) for profile in profiles.values()}
    for code, profile in profiles.items():
        names = (*ALIASES.get(code, ()), profile.long_name)
        for name in names:
            if name and codes.get(name.casefold()) == code and slug(name) not in taken:
                taken.add(slug(name))
                yield Page(f"{SITE}places/{slug(name)}.html", name, redirect=place_address(code))


# ------------------------------------------------------------------------------------------------- lists

Rows = list[tuple[str, ...]]  # cells as HTML


def _lists(profiles: Mapping[str, Profile], facts: Mapping[str, Place]) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    """(title, heads, rows) of every list page."""
    for region in REGIONS:
        yield region_title(region), ("Place", "Capital", "Population", "Currency"), _region_rows(facts, region)
        ranked = region_ranking(region)
        yield region_ranking_title(region), ("Rank", "Place", "Total area"), _ranked_rows(ranked, facts, "area")
    for relation, title in RANKINGS.items():
        ranked = ranking(relation)
        yield title, ("Rank", "Place", RELATIONS[relation].label), _ranked_rows(ranked, facts, relation)
    for relation, title in DIRECTORIES.items():
        known = ((code, place.values.get(relation)) for code, place in facts.items())
        holders = sorted((fact.answers[0], code) for code, fact in known if fact)
        rows: Rows = [(escape(value, quote=False), _place_link(code)) for value, code in holders]
        yield title, (RELATIONS[relation].label, "Place"), rows
    for code, members in _currencies(facts).items():
        cells = ((member, escape(currency_row(facts[member])[1], quote=False)) for member in members)
        yield currency_title(code), ("Place", "Capital"), [(_place_link(member), capital) for member, capital in cells]
    for name, members in _organisations(profiles).items():
        yield f"Participants in {name}", ("Place",), [(_place_link(member),) for member in members]


def region_places(region: str) -> list[str]:
    """Codes of the places of a region, by title."""
    facts = load_facts()
    return sorted((code for code, place in facts.items() if place.region == region), key=lambda code: facts[code].title)


def ranking(relation: str, codes: Iterable[str] | None = None) -> list[str]:
    """Codes by the relation's figure, largest first, equal ones by title."""
    facts = load_facts()
    known = [code for code in (facts if codes is None else codes) if relation in facts[code].values]
    return sorted(known, key=lambda code: (-(facts[code].values[relation].number or 0.0), facts[code].title))


def region_ranking(region: str) -> list[str]:
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


def _region_rows(facts: Mapping[str, Place], region: str) -> Rows:
    codes = region_places(region)
    return [(_place_link(code), *(escape(c, quote=False) for c in region_row(facts[code])[1:])) for code in codes]


def _ranked_rows(codes: Iterable[str], facts: Mapping[str, Place], relation: str) -> Rows:
    cells = ((code, escape(facts[code].values[relation].text, quote=False)) for code in codes)
    return [(str(rank), _place_link(code), text) for rank, (code, text) in enumerate(cells, 1)]


def _currencies(facts: Mapping[str, Place]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for code in sorted(facts, key=lambda code: facts[code].title):
        if currency := facts[code].values.get("currency"):
            users.setdefault(currency.answers[0], []).append(code)
    return {currency: users[currency] for currency in sorted(users)}


def currency_users(code: str) -> list[str]:
    """Codes of the places that use the currency `code`, by title."""
    return _currencies(load_facts())[code]


def _organisations(profiles: Mapping[str, Profile]) -> dict[str, list[str]]:
    """Organisations by their abbreviation, with the places that take part in full (no remark in brackets)."""
    members: dict[str, list[str]] = {}
    for code in sorted(profiles, key=lambda code: profiles[code].title):
        if code in UNIONS:
            continue
        for name in profiles[code].text("Government", "International organization participation").split(","):
            if re.fullmatch(r"[A-Z][A-Za-z0-9&-]{1,11}", name.strip()):
                members.setdefault(name.strip(), []).append(code)
    return {name: members[name] for name in sorted(members) if len(members[name]) >= _SMALLEST_LIST}


# ------------------------------------------------------------------------------------------------- HTML


def _link(address: str, text: str) -> str:
    """A relative link: every page lies one folder below the site's root."""
    return f'<a href="../{escape(address.removeprefix(SITE))}">{escape(text, quote=False)}</a>'


def _place_link(code: str) -> str:
    return _link(place_address(code), load_profiles()[code].title)


def _table(head: Iterable[str], rows: Rows) -> str:
    top = "".join(f"<th>{escape(cell, quote=False)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n" for cells in rows)
    return f"<table>\n<tr>{top}</tr>\n{body}</table>"


def _paragraphs(text: str) -> str:
    return "\n".join(f"<p>{escape(line, quote=False)}</p>" for line in text.split("\n") if line)
