"""Profiling: where the time of a run goes, by part of a step and by function.

    with profiled(directory, say):
        ...                                    # training that appends to the directory's metrics.jsonl

Every step says how long its parts took; Python's profiler looks at one step alone, the second of those taken, since it
slows that down by a third, and the first warms up. Results: profile.txt in the run directory, its top printed.

Left out: other threads, and what a GPU does meanwhile: its time is found where Python waits for it (item, tolist, cpu).
"""

import cProfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from algorithms.training.run_directory import RunDirectory

_LISTED, _SHOWN = 60, 10


class _Row(NamedTuple):
    name: str
    calls: int
    own: float
    total: float


@contextmanager
def profiled(directory: RunDirectory, say: Callable[[str], None]) -> Iterator[None]:
    """Look at the steps taken meanwhile."""
    looking = _Looking()
    directory.listeners.append(looking.tell)
    try:
        yield
    finally:
        directory.listeners.remove(looking.tell)
        looking.stop()
        if looking.steps:
            directory.write_text("profile.txt", looking.text(_LISTED))
            for line in looking.text(_SHOWN).splitlines():
                say(line)
            say(f"the whole profile is in {directory.path / 'profile.txt'}")


class _Looking:
    def __init__(self) -> None:
        self.steps = 0
        self._seconds: Counter[str] = Counter()
        self._running: cProfile.Profile | None = None
        self._rows: list[_Row] = []

    def tell(self, name: str, record: Mapping[str, Any]) -> None:
        """A step is over, if it is one."""
        if name != "metrics.jsonl":
            return
        self.stop()
        self.steps += 1
        self._seconds.update(record["seconds"])
        if self.steps == 1:
            self._running = cProfile.Profile()
            self._running.enable()

    def stop(self) -> None:
        """The profiled step is over. Idempotent."""
        if self._running is not None:
            running, self._running = self._running, None
            running.disable()
            rows = (_Row(_name(one.code), one.callcount, one.inlinetime, one.totaltime) for one in running.getstats())
            self._rows = sorted(rows, key=lambda row: -row.own)

    def text(self, rows: int) -> str:
        """Parts of the steps, and as many functions of the profiled one, the longest first."""
        total = sum(self._seconds.values()) or 1.0
        lines = [f"time by part, of {self.steps} steps:"]
        for name, seconds in self._seconds.most_common():
            lines.append(f"  {name:<12} {seconds / self.steps:8.2f} s a step  {seconds / total:5.0%}")
        lines.append("functions in the second step, by time of their own (s), with those they call:")
        for row in self._rows[:rows]:
            lines.append(f"  {row.own:7.2f} {row.total:7.2f} {row.calls:>9,} x  {row.name}")
        return "\n".join(lines) + "\n"


def _name(code: CodeType | str) -> str:
    """Of a function: file within its package, line and name; of one in C what Python calls it."""
    if isinstance(code, str):
        return code.strip("<>")
    place = "/".join(Path(code.co_filename).parts[-3:])
    return f"{place}:{code.co_firstlineno} {code.co_qualname}"
