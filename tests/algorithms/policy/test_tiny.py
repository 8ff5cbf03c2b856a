"""The tiny model and its tokenizer: plain transformers objects; names and numbers cut alike everywhere; it copies."""

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithms.policy.codec import ChatCodec
from algorithms.policy.loading import Policy, load_policy
from algorithms.policy.tiny import END, TAGS, TinyShape, tiny_model, tiny_tokenizer
from tests.algorithms.training.small import SHAPE, tokenizer, untrained, weights

EVERY_TAG = [f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")] + ["\\boxed{"]
NAMES = ("Brolan Works", "The Plikan Gobro", "Upper Stega", "Zodrus Brinen", "Ünïx Ørsted")


def ids_of(text: str, found: Any = None) -> list[int]:
    ids: list[int] = (found or tokenizer()).encode(text, add_special_tokens=False)
    return ids


def test_saved_and_loaded_again_it_is_the_same_policy(tmp_path: Path) -> None:
    made = untrained()
    made.save(tmp_path)
    again = load_policy(tmp_path)
    ids = torch.randint(0, len(tokenizer()), (3, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(made.model(input_ids=ids).logits, again.model(input_ids=ids).logits)
    assert again.pieces == made.pieces
    text = "<think>I need Brolan.</think><search>Brolan Works 1987</search>\n ü <|end|> \\boxed{x}"
    for one in (made, again):
        assert ids_of(text, one.tokenizer) == ids_of(text)
        assert one.codec.observation(text) == made.codec.observation(text)
        assert one.codec.end_tokens == frozenset({0})
        assert one.codec.prompt([{"role": "user", "content": "Who?"}]) == ids_of("Who?\n")


def test_plain_transformers_load_what_was_saved(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = untrained()
    made.save(tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(str(tmp_path))
    found: Any = AutoTokenizer.from_pretrained(str(tmp_path))
    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert torch.equal(weights(model), weights(made.model))
    assert model.lm_head.weight is model.get_input_embeddings().weight
    asked = found.apply_chat_template(
        [{"role": "system", "content": "long"}, {"role": "user", "content": "Who made Brolan?"}], tokenize=False
    )
    assert asked == "Who made Brolan?\n"
    out = model.generate(torch.tensor([ids_of(asked, found)]), max_new_tokens=3, do_sample=False)
    assert out.shape[1] <= len(ids_of(asked)) + 3


def test_before_its_first_step_the_model_copies_what_it_saw() -> None:
    model = tiny_model(512)
    half = torch.randint(1, 512, (4, 30), generator=torch.Generator().manual_seed(1))
    ids = torch.cat([half, half], 1)
    with torch.no_grad():
        log_probs = torch.log_softmax(model(input_ids=ids).logits[:, :-1], -1)
    found = log_probs.gather(-1, ids[:, 1:, None])[..., 0]
    # The first token of the second half cannot be foreseen.
    first, second = found[:, :29].mean(), found[:, 30:].mean()
    assert second > first + 3  # some twenty times likelier
    guessed = log_probs[:, 30:].argmax(-1) == ids[:, 31:]
    assert guessed.float().mean() > 0.4


def test_names_that_share_a_syllable_are_told_apart_by_the_one_before() -> None:
    model = tiny_model(512)
    told = []
    for asked in range(8):  # which of eight names is begun again; four share the middle syllable 10, four 11
        order = torch.randperm(500, generator=torch.Generator().manual_seed(asked))[:24] + 12
        firsts, lasts, between = order.view(3, 8).tolist()
        middles = [10 + place % 2 for place in range(8)]
        names = [[*name] for name in zip(firsts, middles, lasts, between, strict=True)]
        page = [token for name in names for token in name]
        with torch.no_grad():
            behind = model(input_ids=torch.tensor([[*page, firsts[asked], middles[asked]]])).logits[0, -1]
        told.append(int(behind[lasts].argmax()) == asked)
    assert sum(told) >= 6  # of the last token alone, one in four


def test_a_model_depends_on_its_arguments_alone_and_leaves_chance_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one = tiny_model(300, seed=3, shape=SHAPE)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert torch.equal(weights(tiny_model(300, seed=3, shape=SHAPE)), weights(one))
    assert not torch.equal(weights(tiny_model(300, seed=4, shape=SHAPE)), weights(one))
    assert not one.training


def test_the_default_has_a_million_parameters() -> None:
    model = tiny_model(1_024)
    assert 0.9e6 < sum(parameter.numel() for parameter in model.parameters()) < 1e6
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


@pytest.mark.parametrize("shape", [(30, 4), (32, 8), (36, 4)])
def test_heads_that_do_not_fit_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="heads that divide the width"):
        TinyShape(width=shape[0], heads=shape[1])


def test_every_tag_is_one_token_and_no_special_one() -> None:
    for tag in EVERY_TAG:
        (token,) = ids_of(tag)
        assert tokenizer().convert_ids_to_tokens(token) == tag
        assert token not in tokenizer().all_special_ids
    assert len({ids_of(tag)[0] for tag in EVERY_TAG}) == len(EVERY_TAG)
    assert tokenizer().all_special_ids == [0]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_cut_the_same_way_wherever_it_stands(name: str) -> None:
    alone = ids_of(name)
    for before, behind in (
        ("<search>", "</search>"),
        ("<answer>\\boxed{", "}</answer>"),
        ("<think>The founder is ", ".</think>"),
        ("<result>\n1. ", "\n</result>"),
        ("\n   ", " is a town."),
        ("What is the founder of ", "?"),
    ):
        found = ids_of(before + name + behind)
        assert any(found[at : at + len(alone)] == alone for at in range(len(found))), (before, behind)


@pytest.mark.parametrize("number", ["7", "1987", "2043", "-31", "1000000"])
def test_a_number_is_cut_the_same_way_in_page_call_and_answer(number: str) -> None:
    digits = number.lstrip("-")
    alone = [token for token in ids_of(digits) if tokenizer().decode([token]) != " "]
    assert "".join(tokenizer().decode([token]) for token in alone) == digits
    for text in (
        f"Brolan was built in {number}.",
        f"<python>print({number}-{number})</python>",
        f"<answer>\\boxed{{{number}}}</answer>",
        f"<result>\n{number}\n</result>",
        f"<python>{number}+1</python>",
    ):
        found = ids_of(text)
        assert any(found[at : at + len(alone)] == alone for at in range(len(found))), text


def without_added_spaces(text: str) -> str:
    """As it was: one space is put in front of each stretch between tags (and none in front of an empty one)."""
    cut = re.split("(" + "|".join(map(re.escape, [*EVERY_TAG, END])) + ")", text)
    return "".join(part if place % 2 else part.removeprefix(" ") for place, part in enumerate(cut))


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.one_of(anything, st.sampled_from(EVERY_TAG)), max_size=5).map("".join))
@example("\x00\x1f\x7f\u2028\r\n\t")
@example("日本語 \U0001f600 é e\u0301")
@example("  two spaces  and a tab\t")
@example("")
@settings(max_examples=60)
def test_any_text_comes_back_up_to_the_spaces_in_front(text: str) -> None:
    if END in text:
        return
    found = tokenizer().decode(ids_of(text), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert without_added_spaces(found) == text
    assert ids_of(text) == ChatCodec(tokenizer()).observation(text)


def test_the_same_texts_give_the_same_tokenizer_and_a_full_vocabulary() -> None:
    texts = [f"Brolan Keld {number} was built by Upper Stega. " * 3 for number in range(300)]
    one, other = tiny_tokenizer(texts, 300), tiny_tokenizer(list(texts), 300)
    assert one.get_vocab() == other.get_vocab()
    assert len(one) == 300 == len(tokenizer()) - 212
    assert one.eos_token_id == one.pad_token_id == 0


def test_pieces_give_stop_strings_back_whole() -> None:
    made: Policy = untrained()
    assert [made.pieces[ids_of(tag)[0]] for tag in EVERY_TAG] == EVERY_TAG
    assert len(made.pieces) == made.model.config.vocab_size
