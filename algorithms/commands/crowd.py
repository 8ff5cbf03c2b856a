"""Crowd: whether a machine has other work than a run's threads leave room for.

    if words := crowded(threads=2):
        say(f"WARNING  {words}")

Threads wait for each other at every operation: while one of two cores is taken away, a step that takes five seconds
takes fifty. Which number of threads a run has is part of its settings, so that it is told and not changed.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

_LEAST = 0.5  # cores taken by others that are worth a word
_STAT = Path("/proc/stat")


def cores_taken(seconds: float = 0.5) -> float:
    """How many cores other processes keep at work, looked at for so long; 0 where the system does not tell."""
    try:
        before = _ticks()
        time.sleep(seconds)
        after = _ticks()
    except (OSError, ValueError, IndexError):
        return 0.0
    return (after - before) / os.sysconf("SC_CLK_TCK") / seconds


def crowded(threads: int, taken: Callable[[], float] = cores_taken) -> str | None:
    """What to say where there are fewer free cores than threads (0: one a core). One thread never minds, nor looks."""
    cores = len(os.sched_getaffinity(0))
    threads = threads or cores
    if threads == 1:
        return None
    others = taken()
    if others < _LEAST or threads + others < cores + _LEAST:
        return None
    return (
        f"other processes use {others:.1f} of {cores} cores: {threads} threads, which wait for each other, are much "
        "slower than one; a run started with --threads 1 does not mind (and is, like another seed, another run)"
    )


def _ticks() -> int:
    """Of the cores that this process may use, at work for whatever, since the machine was started."""
    ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    lines = [line.split() for line in _STAT.read_text("ascii").splitlines()]
    found = [[int(word) for word in words[1:9]] for words in lines if words and words[0] in ours]
    if not found:
        raise ValueError("It tells nothing of these cores.")
    return sum(
        user + nice + system + interrupts + soft + stolen
        for user, nice, system, _, _, interrupts, soft, stolen in found
    )
