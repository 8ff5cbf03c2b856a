"""Commands in processes of their own, which end as they like or are killed: at a moment, or at a file operation.

    ended = command(["resume", "run"], folder, kill_after=2.5)      # SIGKILL after so many seconds
    ended = command(["resume", "run"], folder, kill_before=17)      # before its 17th operation on files below `folder`
    ended = command(["resume", "run"], folder, kill_when="step   2", with_signal=signal.SIGTERM)       # once it said so
    ended.code                                                      # -9 where it was killed

The processes are forked from one that has loaded torch already, so that one costs no more than what it does.
"""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["tests.algorithms.training.small", "algorithms.run", "algorithms.training.exporting"]
)

_LOG = "operations.txt"
_OUTPUT = "output.txt"
_WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
LONGEST = 100.0


class Ended(NamedTuple):
    """code: of the exit, or minus a signal. operations: on files, in order. output: stdout and stderr."""

    code: int
    seconds: float
    operations: list[str]
    output: str


def command(
    line: list[str],
    folder: Path,
    *,
    kill_after: float | None = None,
    kill_before: int | None = None,
    kill_when: str | None = None,
    with_signal: int = signal.SIGKILL,
    small_start: bool = False,
) -> Ended:
    """Run `python -m algorithms.run` with these words in `folder`. small_start: makes the tiny model in seconds."""
    for name in (_LOG, _OUTPUT):
        (folder / name).unlink(missing_ok=True)
    process = _PROCESSES.Process(target=_run, args=(line, str(folder), kill_before, small_start))
    began = time.perf_counter()
    process.start()
    while process.is_alive():
        left = LONGEST if kill_after is None else kill_after - (time.perf_counter() - began)
        process.join(max(0.0, min(0.02, left)))
        said = kill_when is not None and kill_when in _text(folder / _OUTPUT)
        if said or left <= 0:
            assert process.pid is not None
            os.kill(process.pid, with_signal)
            process.join(LONGEST)
        assert time.perf_counter() - began < LONGEST, f"{line} took longer than {LONGEST} s"
    code = process.exitcode
    assert code is not None
    process.close()
    return Ended(code, time.perf_counter() - began, _text(folder / _LOG).splitlines(), _text(folder / _OUTPUT))


def _text(file: Path) -> str:
    return file.read_text("utf-8") if file.exists() else ""


def _run(line: list[str], folder: str, kill_before: int | None, small_start: bool) -> None:
    """In the new process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    os.chdir(folder)
    output = os.open(_OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    if small_start:
        _make_small_starts(folder)
    _watch_files(folder, kill_before)
    from algorithms.run import main

    code = main(line)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch_files(folder: str, kill_before: int | None) -> None:
    log = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    count = 0

    def look(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _WATCHED or not isinstance(given[0], str | bytes | os.PathLike):
            return
        path = os.path.abspath(os.fsdecode(given[0]))
        if not path.startswith(folder + "/"):
            return
        count += 1
        if count == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(log, f"{event} {os.path.relpath(path, folder)}\n".encode())

    sys.addaudithook(look)


def _make_small_starts(folder: str) -> None:
    """The tiny model's cold start in a few seconds, kept below `folder`."""
    from algorithms.policy.tiny import TinyShape
    from algorithms.training import tiny_start
    from algorithms.training.cold_start import ColdStartSettings
    from algorithms.training.config import TINY_ENVIRONMENT, EnvironmentSettings

    os.environ["AEPO_CACHE"] = os.path.join(folder, "cache")
    small = tiny_start.TinyStart(
        EnvironmentSettings("web", TINY_ENVIRONMENT["web"]),
        vocabulary=512,
        tokenizer_worlds=1,
        tokenizer_questions=40,
        shape=TinyShape(width=32, layers=2, heads=2, inner=48),
        training=ColdStartSettings(steps=30, questions=40, warmup=5),
    )
    make = tiny_start.tiny_start
    tiny_start.tiny_start = lambda environment, *, say: make(environment, say=say, start=small)  # type: ignore[assignment]
