"""Episode: one frozen record of everything that changes while an agent works on a task.

`ToolEnv.step` never changes a record, it makes the next one: a snapshot is a reference, a fork shares its whole past,
and nothing done to a child can reach its parent. Only the tools' live handles (interpreters) lie outside; the tools say
themselves how those are forked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from aepo_env.protocols.protocol import Span
from aepo_env.tasks import Task
from aepo_env.tools.tool import Fault


class StopReason(StrEnum):
    """Why an episode ended. Only `answered` terminates it; all others truncate it."""

    ANSWERED = "answered"
    MAX_TURNS = "max_turns"
    MAX_TOOL_CALLS = "max_tool_calls"
    MAX_CHARACTERS = "max_chars"
    MALFORMED = "malformed"
    DEADLINE = "deadline"
    TOOL_FAULT = "tool_fault"


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of one episode. A fork starts with what its parent has left.

    Attributes:
        turns: of the policy. On the last one only an answer counts: a call is refused.
        tool_calls: over all tools together. A call beyond it ends the episode.
        characters: policy text and observations together, the question not counted.
        malformed: the malformed turn with this number ends the episode.
        call_seconds: for one tool call. episode_seconds: spent inside `step`, over the episode.
        retries: how often a retryable fault is tried again, within call_seconds.
        observation_characters: an observation longer than this is cut, and says so.
        notices: whether the last result before a limit says that it is the last.
    """

    turns: int = 16
    tool_calls: int = 12
    characters: int = 400_000
    malformed: int = 3
    call_seconds: float = 30.0
    episode_seconds: float = 900.0
    retries: int = 2
    observation_characters: int = 20_000
    notices: bool = True

    def __post_init__(self) -> None:
        for name in ("turns", "tool_calls", "characters", "malformed", "retries", "observation_characters"):
            value = getattr(self, name)
            least = 0 if name in ("tool_calls", "retries") else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"Limits.{name} must be a whole number of at least {least}; got {value!r}.")
        for name in ("call_seconds", "episode_seconds"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ValueError(f"Limits.{name} must be a positive number of seconds; got {value!r}.")


class CallRecord(NamedTuple):
    """One call and what came of it.

    span: where the call stands in the turn's text. result: the tool's text before rendering.
    fault: set when something outside the policy failed. refused: why the call was not run ("" when it was).
    """

    tool: str
    argument: str
    span: Span
    result: str = ""
    fault: Fault | None = None
    refused: str = ""


class Turn(NamedTuple):
    """One step: the policy's text, what it was read as, and the new text it got back."""

    text: str
    observation: str
    calls: tuple[CallRecord, ...] = ()
    malformed: str = ""


NO_TURN = Turn("", "")


class Spent(NamedTuple):
    """What an episode has used of its limits."""

    tool_calls: int = 0
    characters: int = 0
    malformed: int = 0
    seconds: float = 0.0  # inside `step`; never shown to the policy


NOTHING_SPENT = Spent()


class Episode(NamedTuple):
    """All of an episode at one moment.

    Attributes:
        task: the question being worked on.
        seed: of the episode; random streams of its tools start from it.
        turns: everything said so far.
        tool_states: one per tool, in the environment's order; live handles hang here.
        results: addresses of the last search's hits.
        spent: use of the limits.
        answer: the final answer, boxes unwrapped; None until there is one.
        stop_reason: None while the episode runs.
        valid: False when it ended through a fault that says nothing about the policy (never score it as wrong).
        rewards: named parts and "total"; None until the episode has ended and was scored.
        lineage: which fork this is: (turn, number) per fork since reset; () for the original.
    """

    task: Task
    seed: int
    turns: tuple[Turn, ...] = ()
    tool_states: tuple[Any, ...] = ()
    results: tuple[str, ...] = ()
    spent: Spent = NOTHING_SPENT
    answer: str | None = None
    stop_reason: StopReason | None = None
    valid: bool = True
    rewards: Mapping[str, float] | None = None
    lineage: tuple[tuple[int, int], ...] = ()

    def response(self) -> str:
        """The flat transcript after the question: policy text and rendered results, as the policy saw them."""
        return "".join([turn.text + turn.observation for turn in self.turns])

    def calls(self) -> list[CallRecord]:
        """Every call that was run, in order."""
        return [call for turn in self.turns for call in turn.calls if not call.refused]
