"""The command: mistakes in a sentence before anything is trained; two real runs, killed in between, that are one."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("scipy.stats", reason="needs the extra 'compare'")

from algorithms.training import tiny_start
from algorithms.training.measures import without_timings
from baselines import compare, running
from baselines.compare import main
from baselines.records import Results
from tests.algorithms.training.small import untrained

SMALL = ["--env", "web", "--preset", "smoke", "--questions", "2", "--eval-questions", "4", "--budget", "2"]
SMALL += ["--set", "turn_tokens=12", "--set", "total_tokens=300", "--set", "evaluation.samples=1"]
LONGEST = 150.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["aeppo"], "did you mean 'aepo'?"),
        (["aepo", "--preset", "quik"], "did you mean 'quick'?"),
        (["aepo", "--seeds", "0"], "--seeds must be at least 1"),
        (["aepo", "--seeds", "three"], "takes a whole number"),
        (["aepo", "--jobs", "0"], "--jobs must be at least 1"),
        (["aepo", "--seed", "3"], "--seeds N takes the seeds 0 to N - 1"),
        (["aepo", "--cell-minutes", "0"], "--cell-minutes must be above 0"),
        (["aepo", "--budget-unit", "dollars"], "--budget-unit is one of rollouts, tokens, tool-calls, seconds"),
        (["aepo", "--against", "grpo"], "--against grpo is none of the contenders: aepo"),
        (["aepo", "grpo", "--set", "loss.balanced=no"], "grpo: There is no setting 'loss.balanced'"),
        (["aepo", "--grid", "loss.hihg=1,2"], "There is no setting 'loss.hihg'; did you mean"),
        (["aepo:offical"], "no variant 'offical'"),
        (["aepo", "--shuffled-rewards"], "is not for comparisons"),
        (["aepo", "--frobnicate"], "nrecognized arguments: --frobnicate"),
        (["aepo", "--report", "--out", "empty"], "No cell is finished"),
        (["--report", "--out", "empty", "--records", "none.jsonl"], "--records none.jsonl is no file"),
        (["all", "grpo"], "Two contenders are called 'grpo'"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(
    line: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "run_cells", lambda *_, **__: pytest.fail("it trains"))
    monkeypatch.setattr(compare, "_cold_start", lambda _: pytest.fail("it trains"))
    assert main(line) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert words in said


@pytest.mark.parametrize("who", [[], ["aepo"]])
def test_a_report_of_a_file_that_is_not_there_leaves_nothing_behind(
    who: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*who, "--report", "--records", "typo/records.jsonl", "--out", "out"]) == 2
    assert not list(tmp_path.iterdir())


def test_a_misspelt_reference_is_refused_of_records_alone_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.baselines.made import comparison

    _, records = comparison({"aepo": 0.5, "grpo": 0.6}, seeds=2)
    file = tmp_path / "records.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in records.values()), "utf-8")
    line = ["--report", "--records", str(file), "--out", str(tmp_path / "out"), "--against"]
    assert main([*line, "aeppo"]) == 2
    assert "--against aeppo is none of the contenders: grpo, aepo; did you mean 'aepo'?" in capsys.readouterr().err
    assert main([*line, "aepo"]) == 0
    assert "\ngrpo and aepo: no difference shown" in capsys.readouterr().out  # held against whom it says


def test_settings_decide_the_cell_and_spelling_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(*given: str) -> str:
        options = compare._parser().parse_args(["grpo", *given])
        shared = compare._shared(options, "smoke", "web")
        found = compare._contenders(options)
        return compare.all_cells(found, seeds=1, shared=shared, out=tmp_path)[0].digest

    plain = digest()
    assert digest("--threads", "1") == digest("--traces", "3") == plain
    assert digest("--set", "loss.high=0.20", "--set", "updates=4") == digest("--set", "updates=4") == plain
    others = [
        ("--set", "loss.high=0.3"),
        ("--lr", "0.1"),
        ("--steps", "3"),
        ("--eval-every", "2"),
        ("--questions", "3"),
    ]
    assert len({plain, *(digest(*one) for one in others)}) == len(others) + 1
    other_model = digest("--model", str(tmp_path))
    monkeypatch.setattr(tiny_start, "_VERSION", -1)  # another cold start of the tiny model
    assert digest() != plain
    assert digest("--model", str(tmp_path)) == other_model


def test_of_each_seed_those_that_take_longest_begin_first(tmp_path: Path) -> None:
    options = compare._parser().parse_args(["aepo", "grpo", "dapo", "gppo"])
    cells = compare.all_cells(
        compare._contenders(options), seeds=2, shared=compare._shared(options, "smoke", "web"), out=tmp_path
    )
    assert [(one.seed, one.contender.label) for one in cells[:4]] == [
        (0, name) for name in ("aepo", "grpo", "dapo", "gppo")
    ]
    order = [(one.seed, one.contender.label) for one in compare.longest_first(cells)]
    assert order == [(seed, name) for seed in (0, 1) for name in ("dapo", "gppo", "aepo", "grpo")]


def wait_for(file: Path, process: "subprocess.Popen[bytes]", holds: str = "") -> None:
    began = time.monotonic()
    while not (file.is_file() and holds in file.read_text("utf-8")):
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() - began < LONGEST, f"{file} took longer than {LONGEST} s"
        time.sleep(0.05)


@pytest.mark.timeout(480)  # beside other work; 30 s alone
def test_killed_and_begun_again_nothing_is_lost_or_repeated_and_one_seed_is_one_run_under_two_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    untrained().save(model)
    line = ["one=grpo", "other=grpo", *SMALL, "--model", str(model), "--seeds", "1", "--jobs", "1", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(running.CHECKOUT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "baselines.compare", *line], env=environment, cwd=tmp_path)
    try:
        wait_for(out / "results.jsonl", process)
        began = time.monotonic()
        while not list((out / "cells").glob("other-*/config.yaml")):
            assert time.monotonic() - began < LONGEST
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(LONGEST)
    (first,) = (out / "cells").glob("one-*")
    (other,) = (out / "cells").glob("other-*")
    _wait_until_gone(other / "lock")
    before = (first / "metrics.jsonl").stat().st_mtime_ns
    kept = (out / "results.jsonl").read_text("utf-8")

    assert main(line) == 0
    said = capsys.readouterr().out
    assert "2 cells: 1 finished, 1 to train" in said
    assert (first / "metrics.jsonl").stat().st_mtime_ns == before
    assert kept.strip() in (out / "results.jsonl").read_text("utf-8")
    ours, theirs = Results(out / "results.jsonl").found.values()
    assert ours["identity"] == theirs["identity"]
    for name in ("families", "diversity", "steps"):
        assert ours[name] == theirs[name]
    for mine, yours in zip([*ours["curve"], ours["used"]], [*theirs["curve"], theirs["used"]], strict=True):
        assert without_timings(mine) == without_timings(yours)
    assert (ours["before_of"], theirs["before_of"]) == (None, first.name)  # measured once
    assert theirs["evaluation_seconds"] > 0  # of its own later ones
    assert [one["step"] for one in ours["curve"]] == [0, 1, 2]
    assert ours["used"]["rollouts"] == 8
    assert ours["used"]["tokens"] > 0
    assert "they answered every question alike" in (out / "table.md").read_text("utf-8")
    assert (out / "compare.html").is_file()

    shutil.rmtree(out / "cells")  # as where only the records were kept
    table, kept = (out / "table.md").read_text("utf-8"), tmp_path / "kept" / "records.jsonl"
    kept.parent.mkdir()
    (out / "results.jsonl").rename(kept)  # as it would come to another machine
    elsewhere = [*line[:-1], str(tmp_path / "elsewhere"), "--records", str(kept)]
    assert main([*elsewhere, "--jobs", "2"]) == 0
    assert "2 cells: 2 finished, 0 to train" in capsys.readouterr().out
    assert main(["--report", "--records", str(kept), "--out", str(tmp_path / "alone")]) == 0
    assert (tmp_path / "alone" / "table.md").read_text("utf-8") == table
    assert (tmp_path / "alone" / "compare.html").is_file()
    assert [file.name for file in kept.parent.iterdir() if not file.name.endswith(".lock")] == ["records.jsonl"]


def _wait_until_gone(lock: Path) -> None:
    """The process that has the lock died with its comparison."""
    began = time.monotonic()
    with lock.open("a") as file:
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                assert time.monotonic() - began < 10, "the training outlived its comparison"
                time.sleep(0.05)


def test_records_are_there_or_not_there(tmp_path: Path) -> None:
    from tests.baselines.made import cell, record

    results = Results(tmp_path / "out" / "results.jsonl")
    one = cell("grpo", 0)
    assert not results.has(one)
    results.add(record(one, 0.5, 1))
    again = Results(tmp_path / "out" / "results.jsonl")
    assert again.has(one)
    assert not again.has(one._replace(digest="of other settings"))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["results.jsonl"]
    (tmp_path / "out" / "results.jsonl").write_text(json.dumps(record(one, 0.5, 1)) + '\n{"cell"\n', "utf-8")
    with pytest.raises(ValueError, match="line 2 is no record of a cell"):
        Results(tmp_path / "out" / "results.jsonl")
