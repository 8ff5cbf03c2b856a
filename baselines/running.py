"""Running: cells as processes of their own, some at once; retried, resumed, and never waited for in vain.

    failed = run_cells(cells, jobs=2, minutes=120, logs=out / "logs", say=print, finished=keep)
    failed["aepo-seed0-1f0c2a9b"]              # the last line it said

A cell whose directory holds a run is resumed. What a cell says goes to its log.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.cells import Cell

Say = Callable[[str], None]

TRIES = 2
CHECKOUT = Path(__file__).resolve().parents[1]
_POLL, _STATUS, _GRACE = 0.2, 20.0, 60.0  # seconds: between looks, between status lines, to save and end


@dataclass
class _Job:
    cell: Cell
    process: "subprocess.Popen[bytes]"
    began: float
    tries: int
    asked: float | None = None  # when it was asked to end, having taken too long


def run_cells(
    cells: Sequence[Cell],
    *,
    jobs: int,
    minutes: float,
    logs: Path,
    say: Say,
    finished: Callable[[Cell, float], None],
    more: Callable[[Cell], Sequence[str]] = lambda _: (),
) -> dict[str, str]:
    """Run all; for those that failed, by name, why.

    Args:
        jobs: at once. minutes: the most that a try of one cell may take.
        finished: is called with each cell that ended well and its seconds; a ValueError of it fails the cell.
        more: words for a cell's line that are known when it begins, and decide nothing.

    Interrupted (KeyboardInterrupt), it lets the cells save and end before it goes.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting = deque((cell, 1) for cell in cells)
    working: list[_Job] = []
    failed: dict[str, str] = {}
    began = said = time.monotonic()
    try:
        while waiting or working:
            while waiting and len(working) < jobs:
                cell, tries = waiting.popleft()
                working.append(_start(cell, tries, logs, more(cell)))
            time.sleep(_POLL)
            for job in [one for one in working if _has_ended(one, minutes)]:
                working.remove(job)
                why = _outcome(job, logs, minutes, finished)
                if why is not None and job.tries < TRIES:
                    say(f"FAILED   {job.cell.words} ({why}): it is tried again")
                    waiting.append((job.cell, job.tries + 1))
                elif why is not None:
                    say(f"FAILED   {job.cell.words} ({why}): given up; its log is {_log(logs, job.cell)}")
                    failed[job.cell.name] = why
            if time.monotonic() - said > _STATUS and working:
                said = time.monotonic()
                say(_status(cells, waiting, working, said - began))
    finally:
        _end(working)
    return failed


def command(cell: Cell, more: Sequence[str] = ()) -> list[str]:
    """The words that begin a cell's run, or go on with it."""
    goes_on = (cell.folder / "config.yaml").is_file()
    line = ["resume", str(cell.folder)] if goes_on else [*cell.line, *more, "--run-dir", str(cell.folder)]
    return [sys.executable, "-m", "baselines.cell_process", str(os.getpid()), *line]


def _start(cell: Cell, tries: int, logs: Path, more: Sequence[str]) -> _Job:
    own = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    own["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    with _log(logs, cell).open("ab") as log:
        process = subprocess.Popen(
            command(cell, more),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the comparison, which lets its cells save
            env={**os.environ, **own},
        )
    return _Job(cell, process, time.monotonic(), tries)


def _has_ended(job: _Job, minutes: float) -> bool:
    now = time.monotonic()
    if job.process.poll() is None and now - job.began > 60 * minutes:
        if job.asked is None:
            job.asked = now
            job.process.send_signal(signal.SIGTERM)
        elif now - job.asked > _GRACE:
            job.process.kill()
    return job.process.poll() is not None


def _outcome(job: _Job, logs: Path, minutes: float, finished: Callable[[Cell, float], None]) -> str | None:
    """Why a cell failed; None where it did not."""
    code = job.process.returncode
    if code == 0:
        try:
            finished(job.cell, time.monotonic() - job.began)
        except ValueError as error:
            return str(error)
        return None
    if job.asked is not None:
        return f"it took longer than {minutes:g} minutes, see --cell-minutes"
    last = last_line(_log(logs, job.cell))
    return last if code > 0 else f"killed by {signal.Signals(-code).name} after: {last}"


def last_line(log: Path) -> str:
    """The last line that says something."""
    lines = log.read_bytes()[-4_000:].decode("utf-8", "replace").splitlines() if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _log(logs: Path, cell: Cell) -> Path:
    return logs / f"{cell.name}.log"


def _steps(cell: Cell) -> int:
    """How many it has taken."""
    file = cell.folder / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def _status(cells: Sequence[Cell], waiting: "deque[tuple[Cell, int]]", working: Sequence[_Job], spent: float) -> str:
    """How far all are."""
    left = len(waiting) + len(working)
    now = "; ".join(f"{job.cell.words} step {_steps(job.cell)}/{job.cell.steps}" for job in working)
    done = sum(min(1.0, _steps(one) / max(1, one.steps)) for one in cells)
    total = f", about {max(1, round(spent * (len(cells) - done) / done / 60))} min left" if done > 0.5 else ""
    return f"         {len(cells) - left} of {len(cells)} done{total}; {now}"


def _end(working: Sequence[_Job]) -> None:
    """Let those at work save and end; whoever does not in time is killed."""
    for job in working:
        job.process.terminate()
    by = time.monotonic() + _GRACE
    for job in working:
        try:
            job.process.wait(max(0.0, by - time.monotonic()))
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait(_GRACE)
