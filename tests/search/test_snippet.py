"""Snippets: short, around the words, plain."""

from hypothesis import example, given
from hypothesis import strategies as st

from aepo_env.search.snippet import snippet
from aepo_env.text import clean, cut

FILLER = "Nothing of interest stands here, one sentence after another. " * 20
TEXT = FILLER + "The film was directed by Ada Byron in Łódź. " + FILLER + "Another film." + FILLER


def test_a_snippet_stands_where_most_of_the_words_are() -> None:
    shown = snippet(TEXT, ["film", "directed"], 80)
    assert shown.startswith("… The film was directed by Ada Byron in Łódź.")


def test_words_match_by_their_stem_and_without_accents() -> None:
    assert "directed by" in snippet(TEXT, ["director"], 60)
    assert "Łódź" in snippet(TEXT, ["lodz"], 60)


def test_parts_of_words_do_not_match() -> None:
    assert snippet("A bart is here. " + FILLER + "Fine art hangs there." + FILLER, ["art"], 40).find(" art ") > 0


def test_a_text_without_the_words_is_shown_from_its_beginning() -> None:
    assert snippet(FILLER, ["zebra"], 40) == "Nothing of interest stands here, one…"


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert snippet("one\n two\tthree", ["two"], 13) == "one two three"


@example("A", ["a"], 0)
@given(st.text(st.characters(), max_size=500), st.lists(st.sampled_from(["a", "b1", "word", "0"])), st.integers(0, 60))
def test_length_is_bounded_and_the_text_is_plain(text: str, query: list[str], characters: int) -> None:
    for shown in (snippet(text, query, characters), cut(clean(text), characters)):
        assert len(shown) <= characters
        assert "\n" not in shown
        shown.encode()


@given(st.integers(0, 400), st.integers(20, 200))
def test_the_word_is_always_shown(before: int, characters: int) -> None:
    assert "zebra" in snippet("x " * before + "zebra" + " y" * 300, ["zebra"], characters)
