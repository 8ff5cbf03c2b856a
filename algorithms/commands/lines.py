"""Lines: what commands print, and the command lines they name.

say("evaluating ...")
command(["eval", "runs/mine"])          # ".venv/bin/python -m algorithms.run eval runs/mine"
"""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


class Stopped(Exception):
    """A command could not end what it began, through no fault of its line. The sentence says why."""


def say(text: str) -> None:
    """Print a line at once, however the output is buffered."""
    print(text, flush=True)


def whole(text: str) -> int:
    """For argparse: a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}") from None


def number(text: str) -> float:
    """For argparse: a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"takes a number, not {text!r}")
    return value


def command(line: Sequence[str]) -> str:
    """A line to type in the folder the command was given in: with the Python that ran it."""
    python = sys.executable
    if Path(python).is_relative_to(Path.cwd()):
        python = str(Path(python).relative_to(Path.cwd()))
    return shlex.join([python, "-m", "algorithms.run", *line])


def again(line: Sequence[str], *, algorithm: str | None = None, seed: int | None = None) -> list[str]:
    """The given line with another algorithm or seed, in a run directory of its own."""
    kept = without(line, "--run-dir", "--before")[1:]  # of one run alone
    if seed is not None:
        kept = [*without(kept, "--seed"), "--seed", str(seed)]
    return [algorithm or line[0], *kept]


def without(line: Sequence[str], *names: str) -> list[str]:
    """The given line without some options and their values."""
    kept = []
    words = iter(line)
    for word in words:
        if word in names:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in names)):
            kept.append(word)
    return kept
