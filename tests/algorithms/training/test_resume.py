"""Resuming: killed at any moment and resumed, a run ends as one that was not, to the bit.

AEPO_KILLS=20 pytest tests/algorithms/training/test_resume.py        # the unit suite kills 3 times
"""

import os
import random
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.training.measures import without_timings
from algorithms.training.run_directory import RunDirectory
from tests.algorithms.training.killed import Ended, command
from tests.algorithms.training.small import policy

KILLS = int(os.environ.get("AEPO_KILLS", "3"))
BRIEF = ["aepo", "--env", "web", "--preset", "smoke", "--steps", "2", "--questions", "4", "--eval-questions", "3"]
BRIEF += [
    "--budget",
    "4",
    "--updates",
    "2",
    "--eval-every",
    "1",
    "--threads",
    "1",
    "--temperature",
    "0.6",
    "--reward",
    "paper",
]
START = [*BRIEF, "--model", "model", "--run-dir", "run"]
RESUME = ["resume", "run"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    policy().save(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Path:
    """A folder to run in, with the model beside."""
    (tmp_path / "model").symlink_to(model)
    return tmp_path


class Whole:
    """A run that nothing stopped."""

    def __init__(self, folder: Path, ended: Ended) -> None:
        assert ended.code == 0, ended.output
        self.ended, self.left = ended, left_by(folder / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "model").symlink_to(model)
    command(["eval", "nothing"], folder)  # loads what the others are forked from, so that seconds are of the run alone
    return Whole(folder, command(START, folder))


def left_by(run: Path) -> dict[str, Any]:
    """All that two runs must have in common. The checksums are of weights, tokenizer, optimiser and trainer."""
    directory = RunDirectory(run)
    left: dict[str, Any] = {
        name: [without_timings(one) for one in directory.records(name)] for name in ("metrics.jsonl", "eval.jsonl")
    }
    left |= {name: (run / name).read_text("utf-8") for name in ("config.yaml", "first_batch.txt")}
    left |= {
        str(file.relative_to(run)): file.read_text("utf-8") for file in sorted(run.glob("checkpoints/*/SHA256SUMS"))
    }
    left |= {str(file.relative_to(run)): file.read_bytes() for file in sorted(run.glob("traces/*"))}
    left["files"] = sorted(str(file.relative_to(run)) for file in run.rglob("*"))
    return left


def test_the_run_has_what_a_resumed_one_could_lose(whole: Whole) -> None:
    metrics = whole.left["metrics.jsonl"]
    assert [one["step"] for one in metrics] == [1, 2]
    assert sum(one["update"]["optimiser_steps"] for one in metrics) > 1
    assert sum(one["rollout"]["forks"] for one in metrics) > 0
    assert [one["when"] for one in whole.left["eval.jsonl"]] == ["before", "step 1", "after"]
    assert [name for name in whole.left["files"] if name.endswith("SHA256SUMS")] == [
        "checkpoints/step_000001/SHA256SUMS",
        "checkpoints/step_000002/SHA256SUMS",
    ]
    assert whole.left["files"] == [name for name in whole.left["files"] if not name.startswith(".")]


def test_killed_at_random_moments_and_resumed_a_run_ends_the_same(whole: Whole, place: Path) -> None:
    draws = random.Random(KILLS)
    kills = finished = 0
    while kills < KILLS or not finished:
        shutil.rmtree(place / "run", ignore_errors=True)
        while True:
            at: dict[str, Any] = {}
            if kills < KILLS:  # half of them before an operation on files, between which little time passes
                at = {"kill_after": draws.uniform(0, whole.ended.seconds)}
                if kills % 2:
                    at = {"kill_before": draws.randint(1, len(whole.ended.operations))}
            began = (place / "run" / "config.yaml").exists()
            ended = command(RESUME if began else START, place, **at)
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.output
            kills += 1
            print(f"kill {kills}: {at}, {'resumed' if began else 'begun'}, {(ended.operations or ['nothing'])[-1]}")
        assert left_by(place / "run") == whole.left
        finished += 1


@pytest.mark.parametrize(
    "words",
    [
        "os.rename run/checkpoints/.step_000001.new",  # written, not there yet
        "os.remove model.safetensors",  # there, the oldest half removed
        "open run/command.txt",  # finished, not said yet
    ],
)
def test_killed_at_a_delicate_moment_it_ends_the_same_too(whole: Whole, place: Path, words: str) -> None:
    assert command(START, place, kill_before=1 + whole.ended.operations.index(words)).code == -signal.SIGKILL
    ended = command(RESUME, place)
    assert ended.code == 0, ended.output
    assert left_by(place / "run") == whole.left
    assert ("it is finished" in ended.output) == (words == "open run/command.txt")
    assert "points (95 % interval" in ended.output


def test_killed_in_its_cold_start_a_run_begins_again(tmp_path: Path) -> None:
    line = [*BRIEF, "--run-dir", "run"]
    (tmp_path / "whole").mkdir()
    ended = command(line, tmp_path / "whole", small_start=True)
    assert ended.code == 0, ended.output
    at = 1 + max(place for place, one in enumerate(ended.operations) if one.endswith("log.jsonl"))
    (tmp_path / "killed").mkdir()
    assert command(line, tmp_path / "killed", small_start=True, kill_before=at + 1).code == -signal.SIGKILL
    again = command(RESUME, tmp_path / "killed", small_start=True)
    assert again.code == 0, again.output
    assert "before   " in again.output
    assert left_by(tmp_path / "killed" / "run") == left_by(tmp_path / "whole" / "run")


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_stopped_it_says_how_to_go_on(whole: Whole, place: Path, number: int, code: int, name: str) -> None:
    ended = command(START, place, kill_when="step   1/2", with_signal=number)
    assert ended.code == code
    assert f"stopped by {name}" in ended.output
    assert "Traceback" not in ended.output
    assert any(
        line.startswith("kept after step") and line.endswith("algorithms.run resume run")
        for line in ended.output.splitlines()
    )
    assert command(RESUME, place).code == 0
    assert left_by(place / "run") == whole.left


def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(whole: Whole, place: Path) -> None:
    assert command(START, place, kill_when="after ").code in (-signal.SIGKILL, 0)
    folder = max((place / "run" / "checkpoints").glob("step_*"))
    os.truncate(folder / "trainer.pt", 1_000)
    ended = command(RESUME, place)
    assert ended.code == 0, ended.output
    assert f"WARNING  the checkpoint run/checkpoints/{folder.name} is damaged (trainer.pt has changed)" in ended.output
    assert left_by(place / "run") == whole.left


def test_what_cannot_be_resumed_is_said(whole: Whole, place: Path) -> None:
    ended = command(RESUME, place)
    assert (ended.code, ended.output.strip()) == (2, "error: There is no run in run: it has no config.yaml.")
    assert command([*START, "--steps", "0"], place).code == 0
    ended = command([*RESUME, "--steps", "1"], place)  # the preset's rate falls towards the end
    assert (ended.code, "learning rate of this run falls over the last 50 %" in ended.output) == (2, True)


def test_a_run_without_cooldown_can_be_made_longer(whole: Whole, place: Path) -> None:
    assert command(START, place, kill_when="before ").code == -signal.SIGKILL
    directory = RunDirectory(place / "run")
    steady = replace(directory.config(), cooldown=0.0)
    directory.change_config(steady)
    shutil.copytree(place / "run", place / "long")
    assert command(["resume", "long"], place).code == 0
    directory.change_config(replace(steady, steps=1))
    assert command(RESUME, place).code == 0
    with directory.locked():
        ended = command([*RESUME, "--steps", "2"], place)
        assert ended.code == 2
        assert "is at work on the run in run" in ended.output
        assert command(["eval", "run"], place).code == 0
    ended = command([*RESUME, "--steps", "2"], place)
    assert ended.code == 0, ended.output
    assert (directory.line()[-2:], directory.line().count("--steps")) == (["--steps", "2"], 1)  # what makes it whole
    longer, at_once = left_by(place / "run"), left_by(place / "long")
    assert longer["metrics.jsonl"] == at_once["metrics.jsonl"]
    assert longer["checkpoints/step_000002/SHA256SUMS"] == at_once["checkpoints/step_000002/SHA256SUMS"]
    assert longer["eval.jsonl"][-1] == at_once["eval.jsonl"][-1]
    ended = command([*RESUME, "--steps", "1"], place)
    assert (ended.code, "has taken 2 steps already" in ended.output) == (2, True)
