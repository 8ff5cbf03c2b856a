"""Finished episodes for the reward tests: real records, written down instead of played."""

from collections.abc import Sequence

from aepo_env.episode import CallRecord, Episode, StopReason, Turn
from aepo_env.tasks import Task
from aepo_env.tools.tool import Fault


def call(tool: str, fault: Fault | None = None, refused: str = "") -> CallRecord:
    return CallRecord(tool, "argument", (0, 0), fault=fault, refused=refused)


def turn(text: str = "", observation: str = "", calls: Sequence[CallRecord] = (), malformed: str = "") -> Turn:
    return Turn(text, observation, tuple(calls), malformed)


def ran(*tools: str) -> Turn:
    return turn(calls=[call(tool) for tool in tools])


def finished(answer: str | None, *answers: str, turns: Sequence[Turn] = ()) -> Episode:
    stop = StopReason.MAX_TURNS if answer is None else StopReason.ANSWERED
    return Episode(Task("task", "Which?", answers), 7, tuple(turns), answer=answer, stop_reason=stop)
