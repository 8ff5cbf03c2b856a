"""What the browse tool asks of a page source: the document behind an address."""

from typing import NamedTuple, Protocol, runtime_checkable


class Document(NamedTuple):
    """A fetched document. address: where it was found after redirects. html: its source."""

    address: str
    title: str
    html: str


class PageNotFound(Exception):
    """There is no page at this address (a dead link). An ordinary answer, not a fault."""


class FetchFailed(Exception):
    """The source could not deliver the page; the message says why. Becomes a Fault at the tool."""


class FetchTimedOut(FetchFailed):
    """The source did not deliver in time; the same fetch may succeed later."""


class PageSource(Protocol):
    """Anything that opens pages by address."""

    def fetch(self, address: str, seconds: float) -> Document:
        """The document at `address`, redirects followed.

        Raises PageNotFound or FetchFailed; FetchTimedOut when the page did not come within `seconds`.
        """
        ...


@runtime_checkable
class TitleLookup(Protocol):
    """A page source that also knows its pages by title."""

    def address_of(self, title: str, seconds: float) -> str | None:
        """The address of the page with exactly this title (but for case, accents, punctuation), or None.

        Raises FetchFailed; FetchTimedOut when the answer did not come within `seconds`.
        """
        ...
