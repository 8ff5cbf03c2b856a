"""What the search tool asks of an engine: hits for a query, best first."""

from typing import NamedTuple, Protocol


class Hit(NamedTuple):
    """One search hit. snippet: a few words around the match, plain text."""

    title: str
    address: str
    snippet: str


class SearchEngine(Protocol):
    """Anything that finds pages. Equal queries give equal hits."""

    def search(self, query: str, limit: int, seconds: float) -> list[Hit]:
        """At most `limit` hits, best first. Raises SearchFailed when the engine cannot answer within `seconds`."""
        ...


class SearchFailed(Exception):
    """The engine could not answer; the message says why. Becomes a Fault at the tool."""
