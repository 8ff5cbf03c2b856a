"""Steps within their time: broken off in place, given up in threads that keep no process; others' alarms go on."""

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from aepo_env.tools.tool import CallContext, Tool, ToolResult
from algorithms.rollout.bounded import TookTooLong, Workers, at_most
from algorithms.rollout.faults import ToolsFailed
from algorithms.rollout.independent import Independent
from tests.algorithms.rollout.scripted import play, searches
from tests.fakes import TASKS, SlowTool, make_env
from tests.readme import ROOT


def test_what_takes_too_long_is_broken_off_though_it_catches_everything() -> None:
    def tool() -> None:
        try:
            time.sleep(30)
        except Exception:
            pytest.fail("a tool would take it for its own")

    began = time.monotonic()
    with pytest.raises(TookTooLong), at_most(0.05):
        tool()
    assert time.monotonic() - began < 25


def test_one_that_swallows_the_alarm_is_broken_off_all_the_same() -> None:
    def tool() -> None:
        try:
            time.sleep(30)
        except:  # noqa: E722
            time.sleep(30)

    began = time.monotonic()
    with pytest.raises(TookTooLong), at_most(0.05):
        tool()
    assert time.monotonic() - began < 25


def test_what_is_in_time_is_left_alone_and_the_alarm_before_goes_on() -> None:
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        with at_most(60):
            time.sleep(0.01)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 1.5
        time.sleep(2)
        assert rung == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_beside_the_main_thread_there_is_no_alarm_and_no_complaint() -> None:
    done: list[bool] = []

    def work() -> None:
        with at_most(0.01):
            time.sleep(0.05)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert done == [True]


def test_workers_hand_on_results_and_exceptions() -> None:
    workers = Workers(2)
    well, ill = workers.submit(lambda: 7), workers.submit(lambda: 1 // 0)
    assert well.result(5) == 7
    with pytest.raises(ZeroDivisionError):
        ill.result(5)
    workers.close()


def test_a_thread_that_hangs_keeps_no_process_from_ending() -> None:
    program = (
        "import threading\n"
        "from algorithms.rollout.bounded import Workers\n"
        "Workers(2).submit(threading.Event().wait)\n"
        "print('ends')"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (0, "ends\n")


@pytest.mark.parametrize("threads", [0, 2])
def test_what_hangs_always_ends_the_rollout(threads: int) -> None:
    tool = SlowTool(0.5)
    with pytest.raises(ToolsFailed, match="5 tool calls did not come back"):
        play(Independent(4), searches(1), make_env([tool]), TASKS[:4], threads=threads, step_seconds=0.02)


def test_waiting_for_a_thread_is_not_taken_for_hanging() -> None:
    tool = SlowTool(0.25)  # ten calls one after the other: the last begins after more than two seconds
    grown, _ = play(Independent(10), searches(1), make_env([tool]), threads=1, step_seconds=2.0)
    assert (grown.reports[0].retried, len(grown.reports[0].leaves)) == (0, 10)


def test_a_call_may_take_its_deadline_and_a_judge_the_episodes() -> None:
    from algorithms.rollout.playing import called, time_for

    rules = make_env([SlowTool(0)], call_seconds=3.0, episode_seconds=50.0).rules
    twice = "<search>a</search><search>b</search>"
    assert called(rules, twice) == ["search", "search"]
    assert [time_for(rules, text) - 100 for text in ("<search>a</search>", twice, "<answer>b</answer>")] == [3, 6, 50]


class Cut(Tool):
    """Once broken off, it works."""

    name = "search"
    description = "is broken off once"

    def __init__(self) -> None:
        self.calls = 0

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        self.calls += 1
        if self.calls == 1:
            time.sleep(30)
        return ToolResult("fine", state)


def test_a_step_broken_off_in_place_is_tried_again_from_where_it_stood() -> None:
    grown, _ = play(Independent(1), searches(2), make_env([Cut()]), step_seconds=1.0)
    (report,) = grown.reports
    assert (report.retried, report.dropped, report.leaves[0].turns) == (1, 0, 3)
    assert dict(report.faults.counts) == {("search", "hangs"): 1}
    assert report.calls["search"] == 3
