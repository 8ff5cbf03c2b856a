"""CacheStore: files that are not ours, damaged, locked or read-only."""

import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from aepo_env.cache.store import CacheError, CacheStore

KEY = bytes(32)


def test_a_text_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 1000)
    for writable in (True, False):
        with pytest.raises(CacheError, match="not a cache file"):
            CacheStore(path, writable=writable)
    assert path.read_text() == "my notes " * 1000


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "their.sqlite"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE entries (key, value)")
    theirs.close()
    before = path.read_bytes()
    for writable in (True, False):
        with pytest.raises(CacheError, match="not a cache of ours"):
            CacheStore(path, writable=writable)
    assert path.read_bytes() == before


def test_a_file_with_a_trigger_smuggled_in_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    CacheStore(path, writable=True).close()
    with sqlite3.connect(path) as attacker:
        attacker.execute("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END")
    attacker.close()
    with pytest.raises(CacheError, match="not a cache of ours"):
        CacheStore(path, writable=True)


def test_a_damaged_file_gives_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    store = CacheStore(path, writable=True)
    for number in range(300):
        store.put(number.to_bytes(32, "big"), "r", "v" * 1000)
    store.close()
    content = bytearray(path.read_bytes())
    content[8192 : len(content)] = Random(0).randbytes(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(CacheError, match=r"damaged|cannot be used"):
        _read_all(path, 300)


def _read_all(path: Path, count: int) -> None:
    damaged = CacheStore(path, writable=False)
    for number in range(count):
        damaged.get(number.to_bytes(32, "big"))


def test_a_value_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    store = CacheStore(path, writable=True)
    store.close()
    with sqlite3.connect(path) as attacker:
        attacker.execute("INSERT INTO entries VALUES (?, 'r', ?)", (KEY, b"\x80\x04pickle"))
        attacker.execute("INSERT INTO entries VALUES (?, 'r', CAST(? AS TEXT))", (bytes(31), b"\xff\xfe"))
    attacker.close()
    reader = CacheStore(path, writable=False)
    with pytest.raises(CacheError, match="not text"):
        reader.get(KEY)
    with pytest.raises(CacheError):
        reader.get(bytes(31))


def test_reading_does_not_wait_for_a_writer_and_writing_waits_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    store = CacheStore(path, writable=True, wait_seconds=0.3)
    store.put(KEY, "r", "value")
    hog = sqlite3.connect(path, isolation_level=None)
    hog.execute("BEGIN IMMEDIATE")
    assert store.get(KEY) == "value"
    with pytest.raises(CacheError, match="stayed locked"):
        store.put(bytes(31), "r", "value")
    hog.execute("ROLLBACK")
    hog.close()
    store.put(bytes(31), "r", "value")
    assert store.get(bytes(31)) == "value"


def test_a_read_only_store_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    store = CacheStore(path, writable=True)
    store.put(KEY, "r", "value")
    store.close()
    before = path.read_bytes()
    reader = CacheStore(path, writable=False)
    assert reader.get(KEY) == "value"
    with pytest.raises(CacheError, match="reading only"):
        reader.put(KEY, "r", "other")
    reader.close()
    assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_store_in_a_directory_without_write_permission_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    store = CacheStore(folder / "cache.sqlite", writable=True)
    store.put(KEY, "r", "value")
    store.close()
    (folder / "cache.sqlite").chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert CacheStore(folder / "cache.sqlite", writable=False).get(KEY) == "value"
    finally:
        folder.chmod(stat.S_IRWXU)


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a b#c?d%20é.sqlite"
    store = CacheStore(path, writable=True)
    store.put(KEY, "r", "value")
    store.close()
    assert CacheStore(path, writable=False).get(KEY) == "value"
    assert path.exists()


def test_many_may_create_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    together = threading.Barrier(8)

    def create(number: int) -> None:
        together.wait(10)
        store = CacheStore(path, writable=True)
        store.put(number.to_bytes(32, "big"), "r", str(number))
        store.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(8)))
    reader = CacheStore(path, writable=False)
    assert [reader.get(number.to_bytes(32, "big")) for number in range(8)] == [str(n) for n in range(8)]


def test_use_after_close_is_told(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.sqlite", writable=True)
    store.close()
    store.close()
    with pytest.raises(CacheError, match="closed"):
        store.get(KEY)


def test_claims_are_exclusive_until_lifted_or_stored(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache.sqlite", writable=True)
    assert store.claim(KEY, "a", 60)
    assert store.claim(KEY, "a", 60)
    assert not store.claim(KEY, "b", 60)
    store.unclaim(KEY, "b")
    assert not store.claim(KEY, "b", 60)
    store.unclaim(KEY, "a")
    assert store.claim(KEY, "b", 60)
    store.put(KEY, "r", "v")
    assert store.claim(KEY, "a", 60)
