"""Finished episodes for the reward tests, with just what rewards read."""

from collections.abc import Sequence
from dataclasses import dataclass

from aepo_env.tasks import Task
from aepo_env.tools.tool import Fault


@dataclass(frozen=True)
class FakeCall:
    tool: str
    fault: Fault | None = None
    refused: str = ""


@dataclass(frozen=True)
class FakeTurn:
    text: str = ""
    observation: str = ""
    calls: Sequence[FakeCall] = ()
    malformed: str = ""


@dataclass(frozen=True)
class FakeEpisode:
    task: Task
    answer: str | None
    turns: Sequence[FakeTurn] = ()

    def response(self) -> str:
        return "".join(turn.text + turn.observation for turn in self.turns)


def finished(answer: str | None, *answers: str, turns: Sequence[FakeTurn] = ()) -> FakeEpisode:
    return FakeEpisode(Task("task", "Which?", answers), answer, turns)


def ran(*tools: str) -> FakeTurn:
    return FakeTurn(calls=[FakeCall(tool) for tool in tools])
