"""The unprotected runner: what it does keep, and that it says what it does not."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aepo_env.sandbox import BoxLimits, ForkRefused, Guarantee, Interpreter, SandboxUnavailable, UnboxedUnsafe


@pytest.fixture
def unboxed() -> Iterator[UnboxedUnsafe]:
    with contextlib.closing(UnboxedUnsafe()) as sandbox:
        yield sandbox


@pytest.fixture
def interpreter(unboxed: UnboxedUnsafe) -> Iterator[Interpreter]:
    with contextlib.closing(unboxed.start(7)) as fresh:
        yield fresh


def test_state_lasts(interpreter: Interpreter) -> None:
    interpreter.run("x = 40", 5.0)
    assert interpreter.run("x + 2", 5.0) == ("ok", "42\n", "", 3, True)


def test_time_out_keeps_state_and_partial_output(interpreter: Interpreter) -> None:
    begun = time.monotonic()
    result = interpreter.run("x = 5\nprint('part', end='')\nwhile True: pass", 1.0)
    assert time.monotonic() - begun < 1.5
    assert (result.status, result.output, result.alive) == ("timeout", "part", True)
    assert interpreter.run("x", 5.0).output == "5\n"


def test_deaf_cell_is_killed_with_its_group(interpreter: Interpreter, settles: Callable[..., bool]) -> None:
    code = (
        "import signal, subprocess, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\nprint(child.pid)\nwhile True: x = 1"
    )
    begun = time.monotonic()
    result = interpreter.run(code, 1.0)
    assert time.monotonic() - begun < 1.5
    assert (result.status, result.alive) == ("timeout", False)
    child = Path("/proc") / result.output.strip() / "stat"
    assert settles(lambda: not child.exists() or ") Z " in child.read_text())


def test_child_left_behind_does_not_hold_the_call(interpreter: Interpreter) -> None:
    begun = time.monotonic()
    assert interpreter.run("import subprocess; child = subprocess.Popen(['sleep', '60'])", 5.0).status == "ok"
    assert time.monotonic() - begun < 2.0


def test_ending_between_two_cells_is_a_result(interpreter: Interpreter, settles: Callable[..., bool]) -> None:
    timer = "import os, threading\nprint(os.getpid())\nthreading.Timer(0.1, os._exit, (1,)).start()"
    stat = Path("/proc") / interpreter.run(timer, 5.0).output.strip() / "stat"
    assert settles(lambda: not stat.exists() or ") Z " in stat.read_text())
    result = interpreter.run("1 + 1", 5.0)
    assert (result.status, result.alive) == ("dead", False)


def test_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch, unboxed: UnboxedUnsafe) -> None:
    monkeypatch.setenv("AEPO_TEST_SECRET", "hunter2")
    with contextlib.closing(unboxed.start(0)) as interpreter:
        assert "hunter2" not in interpreter.run("import os; dict(os.environ)", 5.0).output


def test_output_is_cut_and_a_flood_ends_it(interpreter: Interpreter) -> None:
    result = interpreter.run("print('x' * 1_000_000)", 5.0)
    assert (len(result.output), result.output_bytes) == (20_000, 1_000_001)
    assert interpreter.run("import os\nwhile True: os.write(1, b'y' * 65536)", 20.0).status == "killed"


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "import ctypes; ctypes.string_at(0)"])
def test_crash_is_a_result(interpreter: Interpreter, code: str) -> None:
    result = interpreter.run("print('last words')\n" + code, 5.0)
    assert (result.status, result.output, result.alive) == ("dead", "last words\n", False)
    assert interpreter.run("1", 5.0).status == "dead"


def test_large_cell_works(interpreter: Interpreter) -> None:
    assert interpreter.run(f"x = '{'é' * 500_000}'\nlen(x)", 5.0).output == "500000\n"


def test_equal_seeds_give_equal_streams(unboxed: UnboxedUnsafe) -> None:
    with contextlib.closing(unboxed.start(5)) as first, contextlib.closing(unboxed.start(5)) as second:
        code = "import random; random.random(), hash('x')"
        assert first.run(code, 5.0).output == second.run(code, 5.0).output


def test_memory_is_limited(interpreter: Interpreter) -> None:
    assert "MemoryError" in interpreter.run("x = bytearray(4 << 30)", 5.0).error


def test_it_cannot_fork_and_says_so(interpreter: Interpreter) -> None:
    with pytest.raises(ForkRefused, match="replay"):
        interpreter.fork(rng="same", seed=0)


def test_guarantees_are_honest(unboxed: UnboxedUnsafe) -> None:
    held = unboxed.guarantees()
    assert {held[name] for name in ("network", "files", "processes", "secrets")} == {Guarantee.NONE}


def test_number_is_limited_and_closing_leaves_nothing(settles: Callable[..., bool]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.closing(UnboxedUnsafe(BoxLimits(branches=2))) as small:
        first, second = small.start(0), small.start(0)
        folder = Path(first.run("import os; print(os.getcwd())", 5.0).output.strip())
        with pytest.raises(SandboxUnavailable, match="the limit is 2"):
            small.start(0)
        second.close()
        third = small.start(0)
        assert third.run("1", 5.0).alive
    assert not folder.exists()
    assert len(os.listdir("/proc/self/fd")) == before
