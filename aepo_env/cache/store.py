"""CacheStore: text under 32-byte keys in one SQLite file, shared by threads and processes. Used by `RecordReplay`.

WAL mode: readers never wait for a writer. A file is checked before it is used, and nothing in it is run: values are
plain text, the schema must be exactly ours (no triggers, no views), and `trusted_schema` is off.

Left out: eviction and sizes (delete the file to start afresh), and network file systems (SQLite's locks need a local
one).
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

APPLICATION_ID = 0x41455043  # "AEPC", in the file's header: tells our files from other SQLite databases
SCHEMA = {
    # `request` is for people who look into the file; only the key is ever searched.
    "entries": "CREATE TABLE entries (key BLOB PRIMARY KEY, request TEXT NOT NULL, value TEXT NOT NULL)",
    "claims": "CREATE TABLE claims (key BLOB PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL)",
}
LONGEST_CLAIM = 600.0  # seconds; a claim that pretends to last longer (a clock was set back) counts as expired
LARGEST_VALUE = 64 * 2**20  # bytes

Result = TypeVar("Result")


class CacheError(Exception):
    """The cache file cannot be used (missing, damaged, not ours, locked for too long); the message says what to do."""


class CacheStore:
    """The entries of one cache file.

    Args:
        path: the file; made if missing when `writable`.
        writable: False opens read-only and never changes the file.
        wait_seconds: how long to wait for another process's lock.

    Raises:
        CacheError: the file is missing (read-only), not a cache of ours, damaged, or locked for too long.
    """

    def __init__(self, path: str | os.PathLike[str], *, writable: bool, wait_seconds: float = 5.0) -> None:
        self.path = Path(path)
        self._writable = writable
        self._wait_seconds = wait_seconds
        self._abandoned: list[sqlite3.Connection] = []
        self._open()

    def _open(self) -> None:
        self._read_lock, self._write_lock = threading.Lock(), threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        if self._writable:
            self._writer = self._guarded(self._connect_writable)
        elif not self.path.is_file():
            raise CacheError(f"There is no cache file {self.path}: record first (mode 'record' or 'auto').")
        self._reader = self._guarded(self._connect_reader)
        self._process = os.getpid()

    def get(self, key: bytes) -> str | None:
        """The value stored under `key`, or None. Raises CacheError."""
        self._after_process_fork()

        def select() -> object:
            with self._read_lock:
                row = (
                    self._connection(self._reader).execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
                )
            return row[0] if row else None

        value = self._guarded(select)
        if value is None or isinstance(value, str):
            return value
        raise CacheError(f"The cache {self.path} holds a value that is not text: it was not written by us; delete it.")

    def put(self, key: bytes, request: str, value: str) -> None:
        """Store `value` (replacing an older one) and lift any claim on the key. Raises CacheError."""
        self._write(
            ("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (key, request, value)),
            ("DELETE FROM claims WHERE key = ?", (key,)),
        )

    def claim(self, key: bytes, owner: str, seconds: float) -> bool:
        """Say that `owner` is about to compute `key` for at most so long; False if another owner is. Raises CacheError.

        A claim is a courtesy between processes, not a lock: one that has expired is taken over.
        """
        self._after_process_fork()
        now = time.time()

        def take() -> bool:
            with self._write_lock:
                changed = self._connection(self._writer).execute(
                    "INSERT INTO claims VALUES (:key, :owner, :until) "
                    "ON CONFLICT (key) DO UPDATE SET owner = :owner, until = :until "
                    "WHERE owner = :owner OR until NOT BETWEEN :now AND :now + :longest",
                    {
                        "key": key,
                        "owner": owner,
                        "until": now + min(seconds, LONGEST_CLAIM - 1),
                        "now": now,
                        "longest": LONGEST_CLAIM,
                    },
                )
                return changed.rowcount == 1

        return self._guarded(take)

    def unclaim(self, key: bytes, owner: str) -> None:
        """Lift the owner's claim on the key, if there is one. Raises CacheError."""
        self._write(("DELETE FROM claims WHERE key = ? AND owner = ?", (key, owner)))

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._process == os.getpid():
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
        self._reader = self._writer = None

    # ------------------------------------------------------------------------------------------------------- inside

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        self._after_process_fork()

        def run() -> None:
            with self._write_lock:
                connection = self._connection(self._writer)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    for statement, values in statements:
                        connection.execute(statement, values)
                    connection.execute("COMMIT")
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise

        self._guarded(run)

    def _connection(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise CacheError(f"The cache {self.path} is closed or was opened for reading only.")
        return connection

    def _after_process_fork(self) -> None:
        """SQLite connections must not be used, nor even closed, by a forked child: it opens its own."""
        if self._process != os.getpid():
            closed = self._reader is None
            self._abandoned += [each for each in (self._reader, self._writer) if each is not None]
            if not closed:
                self._open()

    def _guarded(self, action: Callable[[], Result]) -> Result:
        """Run it; SQLite's errors become one CacheError that says what to do."""
        try:
            return action()
        except sqlite3.OperationalError as error:
            if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise CacheError(
                    f"The cache {self.path} stayed locked for {self._wait_seconds:g} s: another process is writing."
                ) from error
            raise CacheError(
                f"The cache {self.path} cannot be used: {error}. Check the path, its rights and the disk."
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise CacheError(
                f"{self.path} is damaged or not a cache file ({error}): delete it, or give another path."
            ) from error

    def _connect(self, address: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, timeout=self._wait_seconds, isolation_level=None, check_same_thread=False, uri=True
        )
        # The file may come from anybody.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        return connection

    def _connect_writable(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect(self.path.absolute().as_uri())
        try:
            if self._tables(connection):
                self._check(connection)  # before anything is changed: the file may be somebody else's
            self._patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute(
                "PRAGMA synchronous = NORMAL"
            )  # in WAL mode safe against all but losing the last entries
            connection.execute("BEGIN IMMEDIATE")
            if not self._tables(connection):
                for statement in SCHEMA.values():
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("COMMIT")
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode=ro"
        connection = self._connect(address)
        try:
            self._check(connection)
        except sqlite3.OperationalError:
            connection.close()
            # WAL's index cannot be made in a directory we may not write to. Without a log there is nothing to miss.
            log = self.path.with_name(self.path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            connection = self._connect(f"{address}&immutable=1")
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _patiently(self, action: Callable[[], object]) -> None:
        """Repeat while the file is locked: the switch to WAL does not wait by itself."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                action()
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _tables(self, connection: sqlite3.Connection) -> dict[str, str]:
        """Everything defined in the file, by name, apart from what SQLite makes itself."""
        return dict(
            connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'")
        )

    def _check(self, connection: sqlite3.Connection) -> None:
        marked = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        if not marked or self._tables(connection) != SCHEMA:
            raise CacheError(f"{self.path} is an SQLite database, but not a cache of ours: give another path.")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for what Python's module found by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
