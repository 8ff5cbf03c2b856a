"""Cost: the default world in seconds, many pages without holding them."""

import gc
import itertools
import time
import tracemalloc

import pytest

from aepo_env.corpus import Corpus
from aepo_env.worlds.web import web_pages
from aepo_env.worlds.web.world import web_graph


@pytest.mark.timing
def test_the_default_world_is_made_and_indexed_within_ten_seconds(tmp_path):
    web_graph.cache_clear()
    started = time.perf_counter()
    corpus = Corpus.build(web_pages(seed=11), tmp_path / "corpus.sqlite")
    assert len(corpus) >= 2000
    assert time.perf_counter() - started < 10


def test_pages_are_streamed_not_held():
    """Of 2,000 pages, less than a tenth is still held afterwards: what the interpreter keeps for itself."""
    pages = web_pages(pages=5000, seed=12)
    next(pages)  # the graph is made now
    tracemalloc.start()
    try:
        assert sum(1 for _ in itertools.islice(pages, 500)) == 500
        before = memory_in_use()
        characters = sum(len(page.html) for page in itertools.islice(pages, 2000))
        after = memory_in_use()
    finally:
        tracemalloc.stop()
    assert characters > 2_000_000
    assert after - before < characters / 10


def memory_in_use():
    gc.collect()  # empties the interpreter's stores of freed tuples as well
    return tracemalloc.get_traced_memory()[0]


def test_the_hundred_thousandth_task_is_as_quick_as_the_first():
    from aepo_env.worlds.web import PRESETS
    from aepo_env.worlds.web.questions import WebTasks

    tasks = WebTasks(web_graph("train", 0, 1000, PRESETS["medium"]), count=10**12, name="x")
    started = time.perf_counter()
    assert tasks[10**12 - 1].question
    assert time.perf_counter() - started < 2
