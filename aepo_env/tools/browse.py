"""The browse tool: opens pages, leafs through them, follows their links and finds words in them.

    tool = BrowseTool(corpus)
    result = tool.call(None, "result 1", CallContext(results=(address,)))       # title, address, text with links [n]
    result = tool.call(result.state, "link 4", CallContext())

The argument is one of (capitals and spaces do not matter):

    https://…           the page at this address
    A Page's Title      the page with exactly this title, where the source knows titles
    3, result 3         the third hit of the last search (a bare number never means a link while there are hits)
    link 4, [4]         the fourth link of the open page; a bare 4 too, if there has been no search
    next, previous, top another part of the open page
    find some words     the next place in the open page where these words stand, from the last one on, round and round

Anything else gets a sentence that says what to do. The state is a value (address, place, links): pages are read again
from the source. Left out: forms, scripts, and the history of pages (a page can be opened again by its address).
"""

import re
import time
from functools import lru_cache
from typing import Any, NamedTuple

from aepo_env.browser.parts import part_number, part_starts, part_text, passage
from aepo_env.browser.reader import Reading, read
from aepo_env.browser.source import FetchFailed, FetchTimedOut, PageNotFound, PageSource, TitleLookup
from aepo_env.text import clean, cut
from aepo_env.tools.tool import CallContext, Fault, Forking, Tool, ToolResult

LONGEST_ARGUMENT = 2_000  # characters
LONGEST_TITLE = 200  # characters shown
_USAGE = (
    "Give an address, 'result 3' (a search hit), 'link 4' (a link of the open page), 'next', 'previous', 'top' or "
    "'find some words'."
)
_NOTHING_OPEN = "No page is open. Open one first, by its address or by the number of a search hit."
_RESULT = re.compile(r"(result|hit|#)? ?([0-9]{1,6})\.?", re.IGNORECASE)
_LINK = re.compile(r"link \[?([0-9]{1,6})\]?\.?|\[([0-9]{1,6})\]", re.IGNORECASE)


class OpenPage(NamedTuple):
    """The state: the open page's address, the place in its text (characters), and where its links lead.

    found: the last `find` led to this place, so that the next one goes on behind it.
    """

    address: str
    offset: int
    links: tuple[str, ...]
    found: bool = False


class _View(NamedTuple):
    """What a command leads to: a page and where in it to look. `passage`: only around a place that was found."""

    address: str
    offset: int = 0
    passage: bool = False


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


@lru_cache(maxsize=64)
def _reading(html: str, address: str, mark_links: bool) -> Reading:
    """Branches of an episode and the parts of a page read the same page again and again."""
    return read(html, address, mark_links=mark_links)


class BrowseTool(Tool):
    """Shows pages of a source, part by part.

    page_characters: the longest part shown at once. links: whether links are numbered and can be followed by number.
    """

    name = "browse"
    description = (
        "Read a page. Argument: an address, a page's exact title, the number of a search hit (3), link 4 (a link of "
        "the open page), next, previous, top, or find some words (in the open page)."
    )
    forking = Forking.VALUE

    def __init__(self, source: PageSource, page_characters: int = 2000, links: bool = True) -> None:
        if page_characters < 1:
            raise ValueError(f"Expected page_characters >= 1, got {page_characters}.")
        self.source, self.page_characters, self.links = source, page_characters, links

    def anchor(self, state: Any) -> Any:
        """(address, offset) of the open page."""
        return None if state is None else (state.address, state.offset)

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        page: OpenPage | None = state
        deadline = time.monotonic() + context.seconds
        argument = clean(argument[:LONGEST_ARGUMENT])
        try:
            target = self._target(page, argument, context.results, deadline)
            if isinstance(target, str):
                return ToolResult(target, state)
            return self._show(target, deadline)
        except PageNotFound as error:
            return ToolResult(f"No page at {clean(str(error))}.", state)
        except FetchFailed as error:
            kind = "timeout" if isinstance(error, FetchTimedOut) else "unavailable"
            message = f"The page could not be opened: {error} Try again."
            return ToolResult(message, state, fault=Fault(kind, message, retryable=True))

    def _target(self, page: OpenPage | None, argument: str, hits: tuple[str, ...], deadline: float) -> _View | str:
        """What the argument asks for; a sentence for the policy if that cannot be had."""
        command, _, words = argument.partition(" ")
        command = command.lower().rstrip(".")
        if not argument:
            return f"The argument is empty. {_USAGE}"
        if match := _LINK.fullmatch(argument):
            return self._link(page, int(match[1] or match[2]))
        if match := _RESULT.fullmatch(argument):
            return self._numbered(page, match, hits, deadline)
        if page is not None:
            if command == "find":
                return self._find(page, words, deadline)
            if command in ("next", "previous", "top") and words.lower() in ("", "page", "part"):
                return self._turn(page, command, deadline)
        if "://" in argument:
            return _View(argument)
        if address := self._titled(argument, deadline):
            return _View(address)
        if command in ("find", "next", "previous", "top"):
            return _NOTHING_OPEN
        if " " not in argument and "." in argument:
            return _View(argument)  # an address without its "https://"
        return f"There is no page called '{cut(argument, LONGEST_TITLE)}'. {_USAGE}"

    def _titled(self, title: str, deadline: float) -> str | None:
        return self.source.address_of(title, _left(deadline)) if isinstance(self.source, TitleLookup) else None

    def _numbered(
        self, page: OpenPage | None, match: re.Match[str], hits: tuple[str, ...], deadline: float
    ) -> _View | str:
        """A search hit by its number; where a bare number is none, a link (without any hits) or a title ("1984")."""
        number = int(match[2])
        if 1 <= number <= len(hits):
            return _View(hits[number - 1])
        if match[1] is None:
            if not hits and page is not None and 1 <= number <= len(page.links):
                return _View(page.links[number - 1])
            if address := self._titled(match[0], deadline):
                return _View(address)
        if not hits:
            return f"There is no search hit {number}: nothing has been found yet. Search first. {_USAGE}"
        hint = f" For the open page's link write 'link {number}'." if page and number <= len(page.links) else ""
        return f"There is no search hit {number}: the last search gave 1 to {len(hits)}.{hint}"

    def _link(self, page: OpenPage | None, number: int) -> _View | str:
        if page is None:
            return _NOTHING_OPEN
        if 1 <= number <= len(page.links):
            return _View(page.links[number - 1])
        if not page.links:
            return "The open page has no numbered links. Give an address, or search."
        return f"The open page has no link {number}: its links are 1 to {len(page.links)}."

    def _turn(self, page: OpenPage, command: str, deadline: float) -> _View | str:
        """Another part of the open page."""
        _, _, reading = self._open(page.address, deadline)
        starts = part_starts(reading.text, self.page_characters)
        if command == "top":
            return _View(page.address)
        number = part_number(starts, page.offset) + (1 if command == "next" else -1)
        if number < 1:
            return "This is the first part of the page."
        if number > len(starts):
            return "This is the last part of the page. 'top' goes back to its beginning."
        return _View(page.address, starts[number - 1])

    def _find(self, page: OpenPage, words: str, deadline: float) -> _View | str:
        """The next place of the words after the one shown, from the page's beginning again after the last."""
        if not words:
            return "Say what to find: 'find some words'."
        _, _, reading = self._open(page.address, deadline)
        place = passage(reading.text, words, page.offset + page.found)
        if place is None:
            return f"'{cut(words, LONGEST_TITLE)}' does not stand on this page."
        return _View(page.address, place, passage=True)

    def _open(self, address: str, deadline: float) -> tuple[str, str, Reading]:
        document = self.source.fetch(address, _left(deadline))
        reading = _reading(document.html, document.address, self.links)
        return document.address, document.title or reading.title, reading

    def _show(self, view: _View, deadline: float) -> ToolResult:
        address, title, reading = self._open(view.address, deadline)
        starts = part_starts(reading.text, self.page_characters)
        lines = [cut(clean(title), LONGEST_TITLE), clean(address)]
        if len(starts) > 1:
            lines.append(f"part {part_number(starts, view.offset)} of {len(starts)}")
        text = part_text(reading.text, view.offset, self.page_characters, around=view.passage)
        lines.append(text or "(This page has no text.)")
        links = tuple(link.address for link in reading.links) if self.links else ()
        return ToolResult("\n".join(lines), OpenPage(address, view.offset, links, view.passage))
