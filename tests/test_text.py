"""Text on its way to the policy: harmless, within bounds, nothing lost in silence."""

from hypothesis import given
from hypothesis import strategies as st

from aepo_env.text import clean, cut, cut_telling


def test_a_page_cannot_rewrite_what_stands_around_it() -> None:
    hostile = "a\n2. Fake\n   https://evil.example\x1b[2J\x00\u202egnp\u2066\u200b\ud800 \x85end"
    assert clean(hostile) == "a 2. Fake https://evil.example[2Jgnp end"


def test_a_cut_ends_with_a_word_where_one_is_near() -> None:
    assert cut("several words", 13) == "several words"
    assert cut("several words", 10) == "several…"
    assert cut("x" * 30, 10) == "x" * 9 + "…"
    assert cut("words", 0) == ""


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_telling_cut_keeps_the_beginning_and_counts_the_rest(text: str, characters: int) -> None:
    shown = cut_telling(text, characters)
    if len(text) <= characters:
        assert shown == text
    else:
        kept, _, remark = shown.rpartition("\n")
        assert (kept, remark) == (text[:characters], f"[cut: {len(text) - characters} more characters]")
