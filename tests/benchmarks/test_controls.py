"""The controls' command: small runs to the end, its verdicts and its exit codes."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from aepo_env.files import SUMS
from aepo_env.rewards.reward import Score
from aepo_env.tasks import Task
from aepo_env.tools.tool import Tool, ToolResult
from algorithms.policy.loading import Policy
from algorithms.policy.tiny import TinyShape, tiny_model, tiny_tokenizer
from algorithms.training import tiny_start
from algorithms.training.config import preset
from algorithms.training.evaluation import Evaluation, Scores
from algorithms.training.run_directory import RunDirectory
from benchmarks import controls
from tests.algorithms.rollout.scripted import Bytes, ScriptedEngine
from tests.fakes import make_env

SMALL = ["--preset", "smoke", "--steps", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with an untrained policy."""
    tokenizer = tiny_tokenizer(["<search>the river Alder</search>", "Where does it end?"] * 20, 400)
    folder = tmp_path_factory.mktemp("model")
    Policy(tiny_model(len(tokenizer), shape=TinyShape(width=32, layers=2, heads=2, inner=32)), tokenizer).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """The directory of small controls, their exit code and what they printed."""
    folder = tmp_path_factory.mktemp("runs") / "controls"
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "_say", lambda text="": printed.append(text))
        code = controls.main([*SMALL, "--model", model, "--run-dir", str(folder)])
    return folder, code, "\n".join(printed)


def test_an_untrained_model_passes_both_controls_for_nothing(finished):
    folder, code, printed = finished
    assert code == 0
    assert "gains < 5 points: holds, which tells nothing" in printed
    assert "scores < 10 %: holds, which tells nothing" in printed
    assert str(folder / "controls.json") in printed


def test_every_printed_share_has_its_interval(finished):
    closing = finished[2].partition("Rewards shuffled within the batch (")[2].replace("at temperature 0.6", "")
    number = r"[+-]?\d+\.\d"
    rest, count = re.subn(rf"{number}(?: %)? \({number} to {number}\)", "", closing.partition("the numbers are in")[0])
    assert count == 9
    assert not re.search(number, rest)


def test_the_numbers_are_written_with_their_intervals(finished):
    found = json.loads((finished[0] / "controls.json").read_text())
    shuffled, swapped = found["shuffled_rewards"], found["swapped_results"]
    assert [(control["holds"], control["telling"]) for control in (shuffled, swapped)] == [(True, False)] * 2
    assert (shuffled["limit"], swapped["limit"], swapped["questions"]) == (0.05, 0.10, 20)
    for intervals in (shuffled["gain"], shuffled["ordinary_gain"], swapped["success"], swapped["own_success"]):
        assert list(intervals) == ["greedy", "sampled"]
        assert all(one["low"] <= one["mean"] <= one["high"] for one in intervals.values())


def test_only_the_control_had_its_rewards_shuffled(finished):
    ordinary, shuffled = RunDirectory(finished[0] / "ordinary"), RunDirectory(finished[0] / "shuffled")
    assert not ordinary.config().shuffled_rewards
    assert shuffled.config().shuffled_rewards
    assert [one["when"] for one in shuffled.records("eval.jsonl")] == ["before", "after"]
    assert len(shuffled.records("metrics.jsonl")) == 2


class Doubler(Tool):
    """Knows the answer to every question of `fakes.TASKS`."""

    name = "search"
    description = "looks up sums"

    def call(self, state, argument, context):
        return ToolResult(f"It is {2 * int(argument)}.", state)


class Reader:
    """A policy that looks the question up and answers what it was told; it writes by itself, not by a model."""

    codec = Bytes()

    def engine(self):
        return ScriptedEngine(self.write)

    def write(self, key, before):
        told = re.findall(r"It is (\d+)", before)
        asked = re.findall(r"What is (\d+)", before)[0]
        return (f"<answer>{told[-1]}</answer>" if told else f"<search>{asked}</search>"), 1.0


def test_who_reads_its_results_is_right_with_its_own_and_wrong_with_others(monkeypatch):
    def accuracy(episode):
        right = float(episode.answer in episode.task.answers)
        return Score(right, {"accuracy": right})

    env = make_env([Doubler()], reward=accuracy)
    monkeypatch.setattr("algorithms.training.questions.make_environment", lambda settings, split: env)
    monkeypatch.setattr(tiny_start, "starting_policy", lambda config, say: Reader())
    found = controls._play_swapped(preset("smoke"))
    assert found.played.mean == 1.0
    assert found.scores.greedy.mean == 0.0
    assert found.scores.sampled.mean == 0.0
    assert found.scores.sampled.tool_calls == {"search": 40}
    assert found.scores.sampled.stop_reasons == {"answered": 40}
    assert found.recorded == len(found.tasks) == 20


def fake_run(folder, scores, **changes):
    """A run's files without the run: (before, after) scores of 20 questions, greedy and sampled alike."""
    config = replace(preset("smoke"), steps=1, threads=1, **changes)
    directory = RunDirectory.create(folder, config, "a command")
    for when, score in zip(("before", "after"), scores, strict=False):
        part = {"scores": [score] * 20}
        directory.append("eval.jsonl", {"when": when, "greedy": part, "sampled": part})
    return directory


def with_checkpoint(directory):
    folder = directory.path / "checkpoints" / "step_000001"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"")
    (folder / SUMS).write_text(f"{hashlib.sha256().hexdigest()}  config.json\n")
    return directory


@pytest.mark.parametrize(
    ("gain", "swapped_score", "code"), [(0.04, 0.09, 0), (0.06, 0.0, 1), (-0.2, 0.1, 1), (0.05, 0.0, 1)]
)
def test_a_control_that_does_not_hold_gives_exit_code_1(tmp_path, monkeypatch, capsys, gain, swapped_score, code):
    ordinary = with_checkpoint(fake_run(tmp_path / "run", (0.0, 0.5)))
    scores = Scores(np.full(20, swapped_score), ("web",) * 20, {}, {})
    tasks = [Task(str(number), "?", ("yes",) if number < 3 else (str(number),)) for number in range(4)]
    played = controls._Swapped(Evaluation(scores, None), scores, tasks, {"0": "1", "1": "0", "2": "3", "3": "2"}, 7)
    monkeypatch.setattr(controls, "_play_swapped", lambda config: played)
    monkeypatch.setattr(controls, "_trained", lambda config, folder, _: fake_run(folder, (0.0, gain)))
    assert controls.main(["--run", str(ordinary.path), "--run-dir", str(tmp_path / "out")]) == code
    printed = capsys.readouterr().out
    assert f"gains < 5 points: {'holds' if gain < 0.05 else 'does not hold'}\n" in printed
    assert f"scores < 10 %: {'holds' if swapped_score < 0.1 else 'does not hold'}\n" in printed
    assert "the ordinary run +50.0 (+33.2 to +66.8)" in printed
    assert "2 questions share an answer with their partner" in printed
    assert json.loads((tmp_path / "out" / "controls.json").read_text())["ordinary"] == str(ordinary.path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--env", "sea"], "env is one of web, search, code; got 'sea'"),
        (["--preset", "huge"], "preset is one of"),
        (["--steps", "-1"], "steps must be at least 0; got -1."),
        (["--model", "no/such/model"], "There is no model at 'no/such/model'"),
        (["--run", "runs/none"], "There is no run in runs/none"),
        (["--run", "{shuffled}"], "had its rewards shuffled: give an ordinary one."),
        (["--run", "{unfinished}"], "was not evaluated after training: give a finished one."),
        (["--run", "{unsaved}"], "has no checkpoint yet."),
        (["--run", "{unsaved}", "--seed", "1", "--env", "web"], "leave out --env, --seed."),
        (["--run-dir", "{unsaved}"], "is in use already: choose another --run-dir."),
    ],
)
def test_mistakes_get_one_sentence_and_exit_code_2(tmp_path, capsys, arguments, sentence):
    with_checkpoint(fake_run(tmp_path / "shuffled", (0.0, 0.0), shuffled_rewards=True))
    with_checkpoint(fake_run(tmp_path / "unfinished", (0.0,)))
    fake_run(tmp_path / "unsaved", (0.0, 0.0))
    folders = {name: str(tmp_path / name) for name in ("shuffled", "unfinished", "unsaved")}
    given = [argument.format(**folders) for argument in arguments]
    if "--run-dir" not in given:
        given += ["--run-dir", str(tmp_path / "out")]
    assert controls.main(given) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_gives_exit_code_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        controls.main(["--stpes", "3"])
    assert stopped.value.code == 2
    capsys.readouterr()


def test_without_a_run_dir_the_first_free_one_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = controls._parser().parse_args(["--seed", "3"])
    config = controls._config(options)
    assert str(controls._folder(options, config)) == "runs/controls-web-seed3"
    (tmp_path / "runs/controls-web-seed3").mkdir(parents=True)
    assert str(controls._folder(options, config)) == "runs/controls-web-seed3-2"
