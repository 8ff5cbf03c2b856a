"""Inner tools for the cache tests, which count how often they are called."""

import threading
import time
from typing import Any

from aepo_env.tools.tool import CallContext, Fault, Forking, Tool, ToolResult


class Counting(Tool):
    """Pure; answers with its argument and, if asked, only after a while."""

    name = "count"
    description = "says it back"
    forking = Forking.PURE

    def __init__(self, *, delay: float = 0.0, fault: Fault | None = None, extra: str = "") -> None:
        self.delay, self.fault, self.extra = delay, fault, extra
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        with self._lock:
            self.calls.append(argument)
        time.sleep(self.delay)
        if self.fault is not None:
            return ToolResult("it broke", state, fault=self.fault)
        return ToolResult(f"{argument}: {self.extra}é\u2028\ud800\x00", state, (f"https://a/{argument}", "b"))


class Exploding(Counting):
    """Must not be called."""

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        raise AssertionError(f"the inner tool was called with {argument!r}")
