"""A corpus: pages in one SQLite file, searched by BM25 and opened by address.

    corpus = Corpus.build(pages, path)      # once; written aside and renamed (path=None: in memory)
    corpus = Corpus.open(path)              # milliseconds
    corpus.search("who directed ...", limit=5, seconds=2.0)     # [Hit(title, address, snippet), ...]
    corpus.fetch("https://...", seconds=2.0)                    # Document(address, title, html)
    corpus = cached_corpus("web-train-0", make_pages)           # built at the first call, opened afterwards

A corpus never changes, so it may be used from many threads, goes through `pickle` (by its path) and through a fork of
the process. Equal pages in equal order give equal hits everywhere. Left out: adding pages to a finished corpus.
"""

import contextlib
import glob
import logging
import os
import pickle
import re
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from aepo_env.browser.addresses import address_key
from aepo_env.browser.reader import plain_text
from aepo_env.browser.source import Document, FetchFailed, FetchTimedOut, PageNotFound
from aepo_env.search import lookups, store
from aepo_env.search.engine import Hit, SearchFailed, SearchTimedOut
from aepo_env.search.snippet import snippet
from aepo_env.search.store import CorpusError
from aepo_env.search.words import query_words, title_key, words

__all__ = ["Corpus", "CorpusError", "Page", "cached_corpus"]

_LOOK_UP_SECONDS = 10.0
_ABANDONED_SECONDS = 24 * 3600
_NO_TITLE = "Untitled"

_log = logging.getLogger(__name__)


class Page(NamedTuple):
    """One page on its way into a corpus.

    address: unique, absolute ("https://…"). html: the page's source. text: what the reader would extract from it
    (given when the maker knows it; else read from the HTML). redirect: set for a page that only points elsewhere.
    """

    address: str
    title: str
    html: str = ""
    text: str = ""
    redirect: str = ""


class Corpus:
    """Pages and their index (SearchEngine and PageSource in one). Made by `Corpus.build` or `Corpus.open`."""

    def __init__(self, path: Path | None, opener: Callable[[], sqlite3.Connection]) -> None:
        self.path = path
        self._opener = opener
        self._connections = self._fresh_connections()
        with self._lend(_LOOK_UP_SECONDS) as connection:
            # Numbers run from 1 without gaps; counting would read an index from end to end.
            (self._pages,) = connection.execute("SELECT coalesce(max(id), 0) FROM pages").fetchone()

    @classmethod
    def build(cls, pages: Iterable[Page], path: Path | None = None) -> "Corpus":
        """Write `pages` (a stream, never held as a whole) into a corpus at `path`, or in memory.

        An existing file is replaced in one step when the new one is complete; two processes may build the same path
        at once. Raises ValueError for a page without an address or with one that came before, OSError when the file
        cannot be written.
        """
        if path is None:
            connection = store.create(None)
            try:
                _write(connection, pages)
                image = connection.serialize()
            finally:
                connection.close()
            return cls(None, lambda: store.connect_image(image))
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        try:
            connection = store.create(Path(aside))
            try:
                _write(connection, pages)
            finally:
                connection.close()
            with open(aside, "rb") as file:
                os.fsync(file.fileno())
            os.replace(aside, path)
        except sqlite3.OperationalError as error:  # SQLite's word for a full disk
            raise OSError(f"The corpus could not be written to {path.parent} ({error}): make room there.") from error
        finally:
            Path(aside).unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "Corpus":
        """The corpus at `path`; one object per file and process. Raises CorpusError for anything but a whole corpus."""
        store.check(path)
        resolved, stat = path.resolve(), path.stat()
        key = (str(resolved), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if (shared := _opened.get(key)) is not None:
            return shared
        try:
            corpus = cls(resolved, lambda: store.connect(resolved))
        except sqlite3.DatabaseError as error:
            raise CorpusError(f"The corpus at {path} is damaged ({error}). Build it again with Corpus.build.") from None
        return _opened.setdefault(key, corpus)

    def __len__(self) -> int:
        """How many pages it holds; redirects are not counted."""
        return int(self._pages)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            raise pickle.PicklingError(
                "A corpus in memory cannot be pickled: build it into a file (Corpus.build(pages, path)), "
                "or build it again in the other process."
            )
        return Corpus.open, (self.path,)

    def search(self, query: str, limit: int, seconds: float, snippet_characters: int = 200) -> list[Hit]:
        """The `limit` best pages for `query` by BM25, a page with exactly this title first; any text is a query."""
        if limit < 1:
            return []
        terms = query_words(query)
        try:
            with self._lend(seconds) as connection:
                rows = [
                    lookups.page_row(connection, number) for number in lookups.ranked(connection, query, terms, limit)
                ]
        except TimeoutError:
            raise SearchTimedOut(f"The search did not finish within {seconds:g} s.") from None
        except sqlite3.Error as error:
            self._tell_of_damage(error)
            raise SearchFailed(f"The index could not be read ({error}).") from error
        return [Hit(title, address, snippet(text, terms, snippet_characters)) for address, title, text in rows]

    def fetch(self, address: str, seconds: float) -> Document:
        """The document at `address` (any spelling, see `address_key`), redirects followed.

        Raises PageNotFound for addresses not in the corpus and for redirects that lead nowhere or in a circle.
        """
        with self._lend_to_fetch(seconds) as connection:
            row = lookups.follow(connection, address)
        if row is None:
            raise PageNotFound(address)
        found, title, html, text = row
        return Document(found, title, html or _as_html(title, text))

    def address_of(self, title: str, seconds: float = _LOOK_UP_SECONDS) -> str | None:
        """The address of the (first) page or redirect with this title, case, accents and punctuation aside."""
        with self._lend_to_fetch(seconds) as connection:
            found = lookups.titled(connection, title, 1)
            return lookups.page_row(connection, found[0])[0] if found else None

    def pages(self) -> Iterator[tuple[str, str, str]]:
        """(address, title, text) of every page, in the order of building."""
        last = 0
        while True:
            with self._lend(_LOOK_UP_SECONDS) as connection:
                rows = connection.execute(
                    "SELECT id, address, title, text FROM pages WHERE id > ? ORDER BY id LIMIT 500", (last,)
                ).fetchall()
            if not rows:
                return
            yield from (row[1:] for row in rows)
            last = rows[-1][0]

    def _fresh_connections(self) -> store.Connections:
        # Each connection to a corpus in memory has a copy of its own, so there are few.
        return store.Connections(self._opener, limit=16 if self.path else 4)

    def _lend(self, seconds: float) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        if self._connections.process != os.getpid():  # after a fork: SQLite handles must not be used in the child
            self._connections = self._fresh_connections()
        return self._connections.lend(seconds)

    @contextlib.contextmanager
    def _lend_to_fetch(self, seconds: float) -> Iterator[sqlite3.Connection]:
        """A connection for the block; what goes wrong in it is raised as a page source's errors."""
        try:
            with self._lend(seconds) as connection:
                yield connection
        except TimeoutError:
            raise FetchTimedOut(f"The page did not come within {seconds:g} s.") from None
        except sqlite3.Error as error:
            self._tell_of_damage(error)
            raise FetchFailed(f"The corpus could not be read ({error}).") from error

    def _tell_of_damage(self, error: sqlite3.Error) -> None:
        """To whoever runs this: the policy, who reads the fault, must not learn where files lie."""
        _log.error("The corpus at %s cannot be read (%s): delete the file, and it is built again", self.path, error)


_opened: "weakref.WeakValueDictionary[tuple[str, int, int, int], Corpus]" = weakref.WeakValueDictionary()


def _remove_abandoned(path: Path) -> None:
    """Delete what builds of `path` left behind that were killed more than a day ago."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()


def _write(connection: sqlite3.Connection, pages: Iterable[Page]) -> None:
    connection.execute("BEGIN")
    for page in pages:
        address, title = lookups.storable(page.address), lookups.storable(page.title) or _NO_TITLE
        if not address:
            raise ValueError(f"Expected a page with an address, got the page {title!r} without one.")
        try:
            if page.redirect:
                row = (address, address_key(address), title_key(title), lookups.storable(page.redirect))
                connection.execute("INSERT INTO redirects VALUES (?, ?, ?, ?)", row)
                continue
            text = lookups.storable(page.text or plain_text(page.html))
            number = connection.execute(
                "INSERT INTO pages (address, address_key, title, title_key, html, text) VALUES (?, ?, ?, ?, ?, ?)",
                (address, address_key(address), title, title_key(title), lookups.storable(page.html), text),
            ).lastrowid
        except sqlite3.IntegrityError:
            raise ValueError(f"Expected every page at its own address, got {address!r} twice.") from None
        index_row = (number, " ".join(words(title)), " ".join([*words(text), store.EVERY_PAGE]))
        connection.execute("INSERT INTO word_index (rowid, title, body) VALUES (?, ?, ?)", index_row)
    connection.execute("COMMIT")
    store.finish(connection)


def _as_html(title: str, text: str) -> str:
    """A page for a text that came without one: its paragraphs under its title."""
    paragraphs = "\n".join(f"<p>{escape(part.strip())}</p>" for part in re.split(r"\n\s*\n", text) if part.strip())
    return (
        f"<html><head><title>{escape(title)}</title></head><body><h1>{escape(title)}</h1>\n{paragraphs}</body></html>"
    )


def cached_corpus(key: str, make_pages: Callable[[], Iterable[Page]]) -> Corpus:
    """The corpus called `key` in the cache folder: opened if it is there, else built from `make_pages()`.

    `key` must change whenever the pages would (put version and seed into it). The folder is $AEPO_CACHE, else
    aepo_env in the user's cache folder ($XDG_CACHE_HOME or ~/.cache), else (not writable) one for temporary files.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", key):
        raise ValueError(f"Expected a key of letters, digits, '.', '_' and '-', got {key!r}.")
    kept, temporary = (folder / f"{key}.sqlite" for folder in cache_folders())
    for path in (kept, temporary):
        with contextlib.suppress(CorpusError):  # missing, or left by an older version
            return Corpus.open(path)
    _log.info("Writing and indexing the pages of %s, once; they are kept in %s", key, kept.parent)
    try:
        return Corpus.build(make_pages(), kept)
    except OSError:  # cannot be written there, or is full
        return Corpus.build(make_pages(), temporary)


def cache_folders() -> tuple[Path, Path]:
    """The folder for files worth keeping, and the one to use when that cannot be written."""
    if chosen := os.environ.get("AEPO_CACHE"):
        kept = Path(chosen)
    elif base := os.environ.get("XDG_CACHE_HOME"):
        kept = Path(base) / "aepo_env"
    else:
        kept = Path(os.path.expanduser("~")) / ".cache" / "aepo_env"
    user = os.getuid() if hasattr(os, "getuid") else 0
    temporary = Path(tempfile.gettempdir()) / f"aepo_env-{user}"
    with contextlib.suppress(OSError):
        temporary.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and temporary.stat().st_uid != user:  # somebody else's: not to be trusted
            temporary = Path(tempfile.mkdtemp(prefix="aepo_env-"))
    return kept, temporary
