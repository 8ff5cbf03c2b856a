"""The corpus over 20,814 real pages, where the shared data lie beside the checkout (or at $AEPO_SHARED)."""

import json
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aepo_env.corpus import Corpus, Page

SHARED = Path(os.environ.get("AEPO_SHARED") or Path(__file__).resolve().parents[3] / "shared")
DATA = SHARED / "data" / "offline_web"
pytestmark = pytest.mark.skipif(
    not (DATA / "pages.jsonl").is_file(), reason=f"no real pages at {DATA} (set AEPO_SHARED)"
)


def pages() -> Iterator[Page]:
    with (DATA / "pages.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            page = json.loads(line)
            yield Page(page["url"], page["title"], text=page["text"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "offline_web.sqlite"
    start = time.process_time()
    assert len(Corpus.build(pages(), path)) == 20_814
    assert time.process_time() - start < 20.0
    return path


@pytest.mark.timing
def test_opening_takes_milliseconds(path: Path) -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        corpus = Corpus.open(path)
        times.append(time.perf_counter() - start)
        assert len(corpus) == 20_814
        del corpus
    assert min(times) < 0.02


def test_an_exact_title_finds_its_page_first(path: Path) -> None:
    corpus = Corpus.open(path)
    sample = list(pages())[::20]
    first = sum(corpus.search(page.title, 1, 10.0)[0].address == page.address for page in sample)
    assert first >= 0.998 * len(sample)


@pytest.mark.timing
def test_questions_find_gold_pages_quickly(path: Path) -> None:
    corpus = Corpus.open(path)
    with (DATA / "questions.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines][::4]
    times, found, asked = [], 0, 0
    for question in questions:
        if question["metadata"]["source"] == "musique":
            continue
        gold = {page["url"] for page in question["metadata"]["supporting_pages"]}
        start = time.thread_time()
        hits = corpus.search(question["question"], 10, 10.0)
        times.append(time.thread_time() - start)
        asked += 1
        found += any(hit.address in gold for hit in hits)
    assert found >= 0.98 * asked
    assert statistics.median(times) < 0.02  # seconds of the processor; some 3 ms on a quiet machine
