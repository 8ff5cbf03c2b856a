"""Runs with adapters: as short as others to say, resumed to the bit, and saved as a plain model."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("peft", reason="adapters need the extra 'lora'")

import torch
from transformers import AutoModelForCausalLM

from aepo_env.errors import MissingExtra
from algorithms.commands.train import checked
from algorithms.policy.lora import LoraSettings
from algorithms.training.course import take_course
from algorithms.training.estimate import Usual, estimate
from algorithms.training.exporting import export
from algorithms.training.known import algorithm
from algorithms.training.measures import without_timings
from algorithms.training.run_directory import RunDirectory
from algorithms.training.trainer import Trainer
from tests.algorithms.training.small import config, policy, silent, trainer, weights

LORA = LoraSettings(rank=4)


def adapters(model: Any) -> torch.Tensor:
    parts = [each.detach().flatten() for each in model.parameters() if each.requires_grad]
    return torch.cat(parts).clone()


class Killed(BaseException):
    """Ends a run where it stands, as a signal would."""


def take(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, kill_in: int | None = None) -> Trainer:
    """The course of a run from where it stands; killed in the midst of a step if that is given. The trainer it had."""
    had: list[Trainer] = []
    grow = Trainer._grow

    def growing(self: Trainer, number: int) -> Any:
        had.append(self)
        if number == kill_in:
            raise Killed
        return grow(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_grow", growing)
        if kill_in is None:
            take_course(directory, silent)
        else:
            with pytest.raises(Killed):
                take_course(directory, silent)
    return had[-1]


@pytest.mark.parametrize("name", ["gigpo", "ppo"])  # one with a reference, one with a critic
def test_killed_after_two_of_four_steps_and_resumed_a_run_ends_the_same_to_the_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy().save(tmp_path / "model")
    wanted = config(algorithm=name, lora=LORA, steps=4, model=str(tmp_path / "model"))
    runs, trainers = [], []
    for kill_in in (None, 2):
        directory = RunDirectory.create(tmp_path / f"killed in {kill_in}", wanted, "command")
        if kill_in:
            take(directory, monkeypatch, kill_in)
            assert [one["step"] for one in directory.records("metrics.jsonl")] == [1, 2]
        trainers.append(take(directory, monkeypatch))
        runs.append(directory)
    lines = [[without_timings(one) for one in run.records("metrics.jsonl")] for run in runs]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 4
    whole, resumed = (one.policy.model.state_dict() for one in trainers)
    assert all(torch.equal(each, resumed[name]) for name, each in whole.items())
    sums = [(run.checkpoints.all()[0].folder / "SHA256SUMS").read_text("utf-8") for run in runs]
    assert sums[0] == sums[1]  # policy, adapters, optimiser, critic
    start = policy().model.state_dict()
    for name, each in resumed.items():  # the weights are still those that the run began with
        assert ".lora_" in name or torch.equal(each, start[name.replace(".base_layer", "")])


def test_what_a_run_leaves_loads_in_plain_transformers_and_is_what_it_trained(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", config(lora=LORA, questions=6), "python -m algorithms.run aepo")
    made = trainer(config(lora=LORA, questions=6), directory=directory)
    fresh = adapters(made.policy.model)
    metrics = made.step()
    assert metrics["audit"]["tokens"] > 0  # drawn with adapters, computed again with adapters
    assert not torch.equal(adapters(made.policy.model), fresh)
    made.save()
    folder = export(directory, tmp_path / "exported", silent)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        found = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")(ids).logits
        torch.testing.assert_close(found, made.policy.model(ids).logits, rtol=0, atol=1e-4)
        assert (found - policy().model(ids).logits).abs().max() > 1e-3
    made.close()


def test_without_a_rank_a_run_is_as_it_always_was() -> None:
    made = trainer(config())
    assert len(adapters(made.policy.model)) == len(weights(made.policy.model))
    assert "adapters" not in made.state()
    made.close()


def test_peft_that_is_missing_is_named_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    checked(config())
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[lora\]'"):
        checked(config(lora=LORA))


def test_the_estimate_counts_adapters_alone_as_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algorithms.training.estimate.usual", lambda _: Usual(50.0, 100.0, 200.0))
    monkeypatch.setattr("algorithms.training.estimate.throughput", lambda *_: 1e11)
    wanted = replace(config(lora=LoraSettings(rank=8, targets="q_proj,down_proj")), model="Qwen/Qwen3-8B", device="cpu")
    said = "\n".join(estimate(wanted, algorithm("gigpo")))
    count = 36 * 8 * ((4_096 + 32 * 128) + (12_288 + 4_096)) / 1e6  # of each block: into and out of both layers
    assert f"{count:.2f} million in adapters are trained" in said
    assert f"gradients and AdamW {12 * count:.0f} MB" in said
    assert "a frozen reference" not in said
    assert "a critic with its gradients and AdamW" in "\n".join(estimate(wanted, algorithm("ppo")))
