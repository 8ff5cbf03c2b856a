"""The SQLite file of a corpus: its layout, how one is written, and connections to it for many threads.

Three tables: `pages` (address, title, HTML, text), `redirects` (address, title, target) and `word_index` (FTS5,
contentless: it holds the words that `aepo_env.search.words` cuts, so no raw text meets its tokenizer). A finished file
never changes: it is opened immutable, which needs no locks, and replaced as a whole by a rename.
Left out: changing a corpus, and SQLite's own locking (network file systems are fine).
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

APPLICATION = 0x6165706F  # "aepo": written into the file's header
FORMAT = 2  # raise it whenever the layout or the cutting of words changes
EVERY_PAGE = "\ue000"  # a word put on every page; no page or query has it, for it is neither letter nor digit

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE pages (id INTEGER PRIMARY KEY, address TEXT NOT NULL, address_key TEXT NOT NULL, title TEXT NOT NULL,
                    title_key TEXT NOT NULL, html TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE redirects (address TEXT NOT NULL, address_key TEXT NOT NULL, title_key TEXT NOT NULL,
                        target TEXT NOT NULL);
CREATE UNIQUE INDEX pages_address ON pages (address);
CREATE UNIQUE INDEX redirects_address ON redirects (address);
CREATE VIRTUAL TABLE word_index USING fts5(title, body, content='', tokenize='porter ascii');
"""
_INDEXES = """
CREATE INDEX pages_address_key ON pages (address_key);
CREATE INDEX pages_title_key ON pages (title_key);
CREATE INDEX redirects_address_key ON redirects (address_key);
CREATE INDEX redirects_title_key ON redirects (title_key);
INSERT INTO word_index (word_index) VALUES ('optimize');
"""
_STEPS_BETWEEN_CLOCKS = 500  # virtual machine steps between two looks at the clock


class CorpusError(Exception):
    """A file is not a corpus that can be opened; the message says what was expected, what came, and what to do."""


def create(path: Path | None) -> sqlite3.Connection:
    """A fresh writable database with the layout of a corpus, at `path` or (None) in memory."""
    connection = sqlite3.connect(path or ":memory:", isolation_level=None)
    # Written aside and renamed when complete: a crash leaves no half-written corpus, so no journal is needed.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_SCHEMA)
    return connection


def finish(connection: sqlite3.Connection) -> None:
    """Add what is cheaper to add at the end: indexes, and the word index merged into one segment."""
    connection.executescript(_INDEXES)


def check(path: Path) -> None:
    """Raise CorpusError unless `path` is a whole file with this format's layout. Reads only the first 100 bytes."""
    advice = "Build it again with Corpus.build."
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CorpusError(f"Expected a corpus at {path}, but it cannot be read ({error.strerror}). {advice}") from None
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise CorpusError(f"Expected a corpus at {path}, but it is no SQLite file. {advice}")
    if int.from_bytes(header[68:72], "big") != APPLICATION:
        raise CorpusError(f"Expected a corpus at {path}, but it is a SQLite file of another program. {advice}")
    if (version := int.from_bytes(header[60:64], "big")) != FORMAT:
        raise CorpusError(f"Expected a corpus of format {FORMAT} at {path}, but it has format {version}. {advice}")
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if size != page_size * int.from_bytes(header[28:32], "big"):
        raise CorpusError(f"Expected a whole corpus at {path}, but the file is cut off or damaged. {advice}")


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection to a finished corpus file."""
    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -16000")  # KiB
    return connection


def connect_image(image: bytes) -> sqlite3.Connection:
    """A connection with its own copy of an in-memory corpus."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.deserialize(image)
    connection.execute("PRAGMA query_only = ON")
    return connection


class Connections:
    """Read-only connections lent to one thread at a time, at most `limit`, opened when first needed.

    Belongs to one process: after a fork the child must make its own (SQLite handles do not survive one).
    """

    def __init__(self, opener: Callable[[], sqlite3.Connection], limit: int) -> None:
        self.process = os.getpid()
        self._opener = opener
        self._idle: deque[sqlite3.Connection] = deque()
        self._free = threading.BoundedSemaphore(limit)

    @contextlib.contextmanager
    def lend(self, seconds: float) -> Iterator[sqlite3.Connection]:
        """A connection for the block; statements in it stop after `seconds` in all. Raises TimeoutError then."""
        deadline = time.monotonic() + seconds
        if not self._free.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX))):
            raise TimeoutError
        try:
            if time.monotonic() >= deadline:
                raise TimeoutError
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._opener()
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_CLOCKS)
            try:
                yield connection
            except sqlite3.OperationalError as error:
                if str(error) == "interrupted":
                    raise TimeoutError from None
                raise
            finally:
                connection.set_progress_handler(None, 0)
                self._idle.append(connection)
        finally:
            self._free.release()

    def __del__(self) -> None:
        while self._idle:
            self._idle.pop().close()
