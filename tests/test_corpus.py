"""A corpus as a whole: building, opening, sharing, and what becomes of it in other threads and processes."""

import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aepo_env.browser.source import FetchFailed, FetchTimedOut, PageNotFound
from aepo_env.corpus import Corpus, CorpusError, Page, cached_corpus
from aepo_env.search import store
from aepo_env.search.engine import SearchFailed, SearchTimedOut

ROOT = Path(__file__).resolve().parent.parent
WORDS = ["river", "mill", "tower", "bridge", "garden", "harbour", "school", "forest", "castle", "market"]


def pages(count: int = 60) -> Iterator[Page]:
    for number in range(count):
        first, second = WORDS[number % 10], WORDS[number // 10 % 10]
        html = f"<h1>The {first} {number}</h1><p>It stands by the {second}; it is the {number}th of its kind.</p>"
        yield Page(f"https://a.example/{number}", f"The {first} {number}", html=html)


def redirect(source: str, target: str, title: str = "") -> Page:
    return Page(f"https://a.example/{source}", title or source, redirect=f"https://a.example/{target}")


@pytest.fixture(params=["memory", "file"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Corpus:
    return Corpus.build(pages(), tmp_path / "a.sqlite" if request.param == "file" else None)


def test_pages_are_found_and_opened(corpus: Corpus) -> None:
    assert len(corpus) == 60
    hit = corpus.search("harbour 25th", 3, 5.0)[0]
    assert (hit.title, hit.address) == ("The harbour 25", "https://a.example/25")
    assert hit.snippet == "It stands by the tower; it is the 25th of its kind."
    assert corpus.fetch(hit.address, 5.0) == (hit.address, hit.title, list(pages())[25].html)
    assert [address for address, _, _ in corpus.pages()] == [page.address for page in pages()]


def test_a_title_is_found_by_any_spelling(corpus: Corpus) -> None:
    assert corpus.address_of("the HARBOUR, 25!") == "https://a.example/25"
    assert corpus.address_of("the harbour") is None


def test_a_page_without_html_is_shown_as_its_paragraphs() -> None:
    corpus = Corpus.build([Page("https://a.example/x", "A & B", text="One <b>\n\nTwo")])
    assert corpus.fetch("https://a.example/x", 5.0).html == (
        "<html><head><title>A &amp; B</title></head><body><h1>A &amp; B</h1>\n"
        "<p>One &lt;b&gt;</p>\n<p>Two</p></body></html>"
    )


def test_equal_pages_in_equal_order_give_equal_hits_in_file_and_memory(tmp_path: Path) -> None:
    made = [Corpus.build(pages(), path) for path in (None, tmp_path / "1.sqlite", tmp_path / "2.sqlite")]
    for query in [*WORDS, "by the river and mill", "kind"]:
        first, *others = [corpus.search(query, 20, 5.0) for corpus in made]
        assert all(hits == first for hits in others)


def test_pages_that_match_equally_come_in_the_order_of_building(tmp_path: Path) -> None:
    equal = [Page(f"https://a.example/{number}", "Same", text="same text") for number in (3, 1, 2)]
    hits = Corpus.build(equal).search("text", 3, 5.0)
    assert [hit.address[-1] for hit in hits] == ["3", "1", "2"]


# ---------------------------------------------------------------------------------------------------------- redirects


def test_redirects_are_followed_by_address_and_by_title() -> None:
    corpus = Corpus.build([*pages(), redirect("old", "older", "Old Name"), redirect("older", "7")])
    assert len(corpus) == 60
    assert corpus.fetch("https://a.example/old", 5.0).address == "https://a.example/7"
    assert corpus.address_of("old name") == "https://a.example/7"
    assert corpus.search("Old Name", 5, 5.0)[0].address == "https://a.example/7"


@pytest.mark.parametrize("chain", [["a a"], ["a b", "b a"], ["a nowhere"], [f"a{n} a{n + 1}" for n in range(30)]])
def test_redirects_that_lead_nowhere_are_dead_links(chain: list[str]) -> None:
    made = [redirect(*step.split(), title="Lost") for step in chain]
    if len(chain) > 20:
        made.append(redirect("a30", "0"))
    corpus = Corpus.build([*pages(), *made])
    with pytest.raises(PageNotFound):
        corpus.fetch(made[0].address, 5.0)
    assert all(hit.title != "Lost" for hit in corpus.search("Lost", 5, 5.0))


def test_addresses_are_compared_without_regard_to_spelling() -> None:
    corpus = Corpus.build([Page("https://a.example/S%C3%A3o_Paulo", "São Paulo", text="city")])
    for spelling in (
        "a.example/São_Paulo",
        "HTTP://A.Example/S%c3%a3o_Paulo#History",
        " https://a.example/São_Paulo/ ",
    ):
        assert corpus.fetch(spelling, 5.0).title == "São Paulo"
    for other in ("https://a.example/são_paulo", "https://b.example/S%C3%A3o_Paulo", "", "#", "\ud800\0"):
        with pytest.raises(PageNotFound):
            corpus.fetch(other, 5.0)


# ----------------------------------------------------------------------------------------------------------- building


def test_building_streams(tmp_path: Path) -> None:
    alive = 0

    class Counted(str):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def stream() -> Iterator[Page]:
        nonlocal alive
        for number in range(300):
            alive += 1
            assert alive < 10
            yield Page(f"https://a.example/{number}", "x", text=Counted("text"))

    assert len(Corpus.build(stream(), tmp_path / "a.sqlite")) == 300


@pytest.mark.parametrize("bad", [Page("", "x", text="y"), Page("https://a.example/3", "x", text="y")])
def test_a_page_without_or_with_a_used_address_is_refused_and_nothing_is_left(bad: Page, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Expected (a page with an|every page at its own) address, got"):
        Corpus.build([*pages(), bad], tmp_path / "a.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_maker_of_pages_leaves_the_old_corpus(tmp_path: Path) -> None:
    def broken() -> Iterator[Page]:
        yield from pages(5)
        raise RuntimeError("maker")

    path = tmp_path / "a.sqlite"
    Corpus.build(pages(), path)
    with pytest.raises(RuntimeError, match="maker"):
        Corpus.build(broken(), path)
    assert len(Corpus.open(path)) == 60
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_may_build_one_path_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    program = (
        "import sys; from pathlib import Path; from tests.test_corpus import pages; from aepo_env.corpus import Corpus;"
        "[Corpus.build(pages(), Path(sys.argv[1])).search('mill', 1, 5.0)[0] for _ in range(5)]"
    )
    command = [sys.executable, "-c", program, str(path)]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert list(tmp_path.iterdir()) == [path]
    assert len(Corpus.open(path)) == 60


def test_text_that_utf8_cannot_hold_is_kept_as_far_as_possible() -> None:
    corpus = Corpus.build([Page("https://a.example/\ud800", "a\ud800\0b", text="x\ud800y \0 zebra")])
    assert corpus.search("zebra", 1, 5.0)[0].address == "https://a.example/?"
    assert corpus.fetch("https://a.example/\ud800", 5.0).title == "a?\0b"


# ------------------------------------------------------------------------------------------------------------ opening


def damaged(kind: str, path: Path) -> None:
    if kind == "missing":
        return
    if kind == "empty":
        path.write_bytes(b"")
        return
    if kind == "text":
        path.write_text("no database" * 100)
        return
    if kind == "folder":
        path.mkdir()
        return
    if kind == "foreign":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE pages (x)")
        connection.close()
        return
    Corpus.build(pages(), path)
    content = bytearray(path.read_bytes())
    if kind == "cut off":
        content = content[: len(content) // 2]
    elif kind == "older":
        content[60:64] = (1).to_bytes(4, "big")
    else:
        content[100:] = bytes(len(content) - 100)
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder", "foreign", "cut off", "older", "wiped"])
def test_what_is_no_whole_corpus_gives_one_clear_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    damaged(kind, path)
    with pytest.raises(CorpusError, match=r"corpus .*a\.sqlite.* Build it again with Corpus\.build\.$"):
        Corpus.open(path)


def test_damage_inside_becomes_a_failure_of_the_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.sqlite"
    Corpus.build(pages(2000), path)
    content = bytearray(path.read_bytes())
    middle = range(len(content) // 3, 2 * len(content) // 3)
    content[middle.start : middle.stop] = bytes(len(middle))
    path.unlink()
    path.write_bytes(content)
    corpus = Corpus.open(path)

    def read_everything() -> None:
        for number in range(2000):
            corpus.search(f"mill {number}", 5, 5.0)
            corpus.fetch(f"https://a.example/{number}", 5.0)

    with pytest.raises((SearchFailed, FetchFailed)):
        read_everything()
    assert f"{tmp_path}" in caplog.text  # named for who runs it, not for the policy
    assert "delete the file" in caplog.text


def test_a_corpus_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "folder with spaces, ? # and %41"
    path = Corpus.build(pages(), folder / "a.sqlite").path
    assert path is not None
    path.chmod(0o400)
    folder.chmod(0o500)
    try:
        program = (
            "import sys; from pathlib import Path; from aepo_env.corpus import Corpus;"
            "print(len(Corpus.open(Path(sys.argv[1])).search('mill', 5, 5.0)))"
        )
        command = [sys.executable, "-c", program, str(path)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (answer.stdout, list(folder.iterdir())) == ("5\n", [path]), answer.stderr
    finally:
        folder.chmod(0o700)


def test_one_object_per_file_until_the_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    first = Corpus.build(pages(), path)
    assert Corpus.open(path) is first
    second = Corpus.build(pages(30), path)
    assert (len(first), len(second)) == (60, 30)
    assert first.search("mill 51", 1, 5.0)[0].title == "The mill 51"
    assert Corpus.open(path) is second


# -------------------------------------------------------------------------------------- deadlines, threads, processes


@pytest.mark.parametrize("seconds", [0.0, 1e-9, -1.0])
def test_no_time_left_is_a_time_out(corpus: Corpus, seconds: float) -> None:
    with pytest.raises(SearchTimedOut):
        corpus.search("by the mill of its kind", 5, seconds)
    assert corpus.search("mill", 5, 5.0)


@pytest.mark.timing
def test_a_long_search_is_stopped_in_time() -> None:
    text = " ".join(WORDS * 30)
    corpus = Corpus.build(Page(f"https://a.example/{number}", "x", text=text) for number in range(3000))
    start = time.monotonic()
    with pytest.raises(SearchTimedOut):
        corpus.search(" ".join(WORDS), 5, 0.01)
    assert time.monotonic() - start < 0.5


def test_waiting_for_a_connection_ends_at_the_deadline(corpus: Corpus) -> None:
    release, holding = threading.Event(), threading.Barrier(17 if corpus.path else 5)

    def hold() -> None:
        with corpus._lend(30.0):
            holding.wait(10.0)
            release.wait(10.0)

    with ThreadPoolExecutor(16) as threads:
        held = [threads.submit(hold) for _ in range(16 if corpus.path else 4)]
        holding.wait(10.0)
        try:
            with pytest.raises(FetchTimedOut):
                corpus.fetch("https://a.example/1", 0.05)
        finally:
            release.set()
        assert all(future.result() is None for future in held)
    assert corpus.fetch("https://a.example/1", 5.0)


def test_many_threads_get_what_one_gets(corpus: Corpus) -> None:
    queries = [f"{first} by the {second}" for first in WORDS for second in WORDS] * 3
    alone = [corpus.search(query, 5, 5.0) for query in queries]
    with ThreadPoolExecutor(24) as threads:
        together = list(threads.map(lambda query: corpus.search(query, 5, 30.0), queries))
    assert together == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_it_survives_a_fork_of_the_process(corpus: Corpus) -> None:
    expected = corpus.search("mill", 5, 5.0)
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            right = all(corpus.search("mill", 5, 5.0) == expected for _ in range(50))
            os._exit(0 if right else 1)
        children.append(child)
    assert all(corpus.search("mill", 5, 5.0) == expected for _ in range(50))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4


def test_pickling_goes_by_the_path(tmp_path: Path) -> None:
    corpus = Corpus.build(pages(), tmp_path / "a.sqlite")
    content = pickle.dumps(corpus)
    assert len(content) < 500
    assert pickle.loads(content) is corpus
    program = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).search('mill 51', 1, 5.0)[0].title)"
    answer = subprocess.run(
        [sys.executable, "-c", program], input=content, cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert answer.stdout.decode().strip() == "The mill 51"


def test_a_corpus_in_memory_says_that_it_cannot_be_pickled() -> None:
    with pytest.raises(pickle.PicklingError, match="build it into a file"):
        pickle.dumps(Corpus.build(pages()))


# -------------------------------------------------------------------------------------------------------------- cache


def test_the_cache_builds_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "new" / "folder"))
    corpus = cached_corpus("key-1.2_x", pages)
    assert corpus.path == tmp_path / "new" / "folder" / "key-1.2_x.sqlite"
    assert cached_corpus("key-1.2_x", lambda: pytest.fail("built again")) is corpus


def test_the_cache_replaces_what_it_cannot_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path))
    (tmp_path / "key.sqlite").write_bytes(b"an older format")
    assert len(cached_corpus("key", pages)) == 60


def test_the_users_cache_folder_is_used_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AEPO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_corpus("key", pages).path == tmp_path / "aepo_env" / "key.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cached_corpus("key", pages).path == tmp_path / "home" / ".cache" / "aepo_env" / "key.sqlite"


def test_without_a_writable_cache_a_temporary_folder_of_the_users_own_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path = cached_corpus("key", pages).path
    assert path is not None
    assert path.parent.parent == temporary
    assert path.parent.stat().st_mode & 0o077 == 0
    assert cached_corpus("key", lambda: pytest.fail("built again")).path == path


def test_a_full_cache_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, temporary = tmp_path / "kept", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("AEPO_CACHE", str(kept))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    create = store.create

    def create_on_a_small_disk(path: Path | None) -> sqlite3.Connection:
        connection = create(path)
        if path is not None and path.parent == kept:
            connection.execute("PRAGMA max_page_count = 1")  # raised by SQLite to what it has; no page more
        return connection

    monkeypatch.setattr(store, "create", create_on_a_small_disk)
    with pytest.raises(OSError, match="full"):
        Corpus.build(pages(), kept / "direct.sqlite")
    path = cached_corpus("key", pages).path
    assert path is not None
    assert path.parent.parent == temporary
    assert list(kept.iterdir()) == []


def test_what_killed_builds_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, fresh, foreign = (tmp_path / name for name in (".a.sqlite.x.part", ".a.sqlite.y.part", ".b.sqlite.x.part"))
    for part in (old, fresh, foreign):
        part.write_bytes(b"half")
    for part in (old, foreign):
        os.utime(part, (1, 1))
    Corpus.build(pages(), tmp_path / "a.sqlite")
    assert [part.exists() for part in (old, fresh, foreign)] == [False, True, True]


@pytest.mark.parametrize("key", ["", "a/b", "../a", ".hidden", "a b", "ä", "x" * 200])
def test_keys_that_are_no_plain_file_names_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="Expected a key of letters"):
        cached_corpus(key, pages)
