"""The command: a run leaves what it names; its ends have their codes. Mistakes: commands/test_mistakes.py."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.commands.lines import again
from algorithms.policy.loading import load_policy
from algorithms.run import main
from algorithms.settings import settings_of
from algorithms.training import known, tiny_start
from algorithms.training.measures import without_timings
from algorithms.training.run_directory import RunDirectory
from algorithms.training.trainer import Trainer, algorithm_of
from tests.algorithms.training.small import policy, untrained, weights

BRIEF = ["--env", "web", "--preset", "smoke", "--steps", "1", "--questions", "2", "--eval-questions", "3"]
BRIEF += ["--budget", "2", "--threads", "1"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to a folder of the test's own, and nothing that is kept is used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tiny_start, "make_tiny", lambda *_: pytest.fail("a cold start takes minutes"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    policy().save(folder)
    return str(folder)


def failing(line: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line on stderr of a command that fails."""
    capsys.readouterr()
    assert main(line) == code
    (said,) = capsys.readouterr().err.splitlines()
    return said


def test_a_model_that_is_not_there_leaves_no_run_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    line = ["aepo", *BRIEF, "--run-dir", "mine", "--model"]
    assert "There is no model at './nothing'" in failing([*line, "./nothing"], capsys)
    assert main([*line, model]) == 0  # the folder is free still


def test_a_folder_that_holds_a_run_is_not_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("seed: 3\n", "utf-8")
    assert "mine holds a run already" in failing(["aepo", "--run-dir", "mine"], capsys)
    assert (tmp_path / "mine" / "config.yaml").read_text("utf-8") == "seed: 3\n"
    (tmp_path / "file").write_text("", "utf-8")
    assert "cannot be written" in failing(["aepo", "--run-dir", "file"], capsys)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "There is no run in mine"),
        ("seed: 0\n", "has no checkpoint yet"),
        ("sed: 0\n", "RunConfig has no sed"),
        ("{", "config.yaml"),
        ("just text\n", "config.yaml"),
        ("steps: many\n", "steps takes a whole number"),
    ],
)
def test_evaluating_what_is_no_finished_run_is_refused(
    config: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if config is not None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "config.yaml").write_text(config, "utf-8")
    assert words in failing(["eval", "mine"], capsys)


def test_a_run_leaves_the_files_it_names_and_can_be_evaluated(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["aepo", *BRIEF, "--model", model, "--set", "loss.high=0.3"]
    assert main(line) == 0
    said = capsys.readouterr().out
    run = tmp_path / "runs" / "aepo-web-seed0"
    directory = RunDirectory(Path("runs/aepo-web-seed0"))
    assert "results go to runs/aepo-web-seed0" in said
    for name in ("config.yaml", "command.txt", "environment.json", "metrics.jsonl", "eval.jsonl", "first_batch.txt"):
        assert (run / name).stat().st_size > 0, name
    config = directory.config()
    assert (config.steps, config.questions, config.settings["loss.high"]) == (1, 2, "0.3")
    assert (run / "command.txt").read_text("utf-8").startswith("python -m algorithms.run aepo --env web ")
    assert "torch" in json.loads((run / "environment.json").read_text("utf-8"))
    assert [one["when"] for one in directory.records("eval.jsonl")] == ["before", "after"]
    assert len(directory.records("metrics.jsonl")) == 1
    saved = run / "checkpoints" / "step_000001"
    assert directory.latest_policy().resolve() == saved
    for line_ in said.splitlines():
        if line_.startswith("  the policy"):
            assert Path(line_.split()[2]).resolve() == saved
    assert not [path for path in run.rglob("*") if path.name.endswith(".new") or path.name.startswith(".")]
    evaluate, again, other = said.splitlines()[-3:]
    assert evaluate.endswith("-m algorithms.run eval runs/aepo-web-seed0")
    assert " aepo --env web " in again
    assert again.endswith("--seed 1")
    assert " grpo --env web " in other
    # The same policy gives the same numbers again.
    assert main(["eval", "runs/aepo-web-seed0"]) == 0
    after = directory.records("eval.jsonl")[1]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"greedy": after["greedy"]["mean"], "sampled": after["sampled"]["mean"]}
    assert isinstance(load_policy(saved).model.config.vocab_size, int)
    # A second run does not touch the first.
    assert main(line) == 0
    assert (tmp_path / "runs" / "aepo-web-seed0-2" / "config.yaml").exists()
    second = RunDirectory(tmp_path / "runs" / "aepo-web-seed0-2")
    assert without_timings(second.records("metrics.jsonl")) == without_timings(directory.records("metrics.jsonl"))
    assert torch.equal(weights(load_policy(second.latest_policy()).model), weights(load_policy(saved).model))


def test_a_seed_changes_the_run(tmp_path: Path, model: str) -> None:
    found = []
    for seed in ("0", "1"):
        assert main(["grpo", *BRIEF, "--model", model, "--seed", seed, "--run-dir", seed]) == 0
        found.append(without_timings(RunDirectory(tmp_path / seed).records("metrics.jsonl")))
    assert found[0] != found[1]


def test_ctrl_c_ends_with_its_own_code(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "step", interrupted)
    closed: list[Any] = []
    close = Trainer.close
    monkeypatch.setattr(Trainer, "close", lambda self: (closed.append(self), close(self)))
    said = failing(["aepo", *BRIEF, "--model", model], capsys, code=130)
    assert "Ctrl-C" in said
    assert len(closed) == 1


def test_numbers_that_are_not_finite_end_with_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = untrained()
    with torch.no_grad():
        broken.model.model.norm.weight[0] = float("nan")
    broken.save(tmp_path / "broken")
    said = failing(["grpo", *BRIEF, "--model", str(tmp_path / "broken")], capsys, code=1)
    assert said.startswith("stopped: ")
    assert "NaN" in said


def test_the_official_variant_keeps_its_look_ahead_and_updates(model: str) -> None:
    assert main(["aepo", "--variant", "official", "--model", model, "--run-dir", "official", *BRIEF]) == 0
    official = algorithm_of(RunDirectory("official").config())
    published = known.algorithm("aepo", "official")
    assert settings_of(official) == settings_of(published) | {"rollout.budget": 2}


def test_the_next_commands_change_one_thing_of_the_line_given() -> None:
    line = ["aepo", "--env", "code", "--seed", "3", "--run-dir=here", "--lr", "1e-3"]
    assert again(line, seed=4) == ["aepo", "--env", "code", "--lr", "1e-3", "--seed", "4"]
    assert again(line, algorithm="grpo") == ["grpo", "--env", "code", "--seed", "3", "--lr", "1e-3"]


def test_pages_and_tasks_of_ones_own_are_trained_on(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "keld.txt").write_text("Keld is a town. Its mayor is Ada Brum.", "utf-8")
    rows = [{"question": f"Who is mayor {number} of Keld?", "answers": ["Ada Brum"]} for number in range(60)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    line = ["grpo", *BRIEF, "--model", model, "--corpus", "pages", "--tasks", "mine.jsonl", "--tools", "search"]
    assert main([*line, "--run-dir", "mine"]) == 0
    assert "Keld" in (tmp_path / "mine" / "first_batch.txt").read_text("utf-8")
    arguments = RunDirectory("mine").config().environment.arguments
    assert (arguments["corpus"], arguments["tasks"]) == (str(tmp_path / "pages"), str(tmp_path / "mine.jsonl"))
    # The run can be looked at from any folder.
    (tmp_path / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path / "elsewhere")
        assert main(["eval", "../mine"]) == 0


def test_a_run_can_be_repeated_from_its_configuration_and_profiled(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["arpo", *BRIEF, "--steps", "2", "--model", model]
    assert main([*line, "--run-dir", "first", "--profile"]) == 0
    assert "time by part, of 2 steps" in capsys.readouterr().out
    assert "sampling.py" in (tmp_path / "first" / "profile.txt").read_text("utf-8")
    assert main(["arpo", "--config", "first/config.yaml", "--run-dir", "again"]) == 0
    first, again = (RunDirectory(name).records("metrics.jsonl") for name in ("first", "again"))
    assert without_timings(first) == without_timings(again)


def test_demonstrations_are_learned_before_the_run_and_not_again_at_eval(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "<answer>Ada</answer>"}]
    (tmp_path / "said.jsonl").write_text(json.dumps({"messages": said}) + "\n", "utf-8")
    line = ["grpo", *BRIEF, "--steps", "0", "--model", model, "--demonstrations", "said.jsonl", "--run-dir", "mine"]
    assert main(line) == 0
    assert "learning from 1 demonstrations" in capsys.readouterr().out
    saved = weights(load_policy(RunDirectory("mine").latest_policy()).model)
    assert not torch.equal(saved, weights(load_policy(model).model))
    assert main(["eval", "mine"]) == 0
    assert "learning" not in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu(model: str) -> None:
    assert main(["aepo", *BRIEF, "--model", model, "--device", "cuda", "--run-dir", "mine"]) == 0
    assert RunDirectory("mine").config().device == "cuda"


@pytest.mark.timing
def test_the_first_line_comes_at_once(model: str, tmp_path: Path) -> None:
    """Before torch is loaded. With the interpreter's start it takes a fraction of the 5 s that are aimed at."""
    began = time.perf_counter()
    line = [sys.executable, "-m", "algorithms.run", "aepo", *BRIEF, "--steps", "0", "--model", model]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("aepo: aepo on web, seed 0; results go to runs/aepo-web-seed0")
        assert time.perf_counter() - began < 5
        running.kill()
