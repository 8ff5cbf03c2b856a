"""Crowd: whether a machine has other work than a run's threads leave room for.

    if words := crowded(threads=2, taken=cores_taken()):
        say(f"WARNING  {words}")

Threads wait for each other at every operation: while one of two cores is taken away, a step that takes five seconds
takes fifty. Which number of threads a run has is part of its settings, so that it is told and not changed.
"""

import os
import time
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


def crowded(threads: int, taken: float) -> str | None:
    """What to say where there are fewer free cores than threads (0: one a core). One thread never minds."""
    cores = len(os.sched_getaffinity(0))
    threads = threads or cores
    if threads == 1 or taken < _LEAST or threads + taken < cores + _LEAST:
        return None
    return (
        f"other processes use {taken:.1f} of {cores} cores: {threads} threads, which wait for each other, are much "
        "slower than one; start with --threads 1 (which is, like another seed, another run)"
    )


def _ticks() -> int:
    """Of all cores at work, whatever for, since the machine was started."""
    words = _STAT.read_text("ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, interrupts, soft, stolen = map(int, words[:8])
    return user + nice + system + interrupts + soft + stolen
