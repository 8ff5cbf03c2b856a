"""What the search tool asks of an engine: hits for a query, best first."""

from typing import NamedTuple, Protocol


class Hit(NamedTuple):
    """One search hit. snippet: a few words around the match, plain text."""

    title: str
    address: str
    snippet: str


class SearchEngine(Protocol):
    """Anything that finds pages. Equal queries give equal hits."""

    def search(self, query: str, limit: int, seconds: float, snippet_characters: int = 200) -> list[Hit]:
        """At most `limit` hits, best first, with snippets of at most `snippet_characters`.

        Raises SearchFailed when the engine cannot answer; SearchTimedOut when it cannot within `seconds`.
        """
        ...


class SearchFailed(Exception):
    """The engine could not answer; the message says why. Becomes a Fault at the tool."""


class SearchTimedOut(SearchFailed):
    """The engine did not answer in time; the same search may succeed later."""
