"""What is measured before training depends on the start alone, so that cells may share it; and is refused elsewhere."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.names import NAMES
from algorithms.policy.learner import OptimiserSettings
from algorithms.policy.lora import LoraSettings
from algorithms.training import course, tiny_start
from algorithms.training.cold_start import ColdStartSettings
from algorithms.training.config import EnvironmentSettings, EvaluationSettings, RunConfig
from algorithms.training.course import take_course
from algorithms.training.known import suited
from algorithms.training.measures import without_timings
from algorithms.training.run_directory import RunDirectory
from algorithms.training.starts import evaluation_of_start, start_digest
from baselines.cells import Cell, measured_start
from baselines.contenders import contenders
from tests.algorithms.training.small import SHORT, config, policy, silent, trainer
from tests.baselines.made import cell


def of(name: str, **changes: Any) -> RunConfig:
    wanted = config(algorithm=name, **changes)
    return replace(wanted, settings=suited(name, wanted.settings))


def measured(wanted: RunConfig) -> dict[str, Any]:
    made = trainer(wanted)
    found = made.evaluate("before").to_plain()
    made.close()
    return found


def test_every_algorithm_measures_the_same_before_training() -> None:
    alike = {"evaluation": EvaluationSettings(questions=4, samples=2)}
    first = measured(of("aepo", **alike))
    assert 0 < first["sampled"]["mean"] < 1
    for name in ("grpo", "gigpo", "ppo", "kl-cov", "tree-grpo"):  # a critic, a reference, other trees: none takes part
        assert measured(of(name, **alike)) == first, name
    other = {
        "steps": 7, "questions": 3, "optimiser": OptimiserSettings(lr=0.1), "temperature": 1.3, "token_budget": 500,
        "cooldown": 0.5, "audited": 0.5, "traces": 0, "schedule": "arrival", "tool_threads": 2, "log": "jsonl,wandb",
        "shuffled_rewards": True, "checkpoint_minutes": 3.0, "environment": replace(SHORT, world_questions=5),
        "evaluation": replace(alike["evaluation"], every=1),
    }  # fmt: skip
    assert start_digest(of("grpo", **other)) == start_digest(of("aepo", **alike))
    assert measured(of("grpo", **other)) == first
    after_training = trainer(of("aepo", **alike))
    after_training.step()
    after_training.close()
    assert measured(of("grpo", **alike)) == first  # whatever the shared interpreters went through


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"model": "smollm2"},
        {"turn_tokens": 41},
        {"total_tokens": 401},
        {"threads": 2},
        {"device": "cuda"},
        {"lora": LoraSettings(rank=2)},
        {"demonstrations": "some.jsonl"},
        {"environment": EnvironmentSettings("web", {"difficulty": "tiny"})},
        {"evaluation": EvaluationSettings(questions=6, samples=3)},
        {"evaluation": EvaluationSettings(questions=7, samples=2)},
    ],
)
def test_what_decides_the_evaluation_makes_another_start(change: dict[str, Any]) -> None:
    assert start_digest(config(**change)) != start_digest(config())


def test_another_cold_start_of_the_tiny_model_makes_another_start(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, other = config(model="tiny"), config(model="smollm2")
    before = start_digest(tiny), start_digest(other)
    brief = partial(tiny_start.TinyStart, training=ColdStartSettings(steps=3))
    monkeypatch.setattr(tiny_start, "TinyStart", brief)
    assert start_digest(tiny) != before[0]
    assert start_digest(other) == before[1]


def finished(folder: Path, wanted: RunConfig, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run that was evaluated, of no steps."""
    monkeypatch.setattr(course, "starting_policy", lambda *_: policy())
    directory = RunDirectory.create(folder, replace(wanted, steps=0), "python -m algorithms.run grpo")
    take_course(directory, silent)
    return directory


def test_a_run_takes_the_evaluation_of_its_start_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finished(tmp_path / "first", of("grpo"), monkeypatch)
    record = evaluation_of_start(of("gigpo"), first)
    second = RunDirectory.create(tmp_path / "second", of("gigpo", steps=0), "python -m algorithms.run gigpo")
    second.give_before(record)
    said: list[str] = []
    take_course(second, said.append)
    (before,) = [line for line in said if line.startswith("before")]
    assert "as first, which has the same start, measured it" in before
    ours, theirs = second.evaluation("before"), first.evaluation("before")
    assert ours is not None
    assert (ours["taken_from"], ours["seconds"]) == ("first", 0.0)
    assert without_timings({**ours, "taken_from": None}) == without_timings({**theirs, "taken_from": None})
    third = evaluation_of_start(of("aepo"), second)
    assert third["taken_from"] == "first"  # who measured it, not who had it last


def test_another_start_and_another_machine_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDirectory.create(tmp_path / "run", config(), "python -m algorithms.run aepo")
    with pytest.raises(ValueError, match="has not been evaluated before training yet"):
        evaluation_of_start(config(), directory)
    with pytest.raises(ValueError, match="begins or is evaluated otherwise"):
        evaluation_of_start(config(seed=3), directory)
    machine = json.loads((directory.path / "environment.json").read_text("utf-8"))
    directory.write_text("environment.json", json.dumps({**machine, "torch": "0.1"}))
    with pytest.raises(ValueError, match=r"was made elsewhere \(torch was 0.1"):
        evaluation_of_start(config(), directory)


def test_a_cell_finds_a_run_of_its_start_alone(tmp_path: Path) -> None:
    def at(label: str, start: str) -> Cell:
        return cell(label, 0, tmp_path)._replace(start=start)

    cells = [at("one", "a"), at("other", "a"), at("third", "b")]
    assert measured_start(cells[1], cells) is None
    for one in (cells[0], cells[2]):
        directory = RunDirectory.create(one.folder, config(), "python -m algorithms.run aepo")
        if one is cells[0]:
            assert measured_start(cells[1], cells) is None  # begun, and not evaluated yet
        directory.append("eval.jsonl", {"when": "before", "step": 0})
    assert measured_start(cells[1], cells) == cells[0].folder
    assert measured_start(cells[0], cells) is None  # not of itself
    machine = json.loads((cells[0].folder / "environment.json").read_text("utf-8"))
    (cells[0].folder / "environment.json").write_text(json.dumps({**machine, "processor": "another"}))
    assert measured_start(cells[1], cells) is None


@pytest.mark.parametrize("kind", ["greedy", "sampled"])
def test_a_start_measured_while_tools_failed_is_not_shared(kind: str, tmp_path: Path) -> None:
    whole = {"when": "before", "step": 0, "greedy": {"lost": 0}, "sampled": {"lost": 0}}
    first, other = (cell(label, 0, tmp_path)._replace(start="a") for label in ("first", "other"))
    directory = RunDirectory.create(first.folder, config(), "python -m algorithms.run aepo")
    directory.append("eval.jsonl", {**whole, kind: {"lost": 3}})
    assert measured_start(other, [first, other]) is None
    with pytest.raises(ValueError, match="Faults of tools took 3 episodes"):
        evaluation_of_start(config(), directory)
    directory.append("eval.jsonl", whole)
    assert measured_start(other, [first, other]) == first.folder
    assert evaluation_of_start(config(), directory)["taken_from"] == first.name


def test_all_is_every_algorithm_once() -> None:
    found: Sequence[Any] = contenders(["all"])
    assert [one.label for one in found] == list(NAMES)
