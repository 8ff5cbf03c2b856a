"""Rules: how one turn of an episode is played - a record and the policy's text in, the next record out.

Shared by an environment and all its forks; holds nothing that changes but which faults were told. `ToolEnv` is the
Gymnasium shell around it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from aepo_env.episode import CallRecord, Episode, Limits, Spent, StopReason, Turn
from aepo_env.protocols.protocol import Answer, Call, Calls, Span, TextProtocol
from aepo_env.records import new_record
from aepo_env.rewards.reward import Score
from aepo_env.text import cut_telling
from aepo_env.tools.tool import CallContext, Fault, Tool, ToolResult

RESERVED_TOOL_NAMES = frozenset({"reset", "step", "fork", "snapshot", "restore", "state", "close", "render"})
"""Names no tool may have: an agent that could undo its mistakes would learn that none matters."""

EpisodeReward = Callable[[Episode], Score]
"""Scores a finished episode; any `Reward` of `aepo_env.rewards` is one."""

_log = logging.getLogger(__name__)


_FIRST_CALLS = tuple([f"{turn}.1" for turn in range(100)])  # ids of nearly all calls, made once

Messages = tuple[dict[str, Any], ...]


class Rules:
    """Tools, protocol, limits and reward of an environment.

    Raises:
        ValueError: two tools share a name, or a tool has a reserved one. TypeError: the reward is no function.
    """

    def __init__(self, tools: Sequence[Tool], protocol: TextProtocol, limits: Limits, reward: EpisodeReward) -> None:
        if not callable(reward):
            raise TypeError(f"A reward is a function, such as paper_reward() of aepo_env.rewards; got {reward!r}.")
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
        self._told: set[tuple[str, str]] = set()
        self._tool_index = {name: index for index, name in enumerate(names)}

    def play(self, episode: Episode, action: str) -> tuple[Episode, Messages, Span | None]:
        """Play one turn. Never raises for what the policy wrote or a tool met.

        Returns:
            the next record; the observation as chat messages; where the answer stood in the text, if there was one.
        """
        started = time.perf_counter()
        limits, spent = self.limits, episode.spent
        turns = len(episode.turns) + 1
        # What the turn changes:
        calls: tuple[CallRecord, ...] = ()
        states, results, used = episode.tool_states, episode.results, spent.tool_calls
        observation = malformed = ""
        messages: Messages = ()
        answer: Answer | None = None
        stop: StopReason | None = None
        if spent.characters + len(action) > limits.characters:
            stop = StopReason.MAX_CHARACTERS
        else:
            parsed = self.protocol.parse(action)
            if isinstance(parsed, Calls):
                calls, states, results, used, stop = self._run_calls(episode, parsed.calls, started)
                observation, messages = self._show_results(turns, calls, self._notice(turns, used, stop))
            elif isinstance(parsed, Answer):
                answer, stop = parsed, StopReason.ANSWERED
            else:
                malformed = parsed.reason
                stop = StopReason.MALFORMED if spent.malformed + 1 >= limits.malformed else None
                observation, messages = self._show_malformed(malformed, self._notice(turns, used, stop))
        characters = spent.characters + len(action) + len(observation)
        seconds = spent.seconds + time.perf_counter() - started
        if stop is None:  # nothing was wrong with the turn, but a budget may be used up
            if turns >= limits.turns:
                stop = StopReason.MAX_TURNS
            elif characters >= limits.characters:
                stop = StopReason.MAX_CHARACTERS
            elif seconds >= limits.episode_seconds:
                stop = StopReason.DEADLINE
        record = new_record(
            Episode,
            (
                episode.task,
                episode.seed,
                (*episode.turns, new_record(Turn, (action, observation, calls, malformed))),
                states,
                results,
                new_record(Spent, (used, characters, spent.malformed + (malformed != ""), seconds)),
                None if answer is None else answer.text,
                stop,
                stop is None or stop is not StopReason.TOOL_FAULT,
                None,  # rewards
                episode.lineage,
            ),
        )
        if stop is not None and record.valid:
            record = self._scored(record)
        return record, messages, None if answer is None else answer.span

    def _scored(self, record: Episode) -> Episode:
        """The finished record with its rewards; not valid, and without any, when a judge cannot be reached.

        Whatever else a reward raises is the caller's own mistake and goes up: hidden, it would make every episode
        worthless in silence.
        """
        try:
            score = self.reward(record)
        except OSError:
            _log.exception(
                "The reward could not be had for the answer %.200r of task %s", record.answer, record.task.id
            )
            return record._replace(valid=False)
        if not isinstance(score, Score):
            raise TypeError(f"A reward must give a Score (aepo_env.rewards); {self.reward!r} gave {score!r:.100}.")
        return record._replace(rewards={**score.parts, "total": float(score.total)})

    def _run_calls(
        self, episode: Episode, calls: Sequence[Call], started: float
    ) -> tuple[tuple[CallRecord, ...], tuple[Any, ...], tuple[str, ...], int, StopReason | None]:
        """Run the calls of one turn in order, until a limit or a fault.

        Returns:
            what became of the calls; the tools' new states; the last search's results; the calls used in the episode
            so far; why the episode ends here, if it does.
        """
        limits, spent = self.limits, episode.spent
        states, results, used = episode.tool_states, episode.results, spent.tool_calls
        records: list[CallRecord] = []
        stop: StopReason | None = None
        now = started
        for name, argument, span in calls:
            left = limits.episode_seconds - spent.seconds - (now - started)
            if len(episode.turns) + 1 >= limits.turns:
                refused, stop = "No turn is left for its result.", StopReason.MAX_TURNS
            elif used >= limits.tool_calls:
                refused, stop = "No tool calls are left.", StopReason.MAX_TOOL_CALLS
            elif left <= 0:
                refused, stop = "The episode's time is up.", StopReason.DEADLINE
            else:
                used += 1
                index = self._tool_index.get(name, -1)
                if index < 0:  # a protocol over more tools than there are
                    text = f"There is no tool {name!r} here."
                    records.append(CallRecord(name, argument, span, text, refused=text))
                    continue
                seconds = left if left < limits.call_seconds else limits.call_seconds
                context = new_record(CallContext, (results, seconds, episode.seed, episode.task.id))
                result = self._call(self.tools[index], states[index], argument, context, now + seconds)
                if result.state is not states[index]:
                    states = (*states[:index], result.state, *states[index + 1 :])
                if result.results is not None:
                    results = result.results
                records.append(new_record(CallRecord, (name, argument, span, result.text, result.fault, "")))
                if result.fault is None:
                    now = time.perf_counter()
                    continue
                stop = StopReason.TOOL_FAULT
                break
            records.append(CallRecord(name, argument, span, refused, None, refused))
            break
        return tuple(records), states, results, used, stop

    def _call(self, tool: Tool, state: Any, argument: str, context: CallContext, end: float) -> ToolResult:
        """One call; retryable faults are tried again until `end`, a tool that raises becomes a fault.

        The first fault of each kind is logged as a warning, an exception with its traceback: a tool that is down fails
        at every call, and all of them are in the episodes' records.
        """
        try:
            result = tool.call(state, argument, context)
            if not isinstance(result, ToolResult):
                raise TypeError(f"its call must give a ToolResult; it gave {type(result).__name__}")
            if result.fault is not None and result.fault.retryable and self.limits.retries:
                result = self._retry(tool, state, argument, context, result, end)
            if not isinstance(result.text, str):
                raise TypeError(f"its text must be a str; it is {type(result.text).__name__}")
        except Exception as error:
            if self._is_news(tool, type(error).__name__):
                _log.exception("The tool %r raised on %.200r", tool.name, argument)
            message = f"The tool {tool.name} failed: {type(error).__name__}: {error}"
            return ToolResult(message, state, fault=Fault("exception", message))
        if result.fault is not None and self._is_news(tool, result.fault.kind):
            _log.warning("The tool %r failed (%s): %.500r", tool.name, result.fault.kind, result.fault.message)
        return result

    def _is_news(self, tool: Tool, kind: str) -> bool:
        """Whether a fault is the tool's first of its kind."""
        known = (tool.name, kind) in self._told
        self._told.add((tool.name, kind))
        return not known

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

    def _notice(self, turns: int, tool_calls: int, stop: StopReason | None) -> str:
        """What the policy is told when it is about to run out of something."""
        limits = self.limits
        if turns + 1 == limits.turns and stop is None and limits.notices:
            return "\n(One turn is left: answer now.)"
        if tool_calls == limits.tool_calls and stop is None and limits.notices and self.tools and turns < limits.turns:
            return "\n(No tool calls are left: answer now.)"
        return ""

    def _show_results(self, turn: int, calls: Sequence[CallRecord], notice: str) -> tuple[str, Messages]:
        """The results of one turn, together no longer than an observation may be; the notice stays whole.

        A call's id is its place, "turn.number": the same in every replay and fork, and once in an episode.
        """
        room = self.limits.observation_characters
        if len(calls) == 1:  # nearly every turn: worth a line of its own
            call = calls[0]
            text = cut_telling(call.result, room) + notice
            call_id = _FIRST_CALLS[turn] if turn < len(_FIRST_CALLS) else f"{turn}.1"
            return self.protocol.render(text), (
                {"role": "tool", "name": call.tool, "tool_call_id": call_id, "content": text},
            )
        texts = []
        for call in calls:
            texts.append(cut_telling(call.result, room))
            room = max(0, room - len(call.result))
        texts[-1] += notice
        observation = "\n".join([self.protocol.render(text) for text in texts])
        return observation, tuple(
            [
                {"role": "tool", "name": call.tool, "tool_call_id": f"{turn}.{number}", "content": text}
                for number, (call, text) in enumerate(zip(calls, texts, strict=True), 1)
            ]
        )

    def _show_malformed(self, reason: str, notice: str) -> tuple[str, Messages]:
        text = cut_telling(f"Malformed turn. {reason}", self.limits.observation_characters) + notice
        return self.protocol.render(text), ({"role": "user", "content": text},)
