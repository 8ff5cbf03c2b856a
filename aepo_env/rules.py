"""Rules: how one turn of an episode is played - a record and the policy's text in, the next record out.

Shared by an environment and all its forks; holds nothing that changes. `ToolEnv` is the Gymnasium shell around it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aepo_env.episode import CallRecord, Episode, Limits, Spent, StopReason, Turn
from aepo_env.protocols.protocol import Answer, Call, Calls, Span, TextProtocol
from aepo_env.rewards.reward import Score
from aepo_env.tools.tool import CallContext, Fault, Tool, ToolResult

RESERVED_TOOL_NAMES = frozenset({"reset", "step", "fork", "snapshot", "restore", "state", "close", "render"})
"""Names no tool may have: an agent that could undo its mistakes would learn that none matters."""

EpisodeReward = Callable[[Episode], Score]
"""Scores a finished episode; any `Reward` of `aepo_env.rewards` is one."""

_log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What one turn led to.

    episode: the next record. messages: the observation as chat messages. answer_span: where the answer stood.
    """

    episode: Episode
    messages: tuple[dict[str, Any], ...]
    answer_span: Span | None


class _Outcome(NamedTuple):
    """What one turn's text led to, before the record is written."""

    calls: tuple[CallRecord, ...]
    tool_states: tuple[Any, ...]
    results: tuple[str, ...]
    tool_calls: int
    malformed: str
    answer: Answer | None
    stop: StopReason | None


class Rules:
    """Tools, protocol, limits and reward of an environment.

    Raises:
        ValueError: two tools share a name, or a tool has a reserved one.
    """

    def __init__(self, tools: Sequence[Tool], protocol: TextProtocol, limits: Limits, reward: EpisodeReward) -> None:
        names = [tool.name for tool in tools]
        for name in names:
            if name in RESERVED_TOOL_NAMES:
                raise ValueError(f"A tool may not be called {name!r}, a name of the environment's own: rename it.")
            if names.count(name) > 1:
                raise ValueError(f"Two tools are called {name!r}: names must differ.")
        self.tools = tuple(tools)
        self.protocol = protocol
        self.limits = limits
        self.reward = reward
        self._tool_index = {name: index for index, name in enumerate(names)}

    def play(self, episode: Episode, action: str) -> Step:
        """Play one turn. Never raises for what the policy wrote or a tool met."""
        started = time.perf_counter()
        spent = episode.spent
        unchanged = episode.tool_states, episode.results, spent.tool_calls
        if spent.characters + len(action) > self.limits.characters:
            outcome = _Outcome((), *unchanged, "", None, StopReason.MAX_CHARACTERS)
        else:
            parsed = self.protocol.parse(action)
            if isinstance(parsed, Calls):
                outcome = self._run_calls(episode, parsed.calls, started)
            elif isinstance(parsed, Answer):
                outcome = _Outcome((), *unchanged, "", parsed, StopReason.ANSWERED)
            else:
                stop = StopReason.MALFORMED if spent.malformed + 1 >= self.limits.malformed else None
                outcome = _Outcome((), *unchanged, parsed.reason, None, stop)
        record, messages = self._conclude(episode, action, outcome, started)
        if record.stop_reason is not None and record.valid:
            record = self._scored(record)
        return Step(record, messages, outcome.answer.span if outcome.answer is not None else None)

    def _scored(self, record: Episode) -> Episode:
        """The finished record with its rewards; not valid, and without any, if the reward raises (a judge is down)."""
        try:
            score = self.reward(record)
            return record._replace(rewards={**score.parts, "total": float(score.total)})
        except Exception:
            _log.exception("The reward raised on the answer %.200r of task %s", record.answer, record.task.id)
            return record._replace(valid=False)

    def _run_calls(self, episode: Episode, calls: Sequence[Call], started: float) -> "_Outcome":
        """Run the calls of one turn in order, until a limit or a fault."""
        limits = self.limits
        states = list(episode.tool_states)
        results = episode.results
        records: list[CallRecord] = []
        used = episode.spent.tool_calls
        stop: StopReason | None = None
        for call in calls:
            if len(episode.turns) + 1 >= limits.turns:
                refused, stop = "No turn is left for its result.", StopReason.MAX_TURNS
            elif used >= limits.tool_calls:
                refused, stop = "No tool calls are left.", StopReason.MAX_TOOL_CALLS
            elif (left := limits.episode_seconds - episode.spent.seconds - (time.perf_counter() - started)) <= 0:
                refused, stop = "The episode's time is up.", StopReason.DEADLINE
            else:
                used += 1
                index = self._tool_index.get(call.tool, -1)
                if index < 0:  # a protocol over more tools than there are
                    text = f"There is no tool {call.tool!r} here."
                    records.append(CallRecord(call.tool, call.argument, call.span, text, refused=text))
                    continue
                seconds = min(limits.call_seconds, left)
                context = CallContext(results, seconds, episode.seed, episode.task.id)
                result = self._call(self.tools[index], states[index], call.argument, context)
                states[index] = result.state
                if result.results is not None:
                    results = result.results
                records.append(CallRecord(call.tool, call.argument, call.span, result.text, result.fault))
                if result.fault is None:
                    continue
                stop = StopReason.TOOL_FAULT
                break
            records.append(CallRecord(call.tool, call.argument, call.span, refused, refused=refused))
            break
        return _Outcome(tuple(records), tuple(states), results, used, "", None, stop)

    def _call(self, tool: Tool, state: Any, argument: str, context: CallContext) -> ToolResult:
        """One call; retryable faults are tried again, a tool that raises becomes a fault."""
        end = time.perf_counter() + context.seconds
        try:
            result = tool.call(state, argument, context)
            if result.fault is not None and result.fault.retryable and self.limits.retries:
                result = self._retry(tool, state, argument, context, result, end)
            if not isinstance(result.text, str):
                raise TypeError(f"its text must be a str; it is {type(result.text).__name__}")
        except Exception as error:
            _log.exception("The tool %r raised on %.200r", tool.name, argument)
            message = f"The tool {tool.name} failed: {type(error).__name__}: {error}"
            return ToolResult(message, state, fault=Fault("exception", message))
        return result

    def _retry(
        self, tool: Tool, state: Any, argument: str, context: CallContext, result: ToolResult, end: float
    ) -> ToolResult:
        """Try a retryable fault again after growing pauses, until `end`, when the first try's deadline ends."""
        for attempt in range(self.limits.retries):
            pause = 0.05 * 4**attempt
            if time.perf_counter() + pause >= end:
                break
            time.sleep(pause)
            result = tool.call(state, argument, context._replace(seconds=end - time.perf_counter()))
            if result.fault is None or not result.fault.retryable:
                break
        return result

    def _conclude(
        self, episode: Episode, action: str, outcome: _Outcome, started: float
    ) -> tuple[Episode, tuple[dict[str, Any], ...]]:
        """The next record, and the turn's observation as chat messages."""
        limits, spent, stop, calls = self.limits, episode.spent, outcome.stop, outcome.calls
        turns = len(episode.turns) + 1
        observation = ""
        messages: tuple[dict[str, Any], ...] = ()
        if calls or outcome.malformed:
            notice = self._notice(turns, outcome.tool_calls) if stop is None and limits.notices else ""
            if len(calls) == 1:  # nearly every turn: worth a line of its own
                text = self._cut(calls[0].result, limits.observation_characters) + notice
                observation = self.protocol.render(text)
                messages = ({"role": "tool", "name": calls[0].tool, "content": text},)
            elif calls:
                texts = self._cut_all([call.result for call in calls], notice)
                observation = "\n".join([self.protocol.render(text) for text in texts])
                messages = tuple(
                    [{"role": "tool", "name": calls[i].tool, "content": text} for i, text in enumerate(texts)]
                )
            else:
                text = self._cut(f"Malformed turn. {outcome.malformed}{notice}", limits.observation_characters)
                observation = self.protocol.render(text)
                messages = ({"role": "user", "content": text},)
        characters = spent.characters + len(action) + len(observation)
        seconds = spent.seconds + time.perf_counter() - started
        if stop is None:
            if turns >= limits.turns:
                stop = StopReason.MAX_TURNS
            elif characters >= limits.characters:
                stop = StopReason.MAX_CHARACTERS
            elif seconds >= limits.episode_seconds:
                stop = StopReason.DEADLINE
        record = Episode(
            episode.task,
            episode.seed,
            (*episode.turns, Turn(action, observation, calls, outcome.malformed)),
            outcome.tool_states,
            outcome.results,
            Spent(outcome.tool_calls, characters, spent.malformed + (outcome.malformed != ""), seconds),
            outcome.answer.text if outcome.answer is not None else None,
            stop,
            stop is not StopReason.TOOL_FAULT,
            None,
            episode.lineage,
        )
        return record, messages

    def _notice(self, turns: int, tool_calls: int) -> str:
        """What the policy is told when it is about to run out of something."""
        if turns >= self.limits.turns:
            return ""
        if turns + 1 == self.limits.turns:
            return "\n(One turn is left: answer now.)"
        if tool_calls == self.limits.tool_calls and self.tools:
            return "\n(No tool calls are left: answer now.)"
        return ""

    def _cut(self, text: str, room: int) -> str:
        """The text, or as much of it as there is room for, saying how much is missing."""
        return text if len(text) <= room else f"{text[:room]}\n[cut: {len(text) - room} more characters]"

    def _cut_all(self, texts: list[str], notice: str) -> list[str]:
        """Texts of one turn, together no longer than an observation may be; the notice stays whole."""
        room = self.limits.observation_characters
        cut = []
        for text in texts:
            cut.append(self._cut(text, room))
            room = max(0, room - len(text))
        cut[-1] += notice
        return cut
