"""The search tool: what it shows of an engine's hits, and what becomes of bad queries and failing engines."""

from pathlib import Path

import pytest

from aepo_env.cache import CachedEngine
from aepo_env.corpus import Corpus, Page
from aepo_env.search.engine import Hit, SearchFailed, SearchTimedOut
from aepo_env.tools.search import SearchTool
from aepo_env.tools.tool import CallContext, Forking, ToolResult

CORPUS = Corpus.build(
    Page(f"https://a.example/{name}", f"The {name}", text=f"The {name} was built in {year}. " + "It is old. " * 40)
    for name, year in (("mill", 1815), ("tower", 1820), ("bridge", 1822))
)


class Failing:
    def __init__(self, error: SearchFailed) -> None:
        self.error = error

    def search(self, query: str, limit: int, seconds: float, snippet_characters: int = 200) -> list[Hit]:
        raise self.error


class Fixed:
    def __init__(self, *hits: Hit) -> None:
        self.hits = list(hits)

    def search(self, query: str, limit: int, seconds: float, snippet_characters: int = 200) -> list[Hit]:
        return self.hits


def call(tool: SearchTool, query: str) -> ToolResult:
    return tool.call(None, query, CallContext())


def test_hits_are_a_numbered_list_and_become_the_episodes_results() -> None:
    result = call(SearchTool(CORPUS, limit=2, snippet_characters=30), "mill or tower 1820")
    assert result.text == (
        "1. The tower\n   https://a.example/tower\n   The tower was built in 1820.…\n"
        "2. The mill\n   https://a.example/mill\n   The mill was built in 1815.…"
    )
    assert result.results == ("https://a.example/tower", "https://a.example/mill")
    assert (result.state, result.fault, SearchTool.forking) == (None, None, Forking.PURE)


def test_a_small_model_gets_one_whole_page() -> None:
    result = call(SearchTool(CORPUS, limit=1, snippet_characters=1000, addresses=False), "mill")
    assert result.text == "1. The mill\n   " + CORPUS.search("mill", 1, 5.0, 1000)[0].snippet
    assert result.text.count("It is old.") == 40


def test_nothing_found_is_said_and_empties_the_results() -> None:
    assert call(SearchTool(CORPUS), "zebra")[::2] == ("Nothing found.", ())


@pytest.mark.parametrize("query", ["", " \n\t"])
def test_an_empty_query_gets_a_sentence_and_leaves_the_results(query: str) -> None:
    result = call(SearchTool(CORPUS), query)
    assert result.text.startswith("The query is empty. Write")
    assert (result.results, result.fault) == (None, None)


@pytest.mark.parametrize(
    ("error", "kind"), [(SearchFailed("It is down."), "unavailable"), (SearchTimedOut("It is slow."), "timeout")]
)
def test_a_failing_engine_is_a_fault_in_words(error: SearchFailed, kind: str) -> None:
    result = call(SearchTool(Failing(error)), "x")
    assert result.text == f"The search failed: {error} Try again."
    assert result.fault == (kind, result.text, True)
    assert result.results is None


def test_a_search_past_its_deadline_is_a_time_out() -> None:
    fault = SearchTool(CORPUS).call(None, "mill", CallContext(seconds=0.0)).fault
    assert fault is not None
    assert fault.kind == "timeout"


def test_hits_cannot_pretend_to_be_other_hits() -> None:
    hostile = Hit("a\n2. Fake" + "x" * 500, "https://a.example/\n3. Fake", "b\r\n4. \u2028Fake\x1b[2J" + "y" * 500)
    lines = call(SearchTool(Fixed(hostile)), "x").text.splitlines()
    assert [line[:3] for line in lines] == ["1. ", "   ", "   "]
    assert max(map(len, lines)) <= 3 + 200


def test_an_engine_that_gives_too_much_is_cut_to_the_limit() -> None:
    result = call(SearchTool(Fixed(*[Hit("a", f"https://a.example/{n}", "") for n in range(9)]), limit=2), "x")
    assert result.results == ("https://a.example/0", "https://a.example/1")


def test_the_length_of_snippets_passes_through_a_cache(tmp_path: Path) -> None:
    for characters in (30, 60, 30):
        tool = SearchTool(CachedEngine(CORPUS, tmp_path / "cache.sqlite", name="corpus"), 1, characters)
        assert call(tool, "mill") == call(SearchTool(CORPUS, 1, characters), "mill")


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"snippet_characters": -1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Expected limit >= 1 and snippet_characters >= 0, got"):
        SearchTool(CORPUS, **wrong)
