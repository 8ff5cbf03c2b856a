"""The Factbook as a web site: pages of places, of their sections, of regions, currencies, organisations, and ranks.

    for page in site_pages(): ...                    # some 3,400 pages, in a fixed order
    place_address("fr"), place_address("fr", "Geography")

A place's own page has a table of its main facts, its land borders as links, and its background; each section of the
Factbook ("Geography of France") is a page of its own with every field, word for word. Aliases are redirects.
The address is on a reserved domain (RFC 2606): nothing here can be mistaken for the CIA's own site.
Left out: pictures, maps, and the Factbook's layout.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from aepo_env.corpus import Page
from aepo_env.worlds.factbook import lists
from aepo_env.worlds.factbook.facts import REGIONS, RELATIONS, Place, load_facts, name_codes, region_of
from aepo_env.worlds.factbook.naming import MAIN, section_title, slug
from aepo_env.worlds.factbook.source import ALIASES, Profile, clean, load_profiles

SITE = "https://factbook.example/"
RENDERING = 2  # raise it when pages change, so that cached indexes are rebuilt
BORDERS_LABEL = "Land borders"
_LONG = 240  # characters: longer texts are paragraphs under a heading, shorter ones are rows of a table


def shown(label: str, text: str) -> str:
    """How the reader prints a table row with one head."""
    return f"{label}: {text}"


def row(*cells: str) -> str:
    """How the reader prints a table row of several cells."""
    return " | ".join(cells)


def place_address(code: str, section: str = MAIN) -> str:
    """The address of a place's page, or of one of its section pages."""
    name = slug(load_profiles()[code].title)
    return f"{SITE}places/{name}.html" if section == MAIN else f"{SITE}sections/{name}--{slug(section)}.html"


def place_title(code: str, section: str = MAIN) -> str:
    """The title of the page at `place_address`."""
    return section_title(load_profiles()[code].title, section)


def list_address(title: str) -> str:
    """The address of a list page ("Countries of Africa")."""
    return f"{SITE}lists/{slug(title)}.html"


def site_pages() -> Iterator[Page]:
    """All pages and redirects. Raises FactbookMissing, naming the extra."""
    profiles, facts = load_profiles(), load_facts()
    for code, profile in profiles.items():
        sections = [name for name in profile.sections if name != "Introduction"]
        yield _place_page(profile, facts.get(code), sections)
        for section in sections:
            yield _section_page(profile, section, sections)
    yield from _redirects(profiles)
    for title, head, rows in _lists(facts):
        yield _page(list_address(title), title, _table(head, rows))
    titles = sorted(title for title, _, _ in _lists(facts))
    index = "".join(f"<li>{_link(list_address(title), title)}</li>" for title in titles)
    yield _page(list_address("Index of lists"), "Index of lists", f"<ul>{index}</ul>")


# ------------------------------------------------------------------------------------------------- pages


def _page(address: str, title: str, body: str) -> Page:
    heading = escape(title, quote=False)
    source = (
        f"<!doctype html><html><head><title>{heading}</title></head><body>\n"
        '<nav><a href="../lists/index-of-lists.html">Lists</a></nav>\n'
        f"<main><h1>{heading}</h1>\n{body}\n</main>\n"
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
    return _link(list_address(lists.region_title(region)), region) if region else ""


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
    # What is asked most stands first, as in an infobox; below it the whole section, word for word and in its order.
    asked = {known.label: profile.text(*known.path) for known in RELATIONS.values() if known.section == section}
    figures = "".join(_row(label, text) for label, text in asked.items() if 0 < len(text) <= _LONG and "\n" not in text)
    parts = [f'<table class="infobox">\n{figures}</table>'] if figures else []
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
            rows.append(_row(label, text))
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


def _lists(facts: Mapping[str, Place]) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    """(title, heads, rows) of every list page."""
    for region in REGIONS:
        yield lists.region_title(region), ("Place", "Capital", "Population", "Currency"), _region_rows(facts, region)
        ranked = lists.region_ranking(region)
        yield lists.region_ranking_title(region), ("Rank", "Place", "Total area"), _ranked_rows(ranked, facts, "area")
    for relation, title in lists.RANKINGS.items():
        ranked = lists.ranking(relation)
        yield title, ("Rank", "Place", RELATIONS[relation].label), _ranked_rows(ranked, facts, relation)
    for relation, title in lists.DIRECTORIES.items():
        known = ((code, place.values.get(relation)) for code, place in facts.items())
        holders = sorted((fact.answers[0], code) for code, fact in known if fact)
        rows: Rows = [(escape(value, quote=False), _place_link(code)) for value, code in holders]
        yield title, (RELATIONS[relation].label, "Place"), rows
    for code, members in lists.currencies().items():
        cells = ((member, escape(lists.currency_row(facts[member])[1], quote=False)) for member in members)
        yield (
            lists.currency_title(code),
            ("Place", "Capital"),
            [(_place_link(member), capital) for member, capital in cells],
        )
    for name, members in lists.organisations().items():
        yield f"Participants in {name}", ("Place",), [(_place_link(member),) for member in members]


def _region_rows(facts: Mapping[str, Place], region: str) -> Rows:
    codes = lists.region_places(region)
    return [(_place_link(code), *(escape(c, quote=False) for c in lists.region_row(facts[code])[1:])) for code in codes]


def _ranked_rows(codes: Iterable[str], facts: Mapping[str, Place], relation: str) -> Rows:
    cells = ((code, escape(facts[code].values[relation].text, quote=False)) for code in codes)
    return [(str(rank), _place_link(code), text) for rank, (code, text) in enumerate(cells, 1)]


# ------------------------------------------------------------------------------------------------- HTML


def _link(address: str, text: str) -> str:
    """A relative link: every page lies one folder below the site's root."""
    return f'<a href="../{escape(address.removeprefix(SITE))}">{escape(text, quote=False)}</a>'


def _place_link(code: str) -> str:
    return _link(place_address(code), load_profiles()[code].title)


def _row(label: str, text: str) -> str:
    return f"<tr><th>{escape(label, quote=False)}</th><td>{escape(text, quote=False)}</td></tr>\n"


def _table(head: Iterable[str], rows: Rows) -> str:
    top = "".join(f"<th>{escape(cell, quote=False)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n" for cells in rows)
    return f"<table>\n<tr>{top}</tr>\n{body}</table>"


def _paragraphs(text: str) -> str:
    return "\n".join(f"<p>{escape(line, quote=False)}</p>" for line in text.split("\n") if line)
