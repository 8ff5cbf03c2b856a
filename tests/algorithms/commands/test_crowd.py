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
    assert crowded(threads=2, taken=0.2) is None
    assert crowded(threads=1, taken=2.0) is None
    said = crowded(threads=2, taken=0.9)
    assert said is not None
    assert "other processes use 0.9 of 2 cores: 2 threads" in said
    assert crowded(threads=0, taken=0.9) == said  # none said: one a core
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert crowded(threads=2, taken=4.0) is None  # room enough


def test_work_of_others_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            assert max(cores_taken(0.3) for _ in range(5)) > 0.4
        finally:
            other.kill()


def test_a_system_that_does_not_tell_is_taken_to_be_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "_STAT", tmp_path / "none")
    assert cores_taken(0.0) == 0.0
    (tmp_path / "odd").write_text("cpu 1 2\n")
    monkeypatch.setattr(crowd, "_STAT", tmp_path / "odd")
    assert cores_taken(0.0) == 0.0
