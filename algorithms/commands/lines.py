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
    own = ("--run-dir", "--before")  # of one run alone
    kept, changed = [], own if seed is None else (*own, "--seed")
    words = iter(line[1:])
    for word in words:
        if word in changed:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in changed)):
            kept.append(word)
    return [algorithm or line[0], *kept, *([] if seed is None else ["--seed", str(seed)])]
