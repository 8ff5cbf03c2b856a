import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from algorithms.policy.stopping import LONGEST, StopMatcher, check_stops, token_pieces


@given(
    st.lists(st.text("ab<>", max_size=4), max_size=30), st.lists(st.text("ab<>", min_size=1, max_size=6), max_size=3)
)
def test_the_first_token_that_completes_a_stop_string_is_found(pieces: list[str], stops: list[str]) -> None:
    matcher, text = StopMatcher(pieces), ""
    for token, piece in enumerate(pieces):
        text += piece
        found = matcher.feed(token, stops)
        if any(stop in text for stop in stops):
            ends = {stop: text.find(stop) + len(stop) for stop in stops if stop in text}
            assert found in ends
            assert ends[found] == min(ends.values())
            return
        assert found is None


def test_a_stop_string_is_reported_once_and_again_only_when_written_again() -> None:
    matcher = StopMatcher(["</s", ">x", "a" * 100])
    assert [matcher.feed(token, ["</s>"]) for token in (0, 1, 2, 0, 1)] == [None, "</s>", None, None, "</s>"]


def test_a_new_turn_forgets_the_old_text() -> None:
    matcher = StopMatcher(["</s", ">"])
    matcher.feed(0, ["</s>"])
    matcher.clear()
    assert matcher.feed(1, ["</s>"]) is None


def test_a_stop_string_of_the_greatest_length_is_found_letter_by_letter() -> None:
    stop = "x" * (LONGEST - 1) + "y"
    matcher = StopMatcher(["x", "y"])
    assert [matcher.feed(0, [stop]) for _ in range(500)] == [None] * 500
    assert matcher.feed(1, [stop]) == stop


@pytest.mark.parametrize("stop", ["", "x" * (LONGEST + 1)])
def test_stop_strings_that_cannot_be_found_are_refused(stop: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 characters"):
        check_stops(["</ok>", stop])


def byte_level() -> PreTrainedTokenizerFast:
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for merged in ("Ġ<", "</"):
        vocabulary[merged] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "<"), ("<", "/")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def spaces_at_words() -> PreTrainedTokenizerFast:
    letters = "▁abc<>/"
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate([*letters, "▁a"])}, merges=[("▁", "a")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.mark.parametrize("make", [byte_level, spaces_at_words])
def test_the_pieces_of_a_text_make_up_the_text(make) -> None:
    tokenizer = make()
    pieces = token_pieces(tokenizer)
    assert len(pieces) == len(tokenizer)
    text = "a b </a>  a</c>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert "".join(pieces[i] for i in ids).strip() == text


def test_pieces_of_incomplete_characters_hold_no_letters_and_special_tokens_are_text() -> None:
    tokenizer = byte_level()
    pieces = token_pieces(tokenizer)
    assert all(pieces[i].isascii() or "\ufffd" in pieces[i] for i in range(len(pieces)))
    assert pieces[tokenizer.eos_token_id] == "<end>"
