"""Running one cell in a branch: send the code, watch its output and the clock, stop it in time.

A time-out is first an interrupt (KeyboardInterrupt: the state is kept), then, after a short grace, SIGKILL. One process
is one branch, so there is no process group to hunt for. Output comes through a pipe and is drained after the reply.
"""

import contextlib
import os
import select
import signal
import socket
import time
from typing import Any

from .branch import PIECE, RUN, Branch, BranchEnded, Reply
from .plan import BoxLimits

GRACE_SECONDS = 0.25  # the contract allows half a second in all
_STATUS = {b"o": "ok", b"e": "error", b"x": "exit", b"i": "timeout"}


class Output:
    """What a branch has written: the first bytes kept, the rest counted."""

    def __init__(self, branch: Branch, limits: BoxLimits) -> None:
        self._pipe = branch.ends.output
        self._keep = limits.output_characters * 4  # the longest UTF-8 character has four bytes
        self._characters = limits.output_characters
        self._flood = limits.flood_mb << 20
        self._kept = bytearray()
        self.count = 0

    def drain(self) -> bool:
        """Read what is there. False at end of file. Raises BranchEnded on a flood."""
        while True:
            try:
                piece = os.read(self._pipe, 65536)
            except BlockingIOError:
                return True
            if not piece:
                return False
            self.count += len(piece)
            if len(self._kept) < self._keep:
                self._kept += piece[: self._keep - len(self._kept)]
            if self.count > self._flood:
                raise BranchEnded(f"it wrote more than {self._flood >> 20} MB of output")

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")[: self._characters]


class _Run:
    """One cell under way."""

    def __init__(self, branch: Branch, limits: BoxLimits, client: socket.socket, seconds: float) -> None:
        self.branch = branch
        self.client = client
        self.output = Output(branch, limits)
        self.deadline = time.monotonic() + seconds
        self.interrupted = False
        self.poll = select.poll()
        for descriptor in (branch.ends.control.fileno(), branch.ends.output, branch.pidfd):
            self.poll.register(descriptor, select.POLLIN)
        self.poll.register(client, select.POLLRDHUP)

    def send(self, code: bytes) -> None:
        """Raises BranchEnded when the branch does not take it."""
        control = self.branch.ends.control
        control.settimeout(max(self.deadline - time.monotonic(), 0.01))
        try:
            control.send(self.branch.next_request(RUN, len(code)))
            for start in range(0, len(code), PIECE):
                control.send(code[start : start + PIECE])
        except OSError as failure:
            raise BranchEnded(f"it did not take its cell ({failure})") from failure
        finally:
            control.settimeout(None)

    def wait(self) -> Reply | None:
        """The reply, or None when the time (and the grace) is over. Raises BranchEnded."""
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                if self.interrupted:
                    return None
                self.interrupted = True
                self.deadline += GRACE_SECONDS
                self.branch.signal(signal.SIGINT)
                continue
            ready = dict(self.poll.poll(left * 1000 + 1))
            if self.client.fileno() in ready:
                raise BranchEnded("its owner has gone")
            if self.branch.ends.output in ready and not self.output.drain():
                self.poll.unregister(self.branch.ends.output)
            if self.branch.ends.control.fileno() in ready:
                return self._checked_reply()
            if self.branch.pidfd in ready:
                raise BranchEnded("the interpreter ended")

    def _checked_reply(self) -> Reply:
        reply = self.branch.read_reply()
        if reply is None:  # it ended, or closed its socket and lives on: either way nobody can talk to it again
            raise BranchEnded("the interpreter ended")
        if reply.number != self.branch.requests or reply.status not in _STATUS:
            raise BranchEnded("it wrote a forged message to its control socket")
        return reply


def run_cell(
    branch: Branch, code: str, seconds: float, limits: BoxLimits, client: socket.socket
) -> tuple[dict[str, Any], str]:
    """Run a cell. Returns (the fields of CellResult, why the branch must be killed now or "").

    `client` is watched: when its owner goes, the cell is not run to its end.
    """
    if len(code) > limits.code_characters:
        return _result("error", None, f"the cell has {len(code)} characters, the limit is {limits.code_characters}"), ""
    if branch.cpu_used() >= branch.cpu_seconds:
        why = f"its {limits.cpu_seconds} s of processor time are used up"
        return _result("killed", None, why), why
    run = _Run(branch, limits, client, min(seconds, limits.cell_seconds))
    try:
        branch.require_silence()
        branch.refusals = 0.0
        branch.resume()
        run.send(code.encode("utf-8", "surrogatepass"))
        reply = run.wait()
        branch.stop()
        run.output.drain()
    except BranchEnded as end:
        return _ended(branch, run, str(end))
    if reply is None:
        return _result("timeout", run.output, "out of time; it did not stop when interrupted"), "time-out"
    status = "timeout" if run.interrupted else _STATUS[reply.status]
    return _result(status, run.output, reply.text, alive=True), ""


def _ended(branch: Branch, run: _Run, why: str) -> tuple[dict[str, Any], str]:
    """A branch that ended itself is dead; one that the gate or this watch stopped was killed."""
    why = branch.verdict or why
    status = "dead" if why == "the interpreter ended" else "killed"
    branch.signal(signal.SIGKILL)
    with contextlib.suppress(BranchEnded):
        run.output.drain()
    if status == "dead":
        why += " itself (exit, crash or a limit of the box)"
    return _result(status, run.output, why), why


def _result(status: str, output: Output | None, error: str, alive: bool | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "output": output.text() if output else "",
        "error": error,
        "output_bytes": output.count if output else 0,
        "alive": status == "error" if alive is None else alive,
    }
