"""Parts of a long text: they cover it, stay within their length, and places are found in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepo_env.browser.parts import part_number, part_starts, part_text, passage

TEXTS = st.lists(st.sampled_from(["word", " ", "\n", "x" * 30, "é [4]"])).map("".join)


@given(TEXTS, st.integers(1, 50))
def test_parts_cover_the_text_in_order(text: str, characters: int) -> None:
    starts = part_starts(text, characters)
    assert starts[0] == 0
    assert all(0 < end - start <= characters for start, end in zip(starts, [*starts[1:], len(text) or 1], strict=True))
    parts = [part_text(text, start, characters) for start in starts]
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert [part_number(starts, start) for start in starts] == list(range(1, len(starts) + 1))


def test_parts_end_at_lines_else_between_words() -> None:
    text = "one two three\nfour five six seven\neight"
    assert [part_text(text, start, 20) for start in part_starts(text, 20)] == [
        "one two three",
        "four five six seven",
        "eight",
    ]
    assert [part_text("aaa bbb ccc", start, 8) for start in part_starts("aaa bbb ccc", 8)] == ["aaa bbb", "ccc"]


TEXT = "Ada was born in London [1], England.\nShe died in London. Łódź is far. " + "x " * 500


@pytest.mark.parametrize(
    ("words", "start", "place"),
    [
        ("london", 0, 16),
        ("LONDON england", 0, 16),
        ("London", 17, 49),
        ("London", 60, 16),
        ("was  born, in", 0, 4),
        ("lodz", 0, TEXT.index("Łódź")),
        ("dire", 0, None),
        ("ondon", 0, None),
        ("[1],", 0, 24),
        ("?", 0, None),
        ("].", 0, None),
    ],
)
def test_where_words_stand(words: str, start: int, place: int | None) -> None:
    assert passage(TEXT, words, start) == place


@given(TEXTS, st.text(st.characters(), max_size=20), st.integers(0, 100))
def test_any_words_can_be_looked_for(text: str, words: str, start: int) -> None:
    place = passage(text, words, start)
    assert place is None or 0 <= place <= len(text)


def test_a_passage_shows_the_place_and_is_marked_where_it_is_cut() -> None:
    text = "First line.\n" + "before " * 200 + "HERE " + "after " * 200
    shown = part_text(text, text.index("HERE"), 200, around=True)
    assert shown.startswith("… before before")
    assert "HERE after" in shown
    assert shown.endswith("after …")
    assert len(shown) <= 204
    assert part_text("a\nb HERE", 4, 200, around=True) == "b HERE"
