"""A disk that is full or cannot be written: a sentence, exit code 1 or 2, and nothing lost of what was whole.

Real ones: a file system of a few megabytes, and a read-only mount, which bubblewrap makes for one process.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from aepo_env.sandbox.machine import find_bubblewrap
from algorithms.training.measures import without_timings
from algorithms.training.run_directory import RunDirectory
from tests.algorithms.training.small import config, policy
from tests.readme import ROOT

# No interpreters, which cannot be had in such a place: the search environment.
LINE = ["aepo", "--env", "search", "--preset", "smoke", "--steps", "2", "--questions", "4", "--eval-questions", "2"]
LINE += ["--budget", "4", "--threads", "1", "--temperature", "0.6", "--reward", "paper", "--model", "model"]

FULL = """
import os, shutil, sys
from pathlib import Path
from algorithms.run import main

line, room = sys.argv[1].split(), float(sys.argv[2])
assert main([*line, "--run-dir", "whole"]) == 0
checkpoint = sum(file.stat().st_size for file in Path("whole/checkpoints/step_000002").iterdir())
free = shutil.disk_usage("small").free
Path("small/filler").write_bytes(bytes(int(free - room * checkpoint)))
print("ROOM IS SHORT", flush=True)
print("CODE", main([*line, "--run-dir", "small/run"]), flush=True)
print("LEFT", sorted(str(path) for path in Path("small/run/checkpoints").iterdir()), flush=True)
os.remove("small/filler")
print("CODE", main(["resume", "small/run"]), flush=True)
shutil.copytree("small/run", "ended")
"""

READ_ONLY = """
from algorithms.run import main

print("CODE", main(["resume", "run"]), flush=True)
print("CODE", main(["eval", "run"]), flush=True)
"""


def in_a_place(folder: Path, *arguments: str, script: str, given: tuple[str, ...] = ()) -> str:
    """What a script says in a process that sees the machine through bubblewrap's `arguments`."""
    bubblewrap = find_bubblewrap()
    if bubblewrap is None:
        pytest.skip("needs bubblewrap")
    wrapped = [str(bubblewrap), "--dev-bind", "/", "/", *arguments, "--chdir", str(folder), "--"]
    if subprocess.run([*wrapped, "true"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("bubblewrap cannot be used here")
    ended = subprocess.run(
        [*wrapped, "env", f"PYTHONPATH={ROOT}", sys.executable, "-c", script, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.parametrize(("room", "kept"), [(1.6, 1)])  # in checkpoints with the optimiser's state
def test_a_full_disk_stops_a_run_that_then_goes_on(tmp_path: Path, room: float, kept: int) -> None:
    policy().save(tmp_path / "model")
    small = tmp_path / "small"
    small.mkdir()
    place = ("--size", "30000000", "--tmpfs", str(small))
    said = in_a_place(tmp_path, *place, script=FULL, given=(" ".join(LINE), str(room)))
    _, _, said = said.partition("ROOM IS SHORT")
    (stopped,) = [line for line in said.splitlines() if line.startswith("stopped: ")]
    assert "cannot be written (No space left on device)" in stopped
    assert f"the run is kept as it was after step {kept}; make room, then resume it." in stopped
    assert "Traceback" not in said
    assert said.count("CODE 1") == said.count("CODE 0") == 1
    (left,) = [line for line in said.splitlines() if line.startswith("LEFT ")]
    assert f"step_{kept:06d}'" in left
    assert f"step_{kept + 1:06d}" not in left  # nothing half-written takes up room
    ended, whole = RunDirectory(tmp_path / "ended"), RunDirectory(tmp_path / "whole")
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert without_timings(ended.records(name)) == without_timings(whole.records(name))
    sums = "checkpoints/step_000002/SHA256SUMS"
    assert (ended.path / sums).read_text("utf-8") == (whole.path / sums).read_text("utf-8")


def test_a_run_that_cannot_be_written_is_evaluated_all_the_same(tmp_path: Path) -> None:
    policy().save(tmp_path / "model")
    run = RunDirectory.create(tmp_path / "run", config(), "python -m algorithms.run aepo")
    run.save(policy(), {"done": 1}, 1)
    said = in_a_place(tmp_path, "--ro-bind", str(run.path), str(run.path), script=READ_ONLY)
    assert "error: The run directory run cannot be written (Read-only file system)" in said
    assert said.count("CODE 2") == said.count("CODE 0") == 1
    assert "greedy" in said
