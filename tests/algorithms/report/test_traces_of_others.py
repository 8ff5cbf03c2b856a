"""A trace that no run wrote is refused in one sentence: nothing hangs on it, and nothing of it reaches a terminal."""

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from algorithms.report.choose import trees
from algorithms.report.trace_shape import misfit
from algorithms.report.traces import Trace, read, trace_file
from tests.algorithms.report.made import run, trace, write_traces


def changed(*path: str | int, to: Any) -> Trace:
    """A trace with one value changed, or with a field left out where it becomes `...`."""
    made: Any = json.loads(json.dumps(trace()))
    place = made
    for name in path[:-1]:
        place = place[name]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return made  # type: ignore[no-any-return]


HOSTILE = {
    "a node that is its own parent": (("tree", "nodes", 2, "parent"), 2),
    "a prompt with a parent": (("tree", "nodes", 0, "parent"), 3),
    "a parent beyond the tree": (("tree", "nodes", 2, "parent"), 99),
    "a token without a text": (("tree", "nodes", 0, "tokens"), [1, 77]),
    "no texts": (("pieces",), ...),
    "a text that is a number": (("pieces", "1"), 5),
    "as many texts as no node has tokens": (("apart",), {"0": ["one"]}),
    "a number that is none": (("tree", "nodes", 1, "entropies"), [0.3, float("nan")]),
    "a reward in words": (("tree", "leaves", 0, "rewards"), {"total": "1"}),
    "a leaf without a reward": (("tree", "leaves", 0, "rewards"), {"accuracy": 1.0}),
    "a leaf too few": (("leaves",), []),
    "codes for a terminal as a number": (("report", "roots"), "\x1b[2J"),
    "codes for a terminal as a path": (("report", "leaves", 0, "path"), "\x1b[2J"),
    "codes for a terminal as an outcome": (("report", "forks", 0, "outcome"), "\x1b[2J"),
    "no decisions": (("report", "forks"), ...),
    "answers as one text": (("task", "answers"), "xx"),
}


def test_a_file_of_which_any_byte_has_changed_is_read_or_refused(tmp_path: Path) -> None:
    folder = run(tmp_path, steps=1)
    file = trace_file(folder, 1)
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(ValueError):
            read(folder, 1)


def test_what_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path, steps=1)
    trace_file(folder, 1).write_bytes(gzip.compress(b"[" * 100_000))
    with pytest.raises(ValueError, match="cannot be read"):
        read(folder, 1)


def test_what_a_run_writes_fits() -> None:
    assert misfit(trace()) is None


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_run_writes_is_refused(what: str, tmp_path: Path) -> None:
    path, value = HOSTILE[what]
    folder = run(tmp_path, steps=2)
    write_traces(folder, [changed("step", to=2), {**changed(*path, to=value), "step": 2}])
    with pytest.raises(ValueError, match=r"step_000002\.jsonl\.gz, line 2: '[a-z.0-9]+' is not as a run writes it"):
        read(folder, 2)
    assert [one["step"] for one in trees(folder, 10_000_000)] == [1], "the report shows the others"
