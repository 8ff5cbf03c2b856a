"""Ranking: exact titles first, rarer words count, and no query is ever read as syntax."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aepo_env.corpus import Corpus, Page
from aepo_env.search import lookups
from aepo_env.search.words import query_words

COMMON = [Page(f"https://a.example/{n}", f"Film {n}", text=f"A film directed by person{n}.") for n in range(1500)]
SPECIAL = [
    Page("https://a.example/mill", "The Silent Mill", text="A film directed by Ada."),
    Page("https://a.example/film", "The Silent Mill (film)", text="Silent mill, silent mill, silent mill: a film."),
    Page("https://a.example/ada", "Ada", text="Ada lives in a mill. She is silent. Near the end."),
    Page("https://a.example/who", "The Who", text="A band."),
]
CORPUS = Corpus.build([*COMMON, *SPECIAL])

OPERATORS = [
    '"',
    '""',
    "NEAR(",
    "NEAR(film mill, 2)",
    "AND",
    "OR",
    "NOT",
    "*",
    "fil*",
    "^film",
    "title:",
    "{title body}:",
]
OPERATORS += [
    "-",
    "+",
    "(",
    ")",
    "\0",
    "\ud800",
    "'; DROP TABLE pages; --",
    "film",
    "mill",
    "\ue000",
    "%",
    "_",
    "\\",
    ":",
]


@given(st.lists(st.sampled_from(OPERATORS) | st.text(st.characters(), max_size=5)).map(" ".join))
@settings(max_examples=150, deadline=None)
def test_no_query_is_syntax(query: str) -> None:
    plain = " ".join(query_words(query))
    found, expected = CORPUS.search(query, 5, 10.0), CORPUS.search(plain, 5, 10.0)
    assert len(found) == len(expected)
    assert CORPUS.search(query, 5, 10.0) == found


@pytest.mark.parametrize("query", ["x" * 100_000, "film " * 20_000, '"' * 100_000, " ".join(map(str, range(20_000)))])
def test_long_queries_are_answered(query: str) -> None:
    assert len(CORPUS.search(query, 5, 5.0)) <= 5


@pytest.mark.parametrize("query", ["", " ", "\0", "?!", "zebra", "\ue000"])
def test_queries_that_match_nothing(query: str) -> None:
    assert CORPUS.search(query, 5, 5.0) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_no_hits_are_asked_for(limit: int) -> None:
    assert CORPUS.search("film", limit, 5.0) == []


@pytest.mark.parametrize(("query", "title"), [("the silent mill", "The Silent Mill"), ('"The Who"?', "The Who")])
def test_an_exact_title_comes_first_even_if_another_page_matches_better(query: str, title: str) -> None:
    assert CORPUS.search(query, 3, 5.0)[0].title == title


def test_the_very_spelling_comes_first_among_equal_titles() -> None:
    corpus = Corpus.build([Page(f"https://a.example/{title}", title, text="x") for title in ("ice", "Ice", "ICE")])
    assert [corpus.search(title, 1, 5.0)[0].title for title in ("Ice", "ICE", "ice")] == ["Ice", "ICE", "ice"]


def test_words_are_found_by_their_stem() -> None:
    assert CORPUS.search("adas silence", 1, 5.0)[0].title == "Ada"


def test_common_words_still_count_for_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Page(f"https://a.example/{n}", "x", text="town") for n in range(50)]
    pages += [Page("https://a.example/a", "x", text="keld village"), Page("https://a.example/b", "x", text="keld town")]
    corpus = Corpus.build(pages)
    monkeypatch.setattr(lookups, "CANDIDATES", 10)
    hits = corpus.search("town keld", 5, 5.0)
    assert [hit.address[-1] for hit in hits] == ["b", "a"]
