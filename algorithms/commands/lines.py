"""Lines: what commands print, and the command lines they name.

say("evaluating ...")
command(["eval", "runs/mine"])          # ".venv/bin/python -m algorithms.run eval runs/mine"
"""

import argparse
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
"""When the command began."""


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
    kept, changed = [], ("--run-dir",) if seed is None else ("--run-dir", "--seed")
    words = iter(line[1:])
    for word in words:
        if word in changed:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in changed)):
            kept.append(word)
    return [algorithm or line[0], *kept, *([] if seed is None else ["--seed", str(seed)])]


def in_words(found: Any) -> str:
    """An `evaluation.Evaluation` in a line: success with its interval, and by family."""
    mean, low, high = found.greedy.interval()
    text = f"greedy {100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    if found.sampled is not None:
        mean, low, high = found.sampled.interval()
        text += f", pass@1 sampled {100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    families = (found.sampled or found.greedy).by_family()
    return f"{text}; " + ", ".join(f"{name.rpartition('/')[2]} {100 * score:.0f}" for name, score in families.items())
