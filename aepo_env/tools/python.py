"""The python tool: a live interpreter per episode, in a box, forked with the episode.

    PythonTool()                              # in the local box (aepo_env.sandbox); fails closed without it
    PythonTool(sandbox="unboxed_unsafe")      # no protection at all: only for code you would run yourself

Variables, imports and files stay from call to call. The interpreter starts at the first call; a fork of the episode
forks it (`aepo_env.sandbox.pool` says what happens beyond the limit of live interpreters).
"""

import functools
import textwrap
from typing import Any, Literal, cast

from aepo_env.sandbox.interpreter import CellResult, Sandbox, SandboxLost, SandboxUnavailable
from aepo_env.sandbox.pool import DEFAULT_LIMIT, InterpreterPool, ReplayFailed, Session
from aepo_env.text import cut_telling
from aepo_env.tools.tool import CallContext, Fault, ForkCost, Forking, Tool, ToolResult


@functools.cache
def shared_pool(sandbox: str, limit: int = DEFAULT_LIMIT) -> InterpreterPool:
    """This process's one pool for the sandbox "box" or "unboxed_unsafe"; nothing starts before the first call."""
    makers: dict[str, Any] = {"box": _local_box, "unboxed_unsafe": _unboxed}
    if sandbox not in makers:
        raise ValueError(f"sandbox is one of {', '.join(makers)}, or a pool of your own; got {sandbox!r}.")
    return InterpreterPool(makers[sandbox](), limit)


def _local_box() -> Sandbox:
    from aepo_env.sandbox.local_box import LocalBox

    return LocalBox()


def _unboxed() -> Sandbox:
    from aepo_env.sandbox.unboxed import UnboxedUnsafe

    return UnboxedUnsafe()


class PythonTool(Tool):
    """Runs python cells.

    Args:
        sandbox: "box", "unboxed_unsafe", or a pool over a sandbox of your own.
        seconds: for one cell (less if the call's deadline is nearer); what it printed until then is returned.
        output_characters: of a result; the rest is cut, and the result says so.
    """

    name = "python"
    description = "python code, run in a session that keeps its variables; print what you want to see"
    forking = Forking.PROCESS

    def __init__(
        self,
        sandbox: Literal["box", "unboxed_unsafe"] | InterpreterPool = "box",
        *,
        seconds: float = 10.0,
        output_characters: int = 4_000,
    ) -> None:
        if not 0 < seconds < float("inf") or output_characters < 1:
            raise ValueError(
                f"Expected seconds > 0 and output_characters >= 1, got seconds={seconds}, "
                f"output_characters={output_characters}."
            )
        self.pool = sandbox if isinstance(sandbox, InterpreterPool) else shared_pool(sandbox)
        self.seconds = seconds
        self.output_characters = output_characters
        self._sandbox_name = sandbox if isinstance(sandbox, str) else None

    def __reduce__(self) -> Any:
        if self._sandbox_name is None:
            raise TypeError("A python tool over a pool of your own cannot be pickled: give the sandbox by name.")
        make = functools.partial(PythonTool, seconds=self.seconds, output_characters=self.output_characters)
        return make, (self._sandbox_name,)

    def start(self, seed: int) -> Session:
        return Session(seed)

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        session = cast(Session, state)
        code = _code(argument)
        if not code.strip():
            return ToolResult("There is no code: write python statements and print what you want to see.", session)
        seconds = min(self.seconds, context.seconds)
        try:
            result, session = self.pool.run(session, code, seconds, patience=context.seconds)
        except SandboxUnavailable as error:
            # A sandbox that was lost is started again at the next try, and the session rebuilt from its cells.
            fault = Fault("sandbox", str(error), retryable=isinstance(error, SandboxLost))
            return ToolResult(str(error), session, fault=fault)
        except ReplayFailed as error:
            message = f"The interpreter had to be rebuilt and could not be: {error}."
            return ToolResult(message, session, fault=Fault("replay", message))
        return ToolResult(self._words(result), session)

    def fork(self, state: Any, *, rng: str, seed: int) -> Session:
        return self.pool.fork(cast(Session, state), rng=cast(Literal["same", "split"], rng), seed=seed)

    def fork_cost(self, state: Any) -> ForkCost:
        return self.pool.fork_cost(cast(Session, state))

    def release(self, state: Any) -> None:
        handle = cast(Session, state).handle
        if handle is not None:
            handle.close()

    def anchor(self, state: Any) -> Any:
        """The cells' digests: equal pasts are equal states."""
        return tuple(cast(Session, state).events)

    def _words(self, result: CellResult) -> str:
        lines = [cut_telling(result.output.rstrip("\n"), self.output_characters)] if result.output.strip() else []
        if result.status == "timeout":
            lines.append(f"Stopped: a cell may run for {self.seconds:g} s, or as long as the episode has left.")
        elif result.error:
            lines.append(cut_telling(result.error.rstrip("\n"), self.output_characters))
        if not result.alive:
            lines.append("The interpreter ended: its variables are lost, the next call starts a new one.")
        return "\n".join(lines) if lines else "(no output)"


def _code(argument: str) -> str:
    """The cell in a call's argument: without a Markdown fence, indentation common to all lines removed."""
    code = argument
    fence, newline, rest = argument.strip().partition("\n")
    # No regular expression: policy text may be long and hostile, and this one would be quadratic.
    if newline and fence.rstrip() in ("```", "```python", "```py") and rest.endswith("```"):
        code = rest.removesuffix("```")
    # Only where it is needed: dedent also empties lines of spaces, which may stand inside a string.
    return textwrap.dedent(code) if code.lstrip("\r\n")[:1] in (" ", "\t") else code
