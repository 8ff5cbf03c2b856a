"""What other gyms' code tools were found to do wrong, asked of the box: each probe with its guarantee."""

import contextlib
import time
from collections.abc import Callable

from aepo_env.sandbox import BoxLimits, Interpreter, LocalBox


def test_allocation_beyond_the_limit_is_a_memory_error(make_box: Callable[..., LocalBox], box: LocalBox) -> None:
    tight = make_box(BoxLimits(memory_mb=512))
    with contextlib.closing(tight), contextlib.closing(tight.start(0)) as interpreter:
        result = interpreter.run("kept = 1\nx = bytearray(600 << 20)", 5.0)
        assert result.error.endswith("MemoryError\n")
        assert interpreter.run("kept", 5.0).output == "1\n"


def test_fifty_megabytes_of_output_are_cut(interpreter: Interpreter) -> None:
    result = interpreter.run("for _ in range(50):\n    print('x' * 1_000_000, end='')", 20.0)
    assert (result.status, len(result.output), result.output_bytes) == ("ok", 20_000, 50_000_000)


def test_no_list_of_words_is_the_guard(interpreter: Interpreter) -> None:
    """Putting a forbidden name together gets nowhere, and a harmless text that holds one is harmless."""
    assert "PermissionError" in interpreter.run("__import__('sub' + 'process').run(['ls'])", 5.0).error
    assert interpreter.run("print('call sys.exit(), import subprocess')", 5.0).status == "ok"


def test_undefined_name_fails_once_and_at_once(interpreter: Interpreter) -> None:
    interpreter.run("n = 0", 5.0)
    begun = time.monotonic()
    result = interpreter.run("n += 1\nmath.sqrt(4)", 5.0)
    assert time.monotonic() - begun < 0.3
    assert "NameError" in result.error
    assert interpreter.run("n", 5.0).output == "1\n", "the cell ran once"


def test_python_of_a_virtual_environment_works(interpreter: Interpreter) -> None:
    """The box has the interpreter and its library, not the environment around it."""
    code = (
        "import sys, ssl, sqlite3, ctypes, decimal; sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()[0]"
    )
    assert interpreter.run(code, 5.0).output == "42\n"
    assert interpreter.run("import pytest", 5.0).status == "error"


def test_no_path_of_the_host_shows(interpreter: Interpreter) -> None:
    shown = interpreter.run("import os, sys; print(sys.path, sys.prefix, sys.executable, sorted(os.listdir('/')))", 5.0)
    assert not {word for word in ("/home", "/root", "'root'", "'home'", "site-packages") if word in shown.output}
