"""Words of pages and queries: the same cut for both, and nothing in a word but letters and digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepo_env.search.words import LONGEST_WORD, MOST_QUERY_WORDS, STOP_WORDS, query_words, title_key, words

ANY_TEXT = st.text(st.characters(), max_size=200)  # with NUL, lone surrogates, private use


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Café's 3 O'Brien-films", ["the", "cafes", "3", "obrien", "films"]),
        ("SÃO Sa\u0303o Straße ŁÓDŹ Ærø", ["sao", "sao", "strasse", "lodz", "aero"]),
        ("snake_case\0a\ud800b", ["snake", "case", "a", "b"]),
        ("東京タワー 12", ["東", "京", "タ", "ワ", "ー", "12"]),
        ("ﬁne ①", ["fine", "1"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(ANY_TEXT)
def test_a_word_holds_letters_and_digits_only(text: str) -> None:
    for word in words(text):
        assert word.isalnum()
        assert 0 < len(word) <= LONGEST_WORD


@given(ANY_TEXT)
def test_cutting_the_words_again_changes_nothing(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


def test_stop_words_are_searched_for_only_if_nothing_else_is_left() -> None:
    assert query_words("Who directed the film, the film?") == ["directed", "film"]
    assert query_words("Who is The Who?") == ["who", "is", "the"]
    assert all(words(word) == [word] for word in STOP_WORDS)


def test_queries_are_bounded() -> None:
    assert len(query_words(" ".join(f"w{number}" for number in range(10_000)))) == MOST_QUERY_WORDS


@pytest.mark.parametrize(("one", "other"), [("The Who", "the  who!"), ("S\u0327oruk", "Şoruk"), ("!!!", " ! !! ")])
def test_titles_that_count_as_the_same(one: str, other: str) -> None:
    assert title_key(one) == title_key(other) != ""


def test_titles_without_words_differ() -> None:
    assert title_key("!!!") != title_key("???") != ""
