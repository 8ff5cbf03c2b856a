"""Fakes for tests of the core: tools that misbehave on purpose, a reward, and a sandbox whose interpreters are dicts.

env = make_env([EchoTool(), CounterTool()])
pool = InterpreterPool(FakeSandbox(), limit=2)

The fake interpreter knows no functions across forks (a deep copy shares them with their old globals); everything else a
cell may do with plain data works.
"""

import ast
import copy
import functools
import io
import random
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode, Limits
from aepo_env.protocols.protocol import TextProtocol
from aepo_env.rewards.reward import Reward, Score
from aepo_env.sandbox.interpreter import CellResult, ForkRefused, Guarantee, SandboxUnavailable
from aepo_env.tasks import Task
from aepo_env.tools.tool import CallContext, Fault, Forking, Tool, ToolResult

TASKS = tuple(Task(f"task-{i}", f"What is {i} and {i}?", (str(2 * i),), "sum") for i in range(20))


def exact_match(episode: Episode) -> Score:
    """1 for an accepted answer."""
    right = float(episode.answer in episode.task.answers)
    return Score(right, {"exact_match": right})


def make_env(
    tools: Sequence[Tool] = (),
    *,
    tasks: Sequence[Task] = TASKS,
    reward: Reward = exact_match,
    limits: Limits | None = None,
    protocol: TextProtocol | None = None,
    **changed_limits: Any,
) -> ToolEnv:
    """An environment over the fakes; `changed_limits` are fields of Limits."""
    limits = replace(limits or Limits(), **changed_limits)
    return ToolEnv(tasks, tools or (EchoTool(),), reward, limits=limits, protocol=protocol)


# ------------------------------------------------------------------------------------------------------------- tools


class EchoTool(Tool):
    """PURE: says its argument back, as hostile as it is, and lists it as a result."""

    description = "says its argument back"

    def __init__(self, name: str = "search") -> None:
        self.name = name
        self.contexts: list[CallContext] = []

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        self.contexts.append(context)
        return ToolResult(argument, state, results=(f"https://{argument}",))


class InstantTool(Tool):
    """PURE: the least a tool can do, for timings."""

    name = "search"
    description = "answers at once"

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        return ToolResult("a result", state)


class CounterTool(Tool):
    """VALUE: counts its calls and draws a number; the state is (count, seed of the stream)."""

    name = "count"
    description = "counts"
    forking = Forking.VALUE

    def start(self, seed: int) -> tuple[int, int]:
        return 0, seed

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        count, seed = state
        drawn = int(np.random.default_rng([seed, count]).integers(2**40))
        return ToolResult(f"call {count + 1}, drawn {drawn}", (count + 1, seed))

    def fork(self, state: Any, *, rng: str, seed: int) -> tuple[int, int]:
        return state if rng == "same" else (state[0], seed)

    def anchor(self, state: Any) -> int:
        return int(state[0])


class FaultyTool(Tool):
    """PURE: plays a script, one item per call: an exception is raised, a Fault handed back, anything else returned.

    The last item is repeated. Counts its calls.
    """

    description = "fails"

    def __init__(self, script: Sequence[Any], name: str = "search") -> None:
        self.name = name
        self.script = list(script)
        self.calls = 0

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        item = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, Fault):
            return ToolResult(item.message, state, fault=item)
        return item if not isinstance(item, str) else ToolResult(item, state)


class SlowTool(Tool):
    """PURE: takes its time, keeps its deadline, and then says so with a retryable fault."""

    description = "takes its time"

    def __init__(self, seconds: float, name: str = "search") -> None:
        self.name = name
        self.seconds = seconds
        self.deadlines: list[float] = []

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        self.deadlines.append(context.seconds)
        time.sleep(min(self.seconds, context.seconds))
        if self.seconds > context.seconds:
            return ToolResult("too slow", state, fault=Fault("timeout", "too slow", retryable=True))
        return ToolResult("at last", state)


class UnforkableTool(Tool):
    """NONE."""

    name = "browser"
    description = "a real browser, say"
    forking = Forking.NONE

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        return ToolResult("opened", state)


class Held:
    """A handle of HoldingTool's; knows how often it was released."""

    def __init__(self, tool: "HoldingTool") -> None:
        self.tool = tool
        self.released = 0


class HoldingTool(Tool):
    """PROCESS: each state is a handle that must be released exactly once. `refuse_after` forks, forking fails."""

    description = "holds something"
    forking = Forking.PROCESS

    def __init__(self, name: str = "hold", refuse_after: int = 10**9) -> None:
        self.name = name
        self.handles: list[Held] = []
        self.refuse_after = refuse_after
        self.fail_to_start = False

    def start(self, seed: int) -> Held:
        if self.fail_to_start:
            raise RuntimeError("cannot start")
        self.handles.append(Held(self))
        return self.handles[-1]

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        return ToolResult("held", state)

    def fork(self, state: Any, *, rng: str, seed: int) -> Held:
        if self.refuse_after <= 0:
            raise RuntimeError("cannot fork")
        self.refuse_after -= 1
        return self.start(seed)

    def release(self, state: Any) -> None:
        state.released += 1

    @property
    def open(self) -> int:
        assert all(handle.released <= 1 for handle in self.handles), "a state was released twice"
        return sum(handle.released == 0 for handle in self.handles)


# ----------------------------------------------------------------------------------------------------------- sandbox


class FakeInterpreter:
    """Cells run by `exec` in a dict; `fork` deep-copies it. These cells are special:

    TIMEOUT (stopped by the clock, alive), DIE (dead), CLOCK (prints something else each time), THREAD (from now on
    forks are refused), SLEEP (a little), CRASH (the sandbox breaks down). `rng` is a random stream of its own.
    """

    def __init__(self, sandbox: "FakeSandbox", names: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.names = names
        self.forkable = True
        self.closed = False
        self._running = threading.Lock()
        sandbox._opened(self)

    def run(self, code: str, seconds: float) -> CellResult:
        assert self._running.acquire(blocking=False), "two threads in one interpreter"
        try:
            assert not self.closed, "a closed interpreter was used"
            self.sandbox.cells += 1
            return self._run(code, seconds)
        finally:
            self._running.release()

    def _run(self, code: str, seconds: float) -> CellResult:
        output = ""
        if code == "TIMEOUT" or (code == "SLEEP" and seconds < self.sandbox.sleep):
            time.sleep(min(seconds, 0.01))
            return CellResult("timeout", "partial", "", 7, True)
        if code == "DIE":
            return CellResult("dead", "", "the interpreter ended itself", 0, False)
        if code == "CRASH":
            raise SandboxUnavailable("the host is gone: run python -m aepo_env doctor")
        if code == "CLOCK":
            return CellResult("ok", f"{time.perf_counter_ns()}\n", "", 10, True)
        if code == "THREAD":
            self.forkable = False
        elif code == "SLEEP":
            time.sleep(self.sandbox.sleep)
        else:
            captured = io.StringIO()
            status, error = self._execute(code, captured)
            output = captured.getvalue()
            return CellResult(status, output, error, len(output), True)
        return CellResult("ok", output, "", 0, True)

    def _execute(self, code: str, captured: io.StringIO) -> tuple[Literal["ok", "error"], str]:
        self.names["print"] = functools.partial(print, file=captured)
        try:
            tree = ast.parse(code)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<cell>", "exec"), self.names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), self.names)
                if value is not None:
                    captured.write(f"{value!r}\n")
        except Exception:
            return "error", traceback.format_exc(limit=0)
        return "ok", ""

    def fork(self, *, rng: Literal["same", "split"], seed: int) -> "FakeInterpreter":
        assert self._running.acquire(blocking=False), "forked while a cell runs"
        try:
            if not self.forkable:
                raise ForkRefused("it has live threads")
            data = {key: value for key, value in self.names.items() if key not in ("__builtins__", "print")}
            names = copy.deepcopy(data)
            if rng == "split":
                names["rng"] = random.Random(seed)
            return FakeInterpreter(self.sandbox, names)
        finally:
            self._running.release()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.sandbox._closed(self)


class FakeSandbox:
    """Counts its interpreters. available=False: none can be had."""

    def __init__(self, *, sleep: float = 0.01) -> None:
        self.available = self.can_fork = True
        self.sleep = sleep
        self.live = self.most_live = self.started = self.cells = 0
        self._lock = threading.RLock()

    def start(self, seed: int) -> FakeInterpreter:
        if not self.available:
            raise SandboxUnavailable("there is no box here: run python -m aepo_env doctor")
        self.started += 1
        return FakeInterpreter(self, {"rng": random.Random(seed)})

    def _opened(self, _: FakeInterpreter) -> None:
        with self._lock:
            self.live += 1
            self.most_live = max(self.most_live, self.live)

    def _closed(self, _: FakeInterpreter) -> None:
        with self._lock:
            self.live -= 1

    def guarantees(self) -> dict[str, Guarantee]:
        return {"network": Guarantee.NONE}

    def close(self) -> None:
        pass
