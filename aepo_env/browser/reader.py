"""The reader: HTML in, readable text and numbered links out.

    reading = read(html, "https://example.org/wiki/Ada", mark_links=True)
    reading.text     # "Ada was born in London [1].\n- a list item\nBorn: 1815"
    reading.links    # (Link("London", "https://example.org/wiki/London"),)
    plain_text(html) # the text alone, for an index

One line per paragraph, list item or table row: headings as "## History", list items as "- item", rows as
"Header: value" or "a | b | c". A first heading that repeats the page's title is left out of the text. Scripts, styles,
forms, hidden elements and navigation are dropped. Any text is accepted, never an exception: what no parser takes is
stripped of its tags. Always Python's own html.parser under BeautifulSoup, so that the text does not depend on what is
installed. Left out: CSS files (only the `style` attribute can hide), indentation in <pre>, images, <base>, and whatever
stands beyond `LONGEST_PAGE` characters (the last line then says so).
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from aepo_env.browser.addresses import LONGEST_ADDRESS, address_key
from aepo_env.browser.page_writer import PageWriter
from aepo_env.text import clean

if TYPE_CHECKING:
    from bs4 import Tag

LONGEST_PAGE = 500_000  # characters of HTML: one second of parsing, a few for the most hostile
MOST_LINKS = 1_000

_DROPPED_NAMES = """
applet area audio base button canvas command datalist dialog embed footer form frame iframe input link map
menu meta nav noframes noscript object option param script select source style svg template textarea track
video
"""
_DROPPED = frozenset(_DROPPED_NAMES.split())
_BLOCKS_NAMES = """
address article aside blockquote body caption center details div dl fieldset figcaption figure head header
hgroup hr html legend main ol p pre section summary tbody tfoot thead title ul br
"""
_BLOCKS = frozenset(_BLOCKS_NAMES.split())
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_CLUTTER_NAMES = """
navbox noprint mw-editsection reference toc breadcrumb breadcrumbs navigation nav
"""
_CLUTTER = frozenset(_CLUTTER_NAMES.split())
_NEVER_CLUTTER = frozenset({"html", "body", "main", "article"})
_INVISIBLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))", re.IGNORECASE)
_SKIPPED = re.compile(r"<(?:script\b|style\b|!--|!|\?)", re.IGNORECASE)
# A "<" that begins no tag. Possessive, and no tag reaches over a "<" outside quotes, so that no page makes it slow.
_NO_TAG = re.compile(r"""<(?!/?[a-zA-Z](?:(?:[^"'<>]++|"[^"]*+"|'[^']*+'){0,400}+|[^<>]*+)>)""")
_TAG_END = re.compile(">")
_CLOSINGS = {
    "<script": re.compile(r"</script[^<>]*>", re.IGNORECASE),
    "<style": re.compile(r"</style[^<>]*>", re.IGNORECASE),
    "<!--": re.compile(r"--!?>"),
}
_CUT_OFF = "(The page goes on, but only this much of it can be read.)"


class Link(NamedTuple):
    """A link of a page: the words it stands on and its absolute address."""

    text: str
    address: str


class Reading(NamedTuple):
    """What a page says. title: of the document (else its first heading). links: each address once, in order."""

    title: str
    text: str
    links: tuple[Link, ...]


def plain_text(html: str) -> str:
    """The readable text of a page, without its title."""
    return read(html).text


def read(html: str, address: str = "", *, mark_links: bool = False) -> Reading:
    """What the page `html`, found at `address`, says.

    mark_links: put "[n]" behind the words of a link, n being its place in `links` (from 1).
    """
    if not html:
        return Reading("", "", ())
    source = _tidy(html if len(html) <= LONGEST_PAGE else html[: html.rfind("<", 0, LONGEST_PAGE)][:LONGEST_PAGE])
    try:
        from bs4 import BeautifulSoup  # late: half of this package's import time

        walk = _Walk(address, mark_links)
        walk.run(BeautifulSoup(source, "html.parser"))
        reading = walk.reading()
    except Exception:  # hostile HTML: whatever a parser stumbles over, the page is still shown, without its tags
        text = clean(unescape(re.sub(r"<[^<>]*>", " ", source)))
        reading = Reading("", text, ())
    if len(html) > LONGEST_PAGE:
        reading = reading._replace(text=f"{reading.text}\n{_CUT_OFF}".strip())
    return reading


def _tidy(html: str) -> str:
    """`html` without scripts, styles, comments, declarations, processing instructions and broken tags.

    html.parser would take them too, but warns about some, stops at others, and looks for the end of an unclosed one
    again at every "<", which takes minutes for a hostile page. Here each is searched for once; an unclosed one takes
    the rest of the page with it, as in a browser.
    """
    pieces, position = [], 0
    while opening := _SKIPPED.search(html, position):
        pieces.append(html[position : opening.start()])
        closing = _CLOSINGS.get(opening[0].lower(), _TAG_END).search(html, opening.end())
        position = closing.end() if closing else len(html)
    pieces.append(html[position:])
    return _NO_TAG.sub("&lt;", "".join(pieces))


class _Walk:
    """One pass over a parsed page, in document order, with a stack of its own: nesting has no limit."""

    def __init__(self, address: str, mark_links: bool) -> None:
        self._address, self._here, self._mark_links = address, address_key(address), mark_links
        self._writer = PageWriter()
        self._links: list[Link] = []
        self._numbers: dict[str, int] = {}
        self._title = ""
        self._heading = ""
        self._lists: list[int] = []  # for each open list the number of its next item; 0: not numbered

    def run(self, root: "Tag") -> None:
        from bs4.element import CData, NavigableString, Tag

        stack: list[tuple[Tag, Iterator[object]]] = [(root, iter(root.contents))]
        while stack:
            tag, children = stack[-1]
            for child in children:
                if isinstance(child, Tag):
                    if not _is_dropped(child):
                        self._enter(child)
                        stack.append((child, iter(child.contents)))
                        break
                elif type(child) in (NavigableString, CData):
                    self._string(tag, str(child))
            else:
                stack.pop()
                self._leave(tag)

    def reading(self) -> Reading:
        lines = self._writer.finish()
        title = self._title or self._heading
        if lines and self._heading and title == self._heading and lines[0].lstrip("# ") == title:
            del lines[0]
        return Reading(title, "\n".join(lines), tuple(self._links))

    def _string(self, parent: "Tag", text: str) -> None:
        if parent.name == "title":
            self._title = self._title or clean(text)
        elif parent.name == "pre":
            first, *others = text.split("\n")
            self._writer.write(first)
            for line in others:
                self._writer.break_line()
                self._writer.write(line)
        else:
            self._writer.write(text)

    def _enter(self, tag: "Tag") -> None:
        name, writer = tag.name, self._writer
        if name == "a":
            writer.open_link()
        elif name in _HEADINGS:
            writer.start_line(_HEADINGS[name])
        elif name in ("td", "th"):
            writer.open_cell(header=name == "th")
        elif name == "tr":
            writer.open_row()
        elif name == "table":
            writer.open_table()
        elif name == "li":
            number = self._lists[-1] if self._lists else 0
            writer.start_line(f"{number}. " if number else "- ")
            if number:
                self._lists[-1] += 1
        elif name == "dd":
            writer.start_definition()
        elif name == "dt" or name in _BLOCKS:
            writer.break_line()
        if name in ("ol", "ul"):
            self._lists.append(1 if name == "ol" else 0)

    def _leave(self, tag: "Tag") -> None:
        name, writer = tag.name, self._writer
        if name == "a":
            self._close_link(tag)
        elif name in _HEADINGS:
            line = writer.end_line()
            if name == "h1" and not self._heading:
                self._heading = line
        elif name in ("td", "th"):
            writer.close_cell()
        elif name == "tr":
            writer.close_row()
        elif name == "table":
            writer.close_table()
        elif name == "li":
            writer.end_line()
        elif name == "dt":
            writer.end_term()
        elif name == "dd" or name in _BLOCKS:
            writer.break_line()
        if name in ("ol", "ul"):
            self._lists.pop()

    def _close_link(self, tag: "Tag") -> None:
        text = self._writer.close_link()
        target = _absolute(self._address, tag.get("href"))
        if not text or not target or address_key(target) == self._here:
            return
        if target not in self._numbers:
            if len(self._links) >= MOST_LINKS:
                return
            self._links.append(Link(text, target))
            self._numbers[target] = len(self._links)
        if self._mark_links:
            self._writer.mark(f" [{self._numbers[target]}]")


def _is_dropped(tag: "Tag") -> bool:
    """Whether an element is hidden, not for reading, or part of a page's navigation."""
    if tag.name in _DROPPED:
        return True
    attributes = tag.attrs
    if not attributes:
        return False
    if "hidden" in attributes or str(attributes.get("aria-hidden")).lower() == "true":
        return True
    if _INVISIBLE.search(str(attributes.get("style", ""))):
        return True
    if tag.name in _NEVER_CLUTTER:
        return False
    if attributes.get("role") in ("navigation", "search", "menu") or attributes.get("id") == "toc":
        return True
    return not _CLUTTER.isdisjoint(name.lower() for name in attributes.get("class", ()))


def _absolute(base: str, href: object) -> str:
    """The address a link leads to, without its fragment; empty unless it is a page on the web."""
    if not isinstance(href, str) or len(href) > LONGEST_ADDRESS:
        return ""
    try:
        target = urljoin(base, href.strip()).partition("#")[0]
    except ValueError:  # "http://[" and the like
        return ""
    return target if target.lower().startswith(("http://", "https://")) else ""
