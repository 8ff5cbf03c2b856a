"""Which tree to look at first: late, right and wrong side by side, forks of different P, a forked interpreter."""

from pathlib import Path
from typing import Any

import pytest

from algorithms.report import worth as module
from algorithms.report.traces import Trace, trace_file
from algorithms.report.worth import worth, worth_seeing
from tests.algorithms.report.made import PIECES, fork, run, trace


def plain(**changes: Any) -> Trace:
    """All wrong, one decision."""
    made = trace(**changes)
    for leaf in made["leaves"]:
        leaf["solved"] = False
    return made


def mixed() -> Trace:
    made = plain()
    made["leaves"][1]["solved"] = True
    return made


def more_forks() -> Trace:
    made = plain()
    made["report"]["forks"] = [fork(), fork()]
    return made


def wider() -> Trace:
    made = plain()
    made["report"]["forks"] = [fork(), fork(probability=0.3, outcome="draw")]
    return made


def python() -> Trace:
    made = plain()
    made["report"]["calls"] = {"python": 1}
    return made


def python_forked() -> Trace:
    made = python()
    made["pieces"] = {str(token): text.replace("search", "python") for token, text in PIECES.items()}
    return made


@pytest.mark.parametrize(
    ("better", "than"),
    [(mixed, plain), (more_forks, plain), (wider, plain), (python, plain), (python_forked, python)],
)
def test_each_thing_worth_seeing_counts(better: Any, than: Any) -> None:
    assert worth(better()) > worth(than())


def test_all_right_is_worth_no_more_than_all_wrong() -> None:
    made = plain()
    for leaf in made["leaves"]:
        leaf["solved"] = True
    assert worth(made) == worth(plain())


def test_a_tree_too_deep_for_a_page_gives_way() -> None:
    deep = plain()
    deep["report"]["leaves"][0]["turns"] = 9
    assert worth(deep) < worth(plain())


def test_a_late_tree_is_named_by_step_and_question(tmp_path: Path) -> None:
    some = [plain(step=step) for step in range(1, 9)]
    early, late = mixed(), mixed()
    early.update(step=2, question=5)  # of the first half
    early["report"]["forks"] = [fork(), fork(probability=0.0)]
    late.update(step=6, question=3)
    folder = run(tmp_path, steps=8, planned=8, traces=[*some, early, late])
    assert worth_seeing(folder) == (6, 3)


def test_of_equals_the_last_step_is_named_and_one_cut_short_is_passed_over(tmp_path: Path) -> None:
    folder = run(tmp_path, steps=4, planned=4)
    assert worth_seeing(folder) == (4, 0)
    file = trace_file(folder, 4)
    file.write_bytes(file.read_bytes()[:40])
    assert worth_seeing(folder) == (3, 0)


def test_a_first_step_alone_is_better_than_nothing(tmp_path: Path) -> None:
    assert worth_seeing(run(tmp_path / "one", steps=1, planned=1)) == (1, 0)
    assert worth_seeing(run(tmp_path / "none", steps=0, traces=[])) is None


def test_few_steps_of_a_long_run_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(module, "traced_steps", lambda run: list(range(1, 1001)))
    monkeypatch.setattr(module, "read", lambda run, step: read.append(step) or [])
    assert worth_seeing(tmp_path) is None
    assert 8 <= len(read) <= 12
    assert read[0] == 1000
    assert min(read) > 500
