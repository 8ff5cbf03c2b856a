"""CachedTool, CachedEngine, CachedPages: what is called, what is stored, what a replay gives."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aepo_env.browser.source import Document, FetchFailed, PageNotFound
from aepo_env.cache import CachedEngine, CachedPages, CachedTool, CacheError, RecordReplay
from aepo_env.search.engine import Hit, SearchFailed
from aepo_env.tools.tool import CallContext, Fault, Forking, ToolResult
from tests.cache.shared import Counting, Exploding

CONTEXT = CallContext(seconds=5.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.sqlite"


def test_strict_replay_equals_the_recording_and_makes_no_call(path: Path) -> None:
    recorder = CachedTool(Counting(extra="x"), path, "record")
    arguments = ["one", "two", "three\nlines", "", "</result>", "quote ' \" ; DROP TABLE entries"]
    recorded = [recorder.call(None, argument, CONTEXT) for argument in arguments]
    recorder.close()
    replayer = CachedTool(Exploding(), path, "replay")
    assert [replayer.call(None, argument, CONTEXT) for argument in arguments] == recorded
    assert recorded[0] == ToolResult("one: xé\u2028\ud800\x00", None, ("https://a/one", "b"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_survives(path: Path, text: str) -> None:
    tool = CachedTool(Counting(extra=text), path, "record")
    recorded = tool.call(None, text, CONTEXT)
    tool.close()
    assert CachedTool(Exploding(), path, "replay").call(None, text, CONTEXT) == recorded


def test_a_miss_in_replay_is_a_fault_and_no_call(path: Path) -> None:
    CachedTool(Counting(), path, "record").close()
    result = CachedTool(Exploding(), path, "replay").call("state", "unheard", CONTEXT)
    assert result.fault is not None
    assert result.fault.kind == "not_recorded"
    assert not result.fault.retryable
    assert "unheard" in result.text
    assert result.state == "state"


@pytest.mark.parametrize(("mode", "calls"), [("off", 2), ("record", 2), ("auto", 1)])
def test_how_often_each_mode_calls(path: Path, mode: str, calls: int) -> None:
    inner = Counting()
    tool = CachedTool(inner, path, mode)  # type: ignore[arg-type]
    assert tool.call(None, "a", CONTEXT) == tool.call(None, "a", CONTEXT)
    assert len(inner.calls) == calls
    assert path.exists() == (mode != "off")


def test_record_replaces_what_was_stored(path: Path) -> None:
    for extra in ("old", "new"):
        tool = CachedTool(Counting(extra=extra), path, "record")
        tool.call(None, "a", CONTEXT)
        tool.close()
    assert "new" in CachedTool(Exploding(), path, "replay").call(None, "a", CONTEXT).text


def test_faults_are_never_stored(path: Path) -> None:
    inner = Counting(fault=Fault("unavailable", "no network", retryable=True))
    tool = CachedTool(inner, path, "auto")
    assert tool.call(None, "a", CONTEXT).fault == inner.fault
    inner.fault = None
    assert tool.call(None, "a", CONTEXT).fault is None
    assert tool.call(None, "a", CONTEXT).text.startswith("a")
    assert len(inner.calls) == 2


def test_name_version_scope_and_argument_are_all_part_of_the_key(path: Path) -> None:
    tools = [CachedTool(Counting(extra=v), path, "auto", version=v, scope=lambda c: c.task_id) for v in ("1", "2")]
    tools.append(CachedTool(Counting(extra="3"), path, "auto", version="1"))
    other = Counting(extra="4")
    other.name = "other"
    tools.append(CachedTool(other, path, "auto", version="1"))
    asked = [(tool, word, task) for tool in tools for word in ("a", "b") for task in ("t", "u")]
    texts = [tool.call(None, word, CONTEXT._replace(task_id=task)).text for tool, word, task in asked]
    again = [tool.call(None, word, CONTEXT._replace(task_id=task)).text for tool, word, task in asked]
    assert again == texts
    made = sum(len(tool._tool.calls) for tool in tools)  # type: ignore[attr-defined]
    assert made == 2 * (2 * 2) + 2 * 2  # the last two tools have no scope, so they share between tasks


def test_outer_white_space_does_not_count(path: Path) -> None:
    inner = Counting()
    tool = CachedTool(inner, path, "auto")
    assert tool.call(None, " a b\n", CONTEXT) == tool.call(None, "a b", CONTEXT)
    assert inner.calls == ["a b"]


def test_threads_asking_the_same_at_once_pay_once(path: Path) -> None:
    inner = Counting(delay=0.2)
    tool = CachedTool(inner, path, "auto")
    with ThreadPoolExecutor(16) as pool:
        results = set(pool.map(lambda _: tool.call(None, "same", CONTEXT), range(16)))
    assert len(results) == 1
    assert inner.calls == ["same"]


def test_two_cache_objects_on_one_file_pay_once(path: Path) -> None:
    inner = Counting(delay=0.2)
    tools = [CachedTool(inner, path, "auto") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(lambda tool: tool.call(None, "same", CONTEXT), tools))
    assert len(results) == 1
    assert len(inner.calls) == 1


def test_different_questions_do_not_wait_for_each_other(path: Path) -> None:
    tool = CachedTool(Counting(delay=0.3), path, "auto")
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: tool.call(None, str(i), CONTEXT), range(8)))
    assert time.monotonic() - started < 8 * 0.3


def test_waiting_for_anothers_call_has_a_deadline(path: Path) -> None:
    tool = CachedTool(Counting(delay=1.5), path, "auto")
    leader = threading.Thread(target=tool.call, args=(None, "slow", CONTEXT))
    leader.start()
    time.sleep(0.2)
    started = time.monotonic()
    result = tool.call(None, "slow", CallContext(seconds=0.2))
    waited = time.monotonic() - started
    leader.join(10)
    assert result.fault is not None
    assert (result.fault.kind, result.fault.retryable) == ("timeout", True)
    assert waited < 1.0


def test_those_who_wait_for_a_call_that_breaks_down_are_told(path: Path) -> None:
    cache = RecordReplay(path, "auto")
    begun = threading.Event()

    def explode() -> None:
        begun.set()
        time.sleep(0.3)
        raise RuntimeError("a defect")

    def lead() -> None:
        with pytest.raises(RuntimeError, match="a defect"):
            cache.answer(("q",), explode, 5.0)

    leader = threading.Thread(target=lead)
    leader.start()
    assert begun.wait(5)
    follower = cache.answer(("q",), lambda: "never", 5.0)
    leader.join(10)
    assert isinstance(follower, Fault)
    assert follower.retryable
    assert cache.answer(("q",), lambda: "fine", 5.0) == "fine"


PROCESS = """
import sys
from aepo_env.cache import CachedTool
from aepo_env.tools.tool import CallContext
from tests.cache.shared import Counting
inner = Counting(delay=0.4)
tool = CachedTool(inner, sys.argv[1], "auto")
results = [tool.call(None, word, CallContext(seconds=20.0)) for word in ("a", "b", "c")]
print(len(inner.calls), ascii(results))
"""


def test_processes_share_recordings_and_calls(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": "."}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(3)
    ]
    printed = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], printed
    counts, results = zip(*(out.split(" ", 1) for out, _ in printed), strict=True)
    assert len(set(results)) == 1
    assert sum(map(int, counts)) == 3
    replayed = CachedTool(Exploding(), path, "replay").call(None, "b", CONTEXT)
    assert ascii(replayed) in results[0]


def test_a_claim_left_by_a_dead_process_expires(path: Path) -> None:
    cache = RecordReplay(path, "auto")
    assert cache._store is not None
    key = hashlib.sha256(json.dumps(("q",)).encode()).digest()
    assert cache._store.claim(key, "dead", 0.3)
    assert not cache._store.claim(key, "other", 0.3)
    started = time.monotonic()
    assert cache.answer(("q",), lambda: 1, 5.0) == 1
    assert 0.2 < time.monotonic() - started < 4.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_goes_on_with_the_cache(path: Path) -> None:
    tool = CachedTool(Counting(), path, "auto")
    before = tool.call(None, "before", CONTEXT)
    child = os.fork()
    if child == 0:
        try:
            good = tool.call(None, "before", CONTEXT) == before and tool.call(None, "child", CONTEXT).fault is None
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert CachedTool(Exploding(), path, "replay").call(None, "child", CONTEXT).fault is None
    assert tool.call(None, "after", CONTEXT).fault is None


def test_a_cache_pickles_by_reopening_its_file(path: Path) -> None:
    tool = CachedTool(Exploding(), path, "auto")
    cache = pickle.loads(pickle.dumps(tool._cache))
    assert (cache.path, cache.mode) == (path, "auto")


def test_only_pure_tools_are_cached_whole(path: Path) -> None:
    inner = Counting()
    inner.forking = Forking.PROCESS
    with pytest.raises(ValueError, match="only pure tools"):
        CachedTool(inner, path)
    tool = CachedTool(Counting(), path)
    assert (tool.name, tool.description, tool.forking) == ("count", "says it back", Forking.PURE)


def test_results_that_are_not_json_are_refused(path: Path) -> None:
    cache = RecordReplay(path, "record")
    for value in (object(), {1, 2}, float("nan"), b"bytes"):
        with pytest.raises((TypeError, ValueError)):
            cache.answer(("q",), lambda value=value: value, 1.0)  # type: ignore[misc]
    cache.close()
    assert isinstance(RecordReplay(path, "replay").answer(("q",), lambda: None, 1.0), Fault)


def test_a_hostile_recording_becomes_a_fault(path: Path) -> None:
    for value in ([], {"text": 1, "results": None}, {"text": "t", "results": [1]}, {"text": "t"}, None, "text", 7):
        cache = RecordReplay(path, "record")
        cache.answer(("tool", "count", "", "a", ""), lambda value=value: value, 1.0)  # type: ignore[misc]
        cache.close()
        result = CachedTool(Exploding(), path, "replay").call(None, "a", CONTEXT)
        assert result.fault is not None, value
        assert result.fault.kind == "cache"


@dataclass
class Engine:
    calls: int = 0
    failing: bool = False

    def search(self, query: str, limit: int, seconds: float, snippet_characters: int = 200) -> list[Hit]:
        self.calls += 1
        if self.failing:
            raise SearchFailed("quota used up")
        return [Hit(f"{query} {n}", f"https://a/{n}", "words"[:snippet_characters]) for n in range(limit)]


def test_engines_are_cached_by_query_limit_and_length_of_snippets(path: Path) -> None:
    engine = Engine()
    cached = CachedEngine(engine, path, "auto", name="e")
    assert cached.search("q", 2, 1.0) == cached.search(" q ", 2, 1.0) == engine.search("q", 2, 1.0)
    assert len(cached.search("q", 3, 1.0)) == 3
    assert engine.calls == 3
    assert cached.search("q", 2, 1.0, 3)[0].snippet == "wor"
    engine.failing = True
    with pytest.raises(SearchFailed, match="quota"):
        cached.search("other", 2, 1.0)
    with pytest.raises(SearchFailed, match="record it"):
        CachedEngine(engine, path, "replay", name="e").search("other", 2, 1.0)


@dataclass
class Pages:
    calls: int = 0

    def fetch(self, address: str, seconds: float) -> Document:
        self.calls += 1
        if address == "dead":
            raise PageNotFound("nothing at dead")
        if address == "down":
            raise FetchFailed("the server is down")
        return Document(address, "title", "<p>ü</p>")


def test_pages_and_dead_links_are_recorded_but_failures_are_not(path: Path) -> None:
    pages = Pages()
    cached = CachedPages(pages, path, "auto", name="p")
    assert cached.fetch("x", 1.0) == cached.fetch("x", 1.0) == Document("x", "title", "<p>ü</p>")
    for _ in range(2):
        with pytest.raises(PageNotFound, match="nothing at dead"):
            cached.fetch("dead", 1.0)
    assert pages.calls == 2
    for _ in range(2):
        with pytest.raises(FetchFailed, match="down"):
            cached.fetch("down", 1.0)
    assert pages.calls == 4


def test_unknown_modes_are_told(path: Path) -> None:
    with pytest.raises(ValueError, match="expected the cache mode"):
        RecordReplay(path, "replya")  # type: ignore[arg-type]
    with pytest.raises(CacheError, match="record first"):
        RecordReplay(path, "replay")


@pytest.mark.timing
def test_a_replayed_hit_takes_microseconds(path: Path) -> None:
    tool = CachedTool(Counting(extra="x" * 500), path, "auto")
    tool.call(None, "a", CONTEXT)
    best = min(_seconds_per_call(tool) for _ in range(5))
    assert best < 100e-6


def _seconds_per_call(tool: CachedTool) -> float:
    started = time.perf_counter()
    for _ in range(1000):
        tool.call(None, "a", CONTEXT)
    return (time.perf_counter() - started) / 1000
