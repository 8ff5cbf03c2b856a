"""Tool results swapped between questions: what a policy scores when it asks about one thing and is told another.

    recorded: Recorded = {}
    env = with_tools(env, lambda tool: RecordingTool(tool, recorded))       # play every task once
    partners = swapped_partners([task.id for task in tasks])
    env = with_tools(env, lambda tool: SwappedTool(tool, recorded, partners))

The swap stands at the tool's interface: protocol, limits, notices and reward stay as they are, and nothing of a
transcript is edited. The n-th call of a tool in one question gets what the n-th call of that tool got in its partner,
or its last result where the partner made fewer calls, or "Nothing found." where it made none.

Left out: faults of tools, which are not recorded; who plays (`benchmarks.controls`).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aepo_env.env import ToolEnv
from aepo_env.tools.tool import CallContext, ForkCost, Forking, Tool, ToolResult

Recorded = dict[tuple[str, str], list[ToolResult]]
"""By task id and tool name: what the tool's calls gave back, in order, without states."""

NOTHING = "Nothing found."


def swapped_partners(ids: Sequence[str]) -> dict[str, str]:
    """For each task the one whose results it is shown: half the list further on, so never itself.

    Raises:
        ValueError: fewer than two tasks, or one given twice.
    """
    if len(ids) < 2 or len(set(ids)) < len(ids):
        raise ValueError(f"Results are swapped between at least two different questions; got {len(set(ids))}.")
    half = len(ids) // 2
    return {own: ids[(place + half) % len(ids)] for place, own in enumerate(ids)}


def with_tools(env: Any, wrap: Callable[[Tool], Tool]) -> ToolEnv:
    """A bare environment like `env` with every tool wrapped; tasks, limits, protocol and reward are shared."""
    inner = env.unwrapped
    if not isinstance(inner, ToolEnv):
        raise TypeError(f"An environment of aepo_env is needed; got {type(inner).__name__}.")
    rules = inner.rules
    tools = [wrap(tool) for tool in rules.tools]
    return ToolEnv(inner.tasks, tools, rules.reward, limits=rules.limits, protocol=rules.protocol, world=inner.world)


class Counted(NamedTuple):
    """State of a `RecordingTool`: calls so far, and the state of the tool inside."""

    calls: int
    inner: Any


class RecordingTool(Tool):
    """A tool that writes down what it gives back; looks and forks like the tool inside.

    One path per task: a path that starts again after a fault writes over what it had, and so would a sibling.

    Args:
        tool: the tool. recorded: written to; may be shared by all tools.
    """

    def __init__(self, tool: Tool, recorded: Recorded) -> None:
        self.name, self.description, self.forking = tool.name, tool.description, tool.forking
        self._tool, self._recorded = tool, recorded

    def start(self, seed: int) -> Counted:
        return Counted(0, self._tool.start(seed))

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        result = self._tool.call(state.inner, argument, context)
        if result.fault is not None:
            return result._replace(state=Counted(state.calls, result.state))
        known = self._recorded.setdefault((context.task_id, self.name), [])
        known[state.calls :] = [result._replace(state=None)]
        return result._replace(state=Counted(state.calls + 1, result.state))

    def fork(self, state: Any, *, rng: str, seed: int) -> Counted:
        return Counted(state.calls, self._tool.fork(state.inner, rng=rng, seed=seed))

    def fork_cost(self, state: Any) -> ForkCost:
        return self._tool.fork_cost(state.inner)

    def release(self, state: Any) -> None:
        self._tool.release(state.inner)

    def anchor(self, state: Any) -> Any:
        return self._tool.anchor(state.inner)

    def close(self) -> None:
        self._tool.close()


class SwappedTool(Tool):
    """Looks like `tool`, never runs it, and answers with another question's results. The state is the number of calls.

    Args:
        tool: gives the name and the description. recorded: all questions' results.
        partners: by task id, the task whose results are shown.
    """

    forking = Forking.VALUE

    def __init__(self, tool: Tool, recorded: Recorded, partners: dict[str, str]) -> None:
        self.name, self.description = tool.name, tool.description
        self._recorded, self._partners = recorded, partners

    def start(self, seed: int) -> int:
        return 0

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        results = self._recorded.get((self._partners[context.task_id], self.name))
        if not results:
            return ToolResult(NOTHING, state + 1)
        shown: ToolResult = results[min(state, len(results) - 1)]
        return shown._replace(state=state + 1)

    def anchor(self, state: Any) -> int:
        return int(state)
