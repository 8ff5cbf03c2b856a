"""What the browse tool asks of a page source: the document behind an address."""

from typing import NamedTuple, Protocol


class Document(NamedTuple):
    """A fetched document. address: where it was found after redirects. html: its source."""

    address: str
    title: str
    html: str


class PageNotFound(Exception):
    """There is no page at this address (a dead link). An ordinary answer, not a fault."""


class FetchFailed(Exception):
    """The source could not deliver the page; the message says why. Becomes a Fault at the tool."""


class PageSource(Protocol):
    """Anything that opens pages by address."""

    def fetch(self, address: str, seconds: float) -> Document:
        """The document at `address`, redirects followed. Raises PageNotFound or FetchFailed."""
        ...
