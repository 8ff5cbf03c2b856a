"""A machine that has other work is told of before several threads wait for each other on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms.commands import crowd
from algorithms.commands.crowd import cores_taken, crowded


def test_threads_without_room_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert crowded(threads=2, taken=lambda: 0.2) is None
    assert crowded(threads=1, taken=lambda: 2.0) is None
    said = crowded(threads=2, taken=lambda: 0.9)
    assert said is not None
    assert "other processes use 0.9 of 2 cores: 2 threads" in said
    assert crowded(threads=0, taken=lambda: 0.9) == said  # none said: one a core
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert crowded(threads=2, taken=lambda: 4.0) is None  # room enough


def test_work_of_others_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            assert max(cores_taken(0.3) for _ in range(5)) > 0.4
        finally:
            other.kill()


def test_only_cores_that_this_process_may_use_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    stat = tmp_path / "stat"
    lines = ["cpu  16145 0 0 36 36 0 0 0", "cpu0 100 0 0 9 9 0 0 0", "cpu1 7000 0 0 9 9 0 0 0"]
    stat.write_text("\n".join([*lines, "cpu2 20 3 4 9 9 5 6 7 0 0", "cpu10 9000 0 0 9 9 0 0 0", "intr 1", ""]))
    monkeypatch.setattr(crowd, "_STAT", stat)
    assert crowd._ticks() == 100 + 20 + 3 + 4 + 5 + 6 + 7  # not idle, not waiting for a disk


def test_a_system_that_does_not_tell_is_taken_to_be_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "_STAT", tmp_path / "none")
    assert cores_taken(0.0) == 0.0
    (tmp_path / "odd").write_text("cpu 1 2\ncpu0 1 2\n")
    monkeypatch.setattr(crowd, "_STAT", tmp_path / "odd")
    assert cores_taken(0.0) == 0.0
