"""Policies from folders: what is missing is said in one sentence; a padded vocabulary has no text."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.policy.loading import Policy, load_policy
from algorithms.policy.tiny import tiny_model
from tests.algorithms.training.small import SHAPE, tokenizer, untrained


@pytest.mark.parametrize("kind", ["nothing", "empty folder", "a file", "no name at all", "broken"])
def test_what_is_no_model_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    given = tmp_path / "given"
    if kind in ("empty folder", "broken"):
        given.mkdir()
    if kind == "broken":
        untrained().save(given)
        (given / "model.safetensors").write_bytes(b"nothing of the kind")
    if kind == "a file":
        given.write_text("{}", "utf-8")
    name = "what is/this/?" if kind == "no name at all" else str(given)
    with pytest.raises(ValueError, match="There is no model at") as raised:
        load_policy(name)
    assert "\n" not in str(raised.value)


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    untrained().model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="tokenizer"):
        load_policy(tmp_path)


def test_tokens_beyond_the_tokenizers_have_no_text() -> None:
    policy = Policy(tiny_model(600, 0, SHAPE), tokenizer())
    assert policy.pieces[512:] == [""] * 88
    assert policy.codec.vocabulary == 600


def test_what_is_loaded_is_in_float32_and_ready_to_generate(tmp_path: Path) -> None:
    made = untrained()
    made.model.to(torch.bfloat16)
    made.save(tmp_path)
    again = load_policy(tmp_path)
    assert {parameter.dtype for parameter in again.model.parameters()} == {torch.float32}
    assert not again.model.training
