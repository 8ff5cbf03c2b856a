"""The Factbook as a web site: pages of places, of their sections, of regions, currencies, organisations, and ranks.

    for page in site_pages(): ...                    # some 3,300 pages and 200 redirects, in a fixed order
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
from aepo_env.worlds.factbook.markup import Body, Inline, joined, link, plain
from aepo_env.worlds.factbook.naming import MAIN, section_title, slug
from aepo_env.worlds.factbook.source import ALIASES, Profile, clean, load_profiles

SITE = "https://factbook.example/"
RENDERING = 3  # raise it when pages change, so that cached indexes are rebuilt
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
    """The address of a list page ("Places of Africa")."""
    return f"{SITE}lists/{slug(title)}.html"


def site_pages() -> Iterator[Page]:
    """All pages and redirects. Raises MissingExtra, naming the extra."""
    profiles, facts = load_profiles(), load_facts()
    for code, profile in profiles.items():
        sections = [name for name in profile.sections if name != "Introduction"]
        yield _place_page(profile, facts.get(code), sections)
        for section in sections:
            yield _section_page(profile, section, sections)
    yield from _redirects(profiles)
    for title, head, rows in _lists(facts):
        body = Body()
        body.table([tuple(map(plain, head)), *rows])
        yield _page(list_address(title), title, body)
    titles = sorted(title for title, _, _ in _lists(facts))
    index = Body()
    index.bullets(link(_relative(list_address(title)), title) for title in titles)
    yield _page(list_address("Index of lists"), "Index of lists", index)


# ------------------------------------------------------------------------------------------------- pages


def _page(address: str, title: str, body: Body) -> Page:
    heading = escape(title, quote=False)
    source = (
        f"<!doctype html><html><head><title>{heading}</title></head><body>\n"
        '<nav><a href="../lists/index-of-lists.html">Lists</a></nav>\n'
        f"<main><h1>{heading}</h1>\n{body.html}\n</main>\n"
        "<footer>From The World Factbook, a work of the US government in the public domain.</footer>\n</body></html>"
    )
    return Page(address, title, html=source, text=body.text)


def _place_page(profile: Profile, place: Place | None, sections: Iterable[str]) -> Page:
    rows: list[tuple[str, Inline]] = []
    for relation in RELATIONS.values():
        if relation.section == MAIN:
            fact = place.values.get(relation.key) if place else None
            rows.append((relation.label, plain(fact.text if fact else profile.text(*relation.path))))
    rows.append(("Region", _region_link(profile)))
    rows.append((BORDERS_LABEL, _borders(profile, place)))
    rows.append(("Government type", plain(profile.text("Government", "Government type"))))
    body = Body()
    body.table([(plain(label), text) for label, text in rows if text.text], headed=True)
    if background := profile.text("Introduction", "Background"):
        body.heading(2, "Background")
        body.paragraphs(background)
    body.heading(2, "More")
    code = profile.code
    body.bullets(link(_relative(place_address(code, name)), place_title(code, name)) for name in sections)
    return _page(place_address(code), profile.title, body)


def _region_link(profile: Profile) -> Inline:
    region = region_of(profile)
    return link(_relative(list_address(lists.region_title(region))), region) if region else plain("")


def borders_text(place: Place) -> str:
    """The land borders as the place's page shows them ("Andorra 55 km; Belgium 556 km"); "" where there are none."""
    profiles = load_profiles()
    return "; ".join(f"{profiles[border.code].title} {border.text}" for border in place.borders or ())


def _borders(profile: Profile, place: Place | None) -> Inline:
    if place is None or place.borders is None:
        return plain(profile.text("Geography", "Land boundaries", "border countries"))
    return joined("; ", (joined(" ", (_place_link(b.code), plain(b.text))) for b in place.borders))


def _section_page(profile: Profile, section: str, sections: Iterable[str]) -> Page:
    body = Body()
    # What is asked most stands first, as in an infobox; below it the rest, word for word and in the Factbook's order.
    asked = {known.label: profile.text(*known.path) for known in RELATIONS.values() if known.section == section}
    figures = {label: text for label, text in asked.items() if text and not _is_long(text)}
    rows = [(plain(label), plain(text)) for label, text in figures.items()]
    for label, text in _leaves(profile.sections[section]):
        if label in figures:
            continue
        if not _is_long(text):
            rows.append((plain(label), plain(text)))
            continue
        if rows:
            body.table(rows, headed=True)
            rows = []
        body.heading(3, label)
        body.paragraphs(text)
    if rows:
        body.table(rows, headed=True)
    place = _place_link(profile.code)
    others = (link(_relative(place_address(profile.code, name)), name) for name in sections if name != section)
    body.paragraph(joined("", (plain("See also "), place, plain(": "), joined(", ", others), plain("."))))
    return _page(place_address(profile.code, section), place_title(profile.code, section), body)


def _is_long(text: str) -> bool:
    return len(text) > _LONG or "\n" in text


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

Rows = list[tuple[Inline, ...]]


def _lists(facts: Mapping[str, Place]) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    """(title, heads, rows) of every list page."""
    for region in REGIONS:
        codes = lists.region_places(region)
        heads = ("Place", "Capital", "Population", "Currency")
        yield lists.region_title(region), heads, [_linked_row(code, lists.region_row(facts[code])) for code in codes]
        ranked = lists.region_ranking(region)
        yield lists.region_ranking_title(region), ("Rank", "Place", "Total area"), _ranked_rows(ranked, facts, "area")
    for relation, title in lists.RANKINGS.items():
        ranked = lists.ranking(relation)
        yield title, ("Rank", "Place", RELATIONS[relation].label), _ranked_rows(ranked, facts, relation)
    for relation, title in lists.DIRECTORIES.items():
        known = ((code, place.values.get(relation)) for code, place in facts.items())
        holders = sorted((fact.answers[0], code) for code, fact in known if fact)
        yield (
            title,
            (RELATIONS[relation].label, "Place"),
            [(plain(value), _place_link(code)) for value, code in holders],
        )
    for currency, members in lists.currencies().items():
        users = [_linked_row(code, lists.currency_row(facts[code])) for code in members]
        yield lists.currency_title(currency), ("Place", "Capital"), users
    for name, members in lists.organisations().items():
        yield f"Participants in {name}", ("Place",), [(_place_link(code),) for code in members]


def _linked_row(code: str, cells: Iterable[str]) -> tuple[Inline, ...]:
    """A row whose first cell is the place's link."""
    _, *others = cells
    return (_place_link(code), *map(plain, others))


def _ranked_rows(codes: Iterable[str], facts: Mapping[str, Place], relation: str) -> Rows:
    texts = ((code, facts[code].values[relation].text) for code in codes)
    return [(plain(str(rank)), _place_link(code), plain(text)) for rank, (code, text) in enumerate(texts, 1)]


def _relative(address: str) -> str:
    """A relative link: every page lies one folder below the site's root."""
    return "../" + address.removeprefix(SITE)


def _place_link(code: str) -> Inline:
    return link(_relative(place_address(code)), load_profiles()[code].title)
