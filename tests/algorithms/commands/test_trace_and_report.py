"""trace and report: what they print and write, and one sentence for each mistake; neither loads torch."""

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms.run import main
from tests.algorithms.report.made import run, trace
from tests.readme import ROOT


def said(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(line) == 0
    return capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(run(tmp_path / "mine", traces=[trace(1), trace(2), trace(2, 3)]))


def test_trace_lists_steps_then_questions_then_draws(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    steps = said(["trace", folder], capsys)
    assert [line.split()[0] for line in steps.splitlines()] == ["step", "1", "2", "list", "a"]
    worth = steps.splitlines()[-1].partition(" algorithms.run ")[2]
    assert said(shlex.split(worth), capsys).startswith("step 2, question ")
    questions = said(["trace", folder, "--step", "2"], capsys)
    assert [line.split()[0] for line in questions.splitlines()] == ["question", "0", "3", "draw"]
    assert "--step 2 --question 0" in questions
    drawn = said(["trace", folder, "--step", "2", "--question", "3"], capsys)
    assert drawn.startswith("step 2, question 3 ")
    assert "⑂ forked: draw 0.25 < P 0.80" in drawn
    assert "Since the start of path 1" in said(["trace", folder, "--step", "2", "--question", "3", "--full"], capsys)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--step", "9"], "no traces of step 9"),
        (["--step", "2", "--question", "1"], "no trace of question 1 of step 2: say 0, 3."),
        (["--question", "1"], "say --step too"),
        (["--step", "1", "--question", "0", "--width", "10"], "at least 40 columns"),
    ],
)
def test_a_mistake_gets_one_sentence(
    given: list[str], words: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", folder, *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.parametrize("command", ["trace", "report"])
def test_a_folder_without_a_run_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path / "none")]) == 2
    assert "There is no run in" in capsys.readouterr().err


def test_a_run_without_traces_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(run(tmp_path, traces=[]))]) == 2
    assert "has no traces" in capsys.readouterr().err


def test_report_writes_the_page_and_says_the_gain(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = said(["report", folder], capsys)
    assert "+50.0 points" in printed
    assert f"open {folder}/report.html" in printed
    other = tmp_path / "there.html"
    said(["report", folder, "--to", str(other)], capsys)
    assert other.read_bytes() == Path(folder, "report.html").read_bytes()
    assert main(["report", folder, "--to", str(tmp_path / "no" / "such" / "folder.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_run_still_going_is_told_from_one_that_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "2 of 9 steps so far" in said(["report", str(run(tmp_path, planned=9))], capsys)


def test_neither_loads_torch(folder: str) -> None:
    for line in (["report", folder], ["trace", folder, "--step", "1", "--question", "0"]):
        code = f"import sys; from algorithms.run import main; main({line!r}); assert 'torch' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("variable", "painted"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(variable: dict[str, str], painted: bool, folder: str) -> None:
    line = [sys.executable, "-m", "algorithms.run", "trace", folder, "--step", "1", "--question", "0"]
    environment = {**os.environ, "TERM": "xterm", **variable}
    environment.pop("NO_COLOR", None) if not variable.get("NO_COLOR") else None
    ours, theirs = pty.openpty()
    subprocess.run(line, cwd=ROOT, stdout=theirs, env=environment, timeout=60, check=True)
    os.close(theirs)
    shown = b""
    while part := _read(ours):
        shown += part
    assert (b"\x1b[" in shown) is painted
    piped = subprocess.run(line, cwd=ROOT, capture_output=True, env=environment, timeout=60, check=True).stdout
    assert b"\x1b[" not in piped


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other side is closed and all was read
        return b""


def test_a_terminal_that_lacks_signs_gets_others(folder: str) -> None:
    line = [sys.executable, "-m", "algorithms.run", "trace", folder, "--step", "1", "--question", "0"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, cwd=ROOT, capture_output=True, env=environment, timeout=60, check=True)
    assert b"?" in done.stdout
