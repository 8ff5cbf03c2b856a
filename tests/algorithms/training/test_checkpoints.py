"""Checkpoints and the run's folder: whole or passed over, two kept, and nothing stays of what came after."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aepo_env.files import SUMS
from algorithms.policy.loading import load_policy
from algorithms.training.checkpoints import KEPT, STATE, Checkpoints, damage
from algorithms.training.config import RunConfig
from algorithms.training.exporting import export
from algorithms.training.run_directory import RunDirectory
from algorithms.training.watch import Watch
from tests.algorithms.training.small import config, policy, silent, trainer, untrained, weights

STATE_OF_TWO = {"done": 2, "numbers": torch.arange(3.0), "parts": [[1, 0.1]]}


def saved(folder: Path, steps: int = 2) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in range(1, steps + 1):
        checkpoints.save(untrained(step), {"done": step}, step)
    return checkpoints


def test_a_checkpoint_gives_back_policy_and_state(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "some")
    assert checkpoints.newest(pytest.fail) is None
    checkpoints.save(untrained(7), STATE_OF_TWO, 2)
    newest = checkpoints.newest(pytest.fail)
    assert newest is not None
    assert newest.step == 2
    state = newest.state()
    assert torch.equal(state.pop("numbers"), STATE_OF_TWO["numbers"])  # type: ignore[arg-type]
    assert state == {"done": 2, "parts": [[1, 0.1]]}
    assert torch.equal(weights(load_policy(newest.folder).model), weights(untrained(7).model))


def test_the_two_newest_stay_and_nothing_else(tmp_path: Path) -> None:
    saved(tmp_path, 12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000011", "step_000012"]
    assert KEPT == 2


def spoil(file: Path, how: str) -> None:
    if how == "bit":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif how == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif how == "empty":
        os.truncate(file, 0)
    else:
        file.unlink()


@pytest.mark.parametrize("how", ["bit", "cut", "empty", "gone"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", STATE, SUMS])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, name: str, how: str) -> None:
    checkpoints = saved(tmp_path)
    spoil(tmp_path / "step_000002" / name, how)
    said: list[str] = []
    newest = checkpoints.newest(said.append)
    assert newest is not None
    assert newest.step == 1
    (words,) = said
    assert "step_000002 is damaged" in words
    # For the policy alone the trainer's state does not count.
    policy = checkpoints.newest(silent, policy_only=True)
    assert policy is not None
    assert policy.step == (2 if name == STATE else 1)


def test_when_all_are_damaged_nothing_is_chosen(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    for folder in tmp_path.iterdir():
        spoil(folder / STATE, "bit")
    with pytest.raises(ValueError, match=r"No checkpoint in .* is as it was written"):
        checkpoints.newest(silent)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = saved(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(untrained(3), {}, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000001", "step_000002"]
    assert all(damage(path) is None for path in tmp_path.iterdir())


def test_leftovers_of_a_kill_are_no_checkpoints_and_go(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 3)
    for left in (".step_000004.new", ".step_000001.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "config.json").write_text("{}", "utf-8")
    assert [one.step for one in checkpoints.all()] == [3, 2]
    checkpoints.rewind(2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000002"]


# ----------------------------------------------------------------------------------------------------- the run's folder


def directory(folder: Path) -> RunDirectory:
    made = RunDirectory.create(folder, RunConfig(threads=1), "python -m algorithms.run aepo --set 'a=b c'")
    made.append("eval.jsonl", {"when": "before", "step": 0})
    for step in (1, 2, 3):
        made.append("metrics.jsonl", {"step": step, "value": 0.1 * step})
        made.append("eval.jsonl", {"when": f"step {step}", "step": step})
        (folder / "traces").mkdir(exist_ok=True)
        (folder / "traces" / f"step_{step:06d}.jsonl.gz").touch()
    return made


@pytest.mark.parametrize("tail", ["", '{"step": 4, "val', "\0\0\0\0\n", "not JSON\n", "3\n", '{"step": 2'])
def test_what_came_after_a_step_is_forgotten(tmp_path: Path, tail: str) -> None:
    made = directory(tmp_path)
    for name in ("metrics.jsonl", "eval.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write(tail)
    (tmp_path / "config.yaml.new").touch()
    (tmp_path / "traces" / "step_000004.jsonl.gz.new").touch()
    assert [one["step"] for one in made.records("metrics.jsonl")] == [1, 2, 3]
    made.rewind(2)
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(
        json.dumps({"step": step, "value": 0.1 * step}) + "\n" for step in (1, 2)
    )
    assert [one["when"] for one in made.records("eval.jsonl")] == ["before", "step 1", "step 2"]
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == [
        "step_000001.jsonl.gz",
        "step_000002.jsonl.gz",
    ]
    assert not list(tmp_path.rglob("*.new"))
    made.rewind(-1)
    assert made.records("metrics.jsonl") == made.records("eval.jsonl") == []


def test_files_that_are_not_the_runs_are_left_alone(tmp_path: Path) -> None:
    made = directory(tmp_path)
    mine = {"tasks.jsonl": '{"question": "Who?"}\n', "notes.new": "mine", "traces/photo_9.png": "mine"}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    made.rewind(-1)
    assert {name: (tmp_path / name).read_text() for name in mine} == mine


@pytest.mark.parametrize("name", ["metrics.jsonl", "eval.jsonl", "checkpoints", "traces"])
def test_no_run_begins_on_what_is_left_of_another(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()
    with pytest.raises(ValueError, match="what is left of one"):
        RunDirectory.create(tmp_path, RunConfig(threads=1), "")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_one_process_at_a_time_writes(tmp_path: Path) -> None:
    made = directory(tmp_path)
    with made.locked():
        with pytest.raises(ValueError, match=rf"Process {os.getpid()} on \S+ is at work on the run in"):
            RunDirectory(tmp_path).locked().__enter__()
        assert RunDirectory(tmp_path).records("metrics.jsonl")
    with made.locked():
        pass


def test_the_command_and_the_resolved_configuration_are_kept(tmp_path: Path) -> None:
    made = RunDirectory.create(tmp_path, RunConfig(), "python -m algorithms.run aepo --set 'a=b c'")
    assert made.line() == ["aepo", "--set", "a=b c"]
    assert made.config().threads == len(os.sched_getaffinity(0))
    assert made.differences() == []
    told = json.loads((tmp_path / "environment.json").read_text("utf-8"))
    made.write_text("environment.json", json.dumps(told | {"torch": "1.0"}))
    assert made.differences() == [f"torch was 1.0 and is {told['torch']}"]


# ---------------------------------------------------------------------------------------------------------- the trainer


def test_a_step_uses_no_random_numbers_but_named_ones() -> None:
    made = trainer(config())
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    made.evaluate("before")
    made.step()
    made.close()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index]


def test_while_a_batch_grows_the_state_is_that_after_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(checkpoint_minutes=60)
    made = trainer(wanted, directory=RunDirectory.create(tmp_path, wanted, ""))
    made.step()
    state, at = made.state(), weights(made.policy.model)

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("algorithms.training.trainer.audit_log_probs", stopped)
    with pytest.raises(KeyboardInterrupt):
        made.step()
    assert made.questions.cursor > state["cursor"]
    made.save()
    made.close()
    newest = RunDirectory(tmp_path).checkpoints.newest(pytest.fail)
    assert newest is not None
    found = newest.state()
    assert {name: found[name] for name in ("done", "cursor", "deviations")} == {
        name: state[name] for name in ("done", "cursor", "deviations")
    }
    assert torch.equal(weights(load_policy(newest.folder).model), at)


def test_in_the_midst_of_an_update_nothing_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config(checkpoint_minutes=60)
    made = trainer(wanted, directory=RunDirectory.create(tmp_path, wanted, ""))
    made.step()

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("algorithms.training.trainer.update", stopped)
    with pytest.raises(KeyboardInterrupt):
        made.step()
    made.save()
    made.close()
    assert made.directory is not None
    assert made.directory.checkpoints.all() == []


@pytest.mark.parametrize(("minutes", "steps"), [(None, [2, 1]), (0, [2, 1]), (60, [])])
def test_checkpoints_are_made_as_often_as_the_config_says(
    tmp_path: Path, minutes: float | None, steps: list[int]
) -> None:
    wanted = config(checkpoint_minutes=minutes, questions=1)
    made = trainer(wanted, directory=RunDirectory.create(tmp_path, wanted, ""))
    made.train()
    made.close()
    assert made.directory is not None
    assert [one.step for one in made.directory.checkpoints.all()] == steps


def test_a_run_that_goes_on_does_not_warn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "_found", lambda _: iter([("kind", "Mind this.")]))
    wanted = config(questions=1)
    made = trainer(wanted, directory=RunDirectory.create(tmp_path, wanted, ""), say=(said := []).append)
    made.step()
    made.close()
    assert said == ["WARNING  Mind this."]
    other = trainer(wanted, directory=RunDirectory(tmp_path), say=(said_again := []).append)
    other.load_state(made.state())
    other.step()
    other.close()
    assert said_again == []


# ---------------------------------------------------------------------------------------------------------- the export


def test_an_exported_policy_is_a_plain_model_with_its_card(tmp_path: Path) -> None:
    wanted = config()
    run = RunDirectory.create(tmp_path / "my-run", wanted, "python -m algorithms.run aepo --env web")
    start = policy()
    made = trainer(wanted, start, directory=run)
    made.evaluate("before")
    made.save()
    made.close()
    (tmp_path / "out").mkdir()
    assert export(run, tmp_path / "out", pytest.fail) == tmp_path / "out"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert torch.equal(weights(model), weights(start.model))
    messages = [{"role": "user", "content": "Who?"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert model.generate(**ids, max_new_tokens=3, do_sample=False).shape[1] > ids["input_ids"].shape[1]
    assert not {STATE, SUMS} & {path.name for path in (tmp_path / "out").iterdir()}
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    found = run.evaluation("before")
    assert found is not None
    for words in ("# my-run", "aepo (arXiv:", "python -m algorithms.run aepo --env web", "0 of 2 steps"):
        assert words in card
    assert f"| before | 0 | 6 | {100 * found['greedy']['mean']:.1f} (" in card
    assert not list(tmp_path.glob(".out*"))
    with pytest.raises(ValueError, match="is in use already"):
        export(run, tmp_path / "out", pytest.fail)
    with pytest.raises(ValueError, match="cannot be written"):
        export(run, tmp_path / "out" / "README.md" / "below", pytest.fail)
