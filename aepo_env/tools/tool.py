"""The one interface of a tool, and what goes in and out of a call.

A tool object holds no state of an episode: that lives in the episode record and is handed in and out of each call, so
that an episode can be forked at any step. Each tool declares *how* its state forks (`Tool.forking`).
A tool never raises for what a policy, a page or a network did wrong: it answers in words, or with a `Fault`.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any, NamedTuple


class Forking(StrEnum):
    """How a tool's state follows a fork of the episode."""

    PURE = "pure"  # no state at all: nothing to do
    VALUE = "value"  # the state is an immutable value: shared by reference
    PROCESS = "process"  # a live process, forked by the operating system (or rebuilt by replay)
    NONE = "none"  # cannot be forked: `fork` raises ForkNotSupported


class ForkCost(StrEnum):
    """What a fork of the episode would cost at this moment. In rising order."""

    FREE = "free"  # no live process hangs on the state
    CHEAP = "cheap"  # a live process, which can be forked as it stands
    COSTLY = "costly"  # a process would have to be rebuilt by replay
    IMPOSSIBLE = "impossible"  # `fork` would raise ForkNotSupported


_USUAL_COST = {
    Forking.PURE: ForkCost.FREE,
    Forking.VALUE: ForkCost.FREE,
    Forking.PROCESS: ForkCost.CHEAP,
    Forking.NONE: ForkCost.IMPOSSIBLE,
}


class Fault(NamedTuple):
    """Something outside the policy's control failed (network, sandbox, time). Data, never an exception.

    kind: a short fixed word ("timeout", "unavailable", "sandbox", ...); message: one sentence that says what to do.
    retryable: whether the same call may succeed later.
    """

    kind: str
    message: str
    retryable: bool = False


class CallContext(NamedTuple):
    """What a call may know of its episode besides its argument.

    results: addresses of the last search's hits, in the order shown. seconds: the call's deadline.
    seed: the episode's seed. task_id: the task being worked on.
    """

    results: tuple[str, ...] = ()
    seconds: float = 10.0
    seed: int = 0
    task_id: str = ""


class ToolResult(NamedTuple):
    """What a call gives back.

    text: shown to the policy. state: the tool's new state (the old one when nothing changed).
    results: addresses a search listed, or None to leave the episode's list as it is.
    fault: set when the call failed for a reason outside the policy; `text` then says it in words too.
    """

    text: str
    state: Any = None
    results: tuple[str, ...] | None = None
    fault: Fault | None = None


class Tool(ABC):
    """A tool a policy can call by name with one text argument."""

    name: str
    description: str  # one line for the system prompt: what it does and how its argument reads
    forking: Forking = Forking.PURE

    def start(self, seed: int) -> Any:
        """The state at the beginning of an episode. Must be cheap: heavy things start at the first call."""
        return None

    @abstractmethod
    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        """Run one call within `context.seconds`. Never raises for outside faults or bad arguments."""

    def fork(self, state: Any, *, rng: str, seed: int) -> Any:
        """An independent copy of `state`. `rng` is "same" or "split" (then `seed` starts the new stream)."""
        return state

    def fork_cost(self, state: Any) -> ForkCost:
        """What `fork` would cost now, as far as is known without asking a process: must neither block nor raise.

        It stands in `info["fork"]`. Not asked of tools whose `forking` is PURE or VALUE: those are free.
        """
        return _USUAL_COST[self.forking]

    def release(self, state: Any) -> None:
        """Give back what `state` holds (processes). Called once per state; must not raise."""

    def anchor(self, state: Any) -> Any:
        """A hashable picture of `state` for grouping equal situations (GiGPO); None when it has none."""
        return None

    def close(self) -> None:
        """Free what the tool object itself holds. Idempotent."""
