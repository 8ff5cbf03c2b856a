"""A profile: parts of all steps, functions of the second, and nobody slowed down afterwards."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.training.profiling import profiled
from algorithms.training.run_directory import RunDirectory
from tests.algorithms.training.small import config


def busy_function() -> int:
    return sum(number % 7 for number in range(20_000))


def other_function() -> int:
    return sum(number % 5 for number in range(20_000))


def profiler_runs() -> bool:
    if sys.getprofile() is not None:
        return True
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    return monitoring is not None and monitoring.get_tool(monitoring.PROFILER_ID) is not None


def test_the_second_step_is_looked_at_and_the_parts_are_of_all(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", config(), "command")
    said: list[str] = []
    with profiled(directory, said.append):
        for step, work in enumerate((other_function, busy_function, other_function), start=1):
            work()
            directory.append("eval.jsonl", {"step": step, "seconds": 1.0})
            directory.append("metrics.jsonl", {"step": step, "seconds": {"rollout": 3.0, "update": 1.0}})
        assert not profiler_runs()
    text = (directory.path / "profile.txt").read_text("utf-8")
    assert "time by part, of 3 steps" in text
    assert "rollout          3.00 s a step    75%" in text
    assert "test_profiling.py" in text
    assert "busy_function" in text
    assert "other_function" not in text
    assert any("busy_function" in line for line in said)
    assert directory.listeners == []


def test_a_run_that_ends_early_leaves_no_profiler_behind(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", config(), "command")

    def stopped() -> None:
        with profiled(directory, lambda _: None):
            directory.append("metrics.jsonl", {"step": 1, "seconds": {"rollout": 1.0}})
            assert profiler_runs()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not profiler_runs()
    assert "of 1 steps" in (directory.path / "profile.txt").read_text("utf-8")
