"""Running cells: how many at once, retried, resumed, given up, cut short; with programs that stand in for training."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from baselines import running
from baselines.cells import Cell
from baselines.running import command, last_line, run_cells
from tests.baselines.made import cell

WELL = "import pathlib, sys, time; time.sleep(0.1); print('well')"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run cells, each as what `programs` says of its label; what failed, what was said, what ended well."""

    def run(programs: dict[str, str], **given: Any) -> tuple[dict[str, str], list[str], list[str]]:
        cells = [cell(label, 0, tmp_path) for label in programs]
        monkeypatch.setattr(
            running,
            "command",
            lambda one, more: [sys.executable, "-c", programs[one.contender.label], str(tmp_path), *more],
        )
        said: list[str] = []
        well: list[str] = []
        options = {
            "jobs": 2,
            "minutes": 1.0,
            "finished": lambda one, seconds: well.append(one.contender.label),
            **given,
        }
        failed = run_cells(cells, logs=tmp_path / "logs", say=said.append, **options)
        return failed, said, well

    return run


def test_all_cells_run_and_no_more_at_once_than_said(run: Any, tmp_path: Path) -> None:
    counts = (
        "import pathlib, sys, os, time\n"
        "here = pathlib.Path(sys.argv[1]) / f'at_work_{os.getpid()}'\n"
        "here.touch(); time.sleep(0.3)\n"
        "print(len(list(here.parent.glob('at_work_*')))); here.unlink()"
    )
    failed, _, well = run({f"cell{number}": counts for number in range(5)}, jobs=2)
    assert (failed, sorted(well)) == ({}, [f"cell{number}" for number in range(5)])
    together = [int(log.read_text()) for log in (tmp_path / "logs").iterdir()]
    assert max(together) == 2


def test_a_cell_that_fails_once_is_tried_again(run: Any) -> None:
    once = (
        "import pathlib, sys\n"
        "mark = pathlib.Path(sys.argv[1]) / 'mark'\n"
        "if not mark.exists(): mark.touch(); print('stopped: no luck'); sys.exit(1)"
    )
    failed, said, well = run({"once": once, "good": WELL})
    assert (failed, sorted(well)) == ({}, ["good", "once"])
    assert [line for line in said if line.startswith("FAILED")] == [
        "FAILED   once, seed 0 (stopped: no luck): it is tried again"
    ]


def test_a_cell_that_fails_always_is_reported_with_its_last_line_and_stops_no_other(run: Any) -> None:
    bad = "import sys; print('step 1'); print('error: the disk is full', file=sys.stderr); sys.exit(2)"
    failed, said, well = run({"bad": bad, "good": WELL})
    assert well == ["good"]
    assert failed == {cell("bad", 0).name: "error: the disk is full"}
    assert "given up" in said[-1]


def test_a_killed_cell_says_by_what(run: Any) -> None:
    failed, _, _ = run({"bad": "import os, signal; print('step 3', flush=True); os.kill(os.getpid(), signal.SIGKILL)"})
    assert list(failed.values()) == ["killed by SIGKILL after: step 3"]


def test_a_cell_that_takes_too_long_is_ended(run: Any) -> None:
    began = time.monotonic()
    failed, _, _ = run({"slow": "import time; time.sleep(60)"}, minutes=0.01)
    assert time.monotonic() - began < 30
    assert list(failed.values()) == ["it took longer than 0.01 minutes, see --cell-minutes"]


def test_a_run_that_cannot_be_recorded_has_failed(run: Any) -> None:
    def refuse(one: Cell, seconds: float) -> None:
        raise ValueError("the run is not finished")

    failed, _, _ = run({"odd": WELL}, finished=refuse)
    assert list(failed.values()) == ["the run is not finished"]


def test_interrupted_it_leaves_nothing_at_work(run: Any, tmp_path: Path) -> None:
    polite = (
        "import os, pathlib, signal, sys, time\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "def end(*_): (here / 'saved').touch(); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "(here / 'pid').write_text(str(os.getpid())); time.sleep(60)"
    )

    def interrupt(one: Cell, seconds: float) -> None:
        raise KeyboardInterrupt

    waits = (
        "import pathlib, sys, time\nwhile not (pathlib.Path(sys.argv[1]) / 'pid').exists(): time.sleep(0.02)\n"
        "time.sleep(0.1)"
    )
    with pytest.raises(KeyboardInterrupt):
        run({"polite": polite, "first": waits}, finished=interrupt)
    assert (tmp_path / "saved").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_each_has_one_thread_and_no_terminal(run: Any, tmp_path: Path) -> None:
    tells = "import os, sys; print(os.environ['OMP_NUM_THREADS'], sys.stdin.read() == '', os.getpid() == os.getsid(0))"
    run({"tells": tells})
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text() == "1 True True\n"


def test_words_known_when_a_cell_begins_reach_it(run: Any, tmp_path: Path) -> None:
    run({"tells": "import sys; print(sys.argv[2:])"}, more=lambda one: ["--before", one.contender.label])
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text() == "['--before', 'tells']\n"


def test_a_cell_with_a_run_is_resumed(tmp_path: Path) -> None:
    one = cell("grpo", 0, tmp_path)
    assert command(one, ["--before", "run"])[4:] == ["grpo", "--before", "run", "--run-dir", str(one.folder)]
    one.folder.mkdir(parents=True)
    (one.folder / "config.yaml").touch()
    assert command(one, ["--before", "run"])[4:] == ["resume", str(one.folder)]


def test_a_cell_dies_with_its_comparison(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="a cell trains, which needs the extra 'train'")
    words = ["-m", "baselines.cell_process", str(os.getpid() + 1), "list"]
    environment = {**os.environ, "PYTHONPATH": str(running.CHECKOUT)}
    pid = os.posix_spawn(sys.executable, [sys.executable, *words], environment)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1  # not the one it was started by: it is dead


def test_the_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\n  \n\n")
    assert last_line(tmp_path / "log") == "two"
    assert last_line(tmp_path / "none") == "it said nothing"
