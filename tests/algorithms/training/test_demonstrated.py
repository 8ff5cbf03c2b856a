"""Demonstrations of one's own: how a file is read, and what a model learns from it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.policy.loading import load_policy, resolved_device
from algorithms.training import demonstrated, tiny_start
from algorithms.training.cold_start import ColdStart, ColdStartSettings
from algorithms.training.demonstrations import Transcript, encoded, read_transcripts
from algorithms.training.enough import Check, Enough
from algorithms.training.tiny_start import starting_policy
from tests.algorithms.training.small import SHAPE, WEB, config, demonstrations, silent, untrained, weights


def chat(transcript: Transcript) -> dict[str, Any]:
    """A transcript as a line of a file."""
    said: list[dict[str, Any]] = [dict(message) for message in transcript.messages]
    for text, observation in transcript.turns:
        said.append({"role": "assistant", "content": text})
        if observation:
            said.append({"role": "tool", "content": observation})
    return {"id": transcript.task_id, "messages": said}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(chat(one)) + "\n" for one in demonstrations(0, 12)), "utf-8")
    return str(path)


def test_a_file_gives_back_what_was_played(file: str) -> None:
    assert read_transcripts(file) == list(demonstrations(0, 12))


def test_several_observations_in_a_row_are_one(tmp_path: Path) -> None:
    said = [("system", "Rules."), ("user", "Q?"), ("assistant", "<search>a</search>"), ("tool", "1"), ("user", "2")]
    line = {"messages": [{"role": role, "content": text} for role, text in said]}
    (tmp_path / "one.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    (one,) = read_transcripts(tmp_path / "one.jsonl")
    assert [message["role"] for message in one.messages] == ["system", "user"]
    assert one.turns == (("<search>a</search>", "12"),)


def loss(policy: Any, shown: list[Transcript]) -> float:
    """Of the policy's own tokens."""
    rows = [encoded(one, policy.codec, observation_weight=0.0) for one in shown]
    total = count = 0.0
    for row in rows:
        with torch.no_grad():
            logits = policy.model(torch.tensor([row.tokens])).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(row.tokens[1:]), reduction="none")
        counted = torch.tensor(row.weights[1:]) > 0
        total, count = total + float(losses[counted].sum()), count + int(counted.sum())
    return total / count


def test_a_model_of_ones_own_learns_from_the_file(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = untrained()
    start.save(tmp_path / "model")
    monkeypatch.setattr(demonstrated, "PRETRAINED", replace(demonstrated.PRETRAINED, learning_rate=2e-3, tokens=512))
    monkeypatch.setattr(demonstrated.learn, "__defaults__", (demonstrated.PRETRAINED,))
    wanted = config(model=str(tmp_path / "model"), demonstrations=file)
    said: list[str] = []
    learned = starting_policy(wanted, said.append)
    shown = read_transcripts(file)
    assert loss(learned, shown) < loss(start, shown) - 0.5
    assert said[0].startswith("learning from 12 demonstrations: ")
    again = starting_policy(wanted, silent)
    assert torch.equal(weights(again.model), weights(learned.model))
    # Without demonstrations the model is as it was.
    assert torch.equal(weights(starting_policy(replace(wanted, demonstrations=None)).model), weights(start.model))


def test_the_tiny_model_is_made_on_the_file_alone(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("algorithms.training.cold_start.transcripts", lambda *_: pytest.fail("an oracle was asked"))
    monkeypatch.setattr(tiny_start, "transcripts", lambda *_: pytest.fail("an oracle was asked"))
    monkeypatch.setattr(Check, "solved", lambda *_: pytest.fail("checked: what is demonstrated is learned to the end"))
    training = ColdStartSettings(steps=3, warmup=1)
    brief = tiny_start.TinyStart(WEB, vocabulary=320, shape=SHAPE, training=training, enough=Enough(after=1, every=1))
    monkeypatch.setattr(tiny_start, "TinyStart", lambda *_: brief)
    wanted = config(model="tiny", demonstrations=file, threads=1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = starting_policy(wanted, silent)
        assert torch.get_num_threads() == 1  # the run's
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(tiny_start, "make_tiny", lambda *_: pytest.fail("made again"))
    assert torch.equal(weights(starting_policy(wanted, silent).model), weights(first.model))
    Path(file).write_text("".join(json.dumps(chat(one)) + "\n" for one in demonstrations(0, 11)), "utf-8")
    with pytest.raises(pytest.fail.Exception, match="made again"):
        starting_policy(wanted, silent)


def test_a_demonstration_longer_than_the_model_reads_is_refused() -> None:
    long = Transcript("long", ({"role": "user", "content": "Q?"},), (("<think>" + "a b " * 2_000, ""),))
    with pytest.raises(ValueError, match=r"A demonstration has .* tokens and the model reads 1024"):
        demonstrated.learn(untrained(), [long], silent)


def test_rounds_are_shuffled_by_their_number() -> None:
    start = untrained()
    cold = ColdStart(start.model, start.codec, ColdStartSettings(steps=1, tokens=300))
    order = [[len(row.tokens) for row in batch] for batch in cold._batches(iter([demonstrations(0, 12)] * 2))]
    half = len(order) // 2
    assert sorted(order[:half]) == sorted(order[half:])
    assert order[:half] != order[half:]


def test_a_device_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [resolved_device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolved_device("auto") == "cpu"


def test_stored_half_precision_is_loaded_in_full(tmp_path: Path) -> None:
    start = untrained()
    start.model.to(torch.bfloat16)
    start.save(tmp_path / "half")
    assert load_policy(tmp_path / "half").model.dtype == torch.float32
