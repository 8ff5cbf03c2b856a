"""Closes a run of the oracle vectors with how many ran, passed and were left out, and why."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = {
        outcome: sum("test_oracles.py::test_oracle[" in getattr(report, "nodeid", "") for report in found)
        for outcome, found in terminalreporter.stats.items()
        if outcome in ("passed", "failed")
    }
    ran = sum(reports.values())
    if not ran:
        return
    from tests.algorithms.oracles.dispatch import left_out  # needs torch, which ran here

    reasons = left_out()
    terminalreporter.section("oracle vectors")
    terminalreporter.line(f"{ran} ran, {reports.get('passed', 0)} passed, {reasons.total()} were left out:")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5d}  {reason}")
