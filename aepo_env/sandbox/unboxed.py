"""UnboxedUnsafe: live interpreters as plain subprocesses. NOT a sandbox: the code can read, write and reach everything
this user can. For machines without Linux namespaces, and code one trusts; only whoever names it gets it.

It keeps a live interpreter per episode, stops cells in time, caps output, sets resource limits, scrubs the environment
and kills the process group at the end. It cannot fork: `fork` raises ForkRefused, the caller replays.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from .inside.unboxed_agent import REPLY, REQUEST
from .interpreter import CellResult, ForkRefused, Guarantee, SandboxUnavailable
from .supervisor.plan import BoxLimits

_GRACE_SECONDS = 0.25
_STATUS: dict[bytes, Literal["ok", "error", "exit", "timeout"]] = {
    b"o": "ok",
    b"e": "error",
    b"x": "exit",
    b"i": "timeout",
}
_BOOT = "import sys; sys.path.append({source!r}); from inside.unboxed_agent import main; main()"
_KEPT_VARIABLES = ("LANG", "LC_ALL", "TZ")


class UnboxedUnsafe:
    """A maker of unprotected interpreters (see interpreter.Sandbox). From BoxLimits it keeps what one process can."""

    can_fork = False

    def __init__(self, limits: BoxLimits | None = None) -> None:
        self.limits = limits or BoxLimits()
        self._interpreters: weakref.WeakSet[UnboxedInterpreter] = weakref.WeakSet()

    def start(self, seed: int) -> "UnboxedInterpreter":
        """A fresh interpreter, `random` started from `seed`. Raises SandboxUnavailable."""
        live = sum(interpreter.is_live() for interpreter in list(self._interpreters))
        if live >= self.limits.branches:
            raise SandboxUnavailable(f"{live} interpreters are live, the limit is {self.limits.branches}")
        interpreter = UnboxedInterpreter(self.limits, seed)
        self._interpreters.add(interpreter)
        return interpreter

    def guarantees(self) -> Mapping[str, Guarantee]:
        """Honest: only output is held to; limits bind each process, and a cell may start others."""
        return {
            "network": Guarantee.NONE,
            "files": Guarantee.NONE,
            "memory": Guarantee.BEST_EFFORT,
            "cpu": Guarantee.BEST_EFFORT,
            "processes": Guarantee.NONE,
            "output": Guarantee.ENFORCED,
            "secrets": Guarantee.NONE,
        }

    def close(self) -> None:
        for interpreter in list(self._interpreters):
            interpreter.close()
            self._interpreters.discard(interpreter)


class UnboxedInterpreter:
    """One subprocess with a live interpreter (see interpreter.Interpreter)."""

    def __init__(self, limits: BoxLimits, seed: int) -> None:
        self._limits = limits
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._ended = ""
        self._folder = tempfile.mkdtemp(prefix="aepo-unboxed-")
        their_requests, self._requests = os.pipe()
        self._replies, their_replies = os.pipe()
        self._output, their_output = os.pipe()
        arguments = [str(their_requests), str(their_replies), str(seed % (1 << 64)), str(limits.output_characters)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-c", _boot(), *arguments, *_resource_limits(limits)],
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=subprocess.STDOUT,
                pass_fds=(their_requests, their_replies),
                cwd=self._folder,
                env=_environment(self._folder),
                start_new_session=True,
            )
        except OSError as failure:
            for descriptor in (self._requests, self._replies, self._output):
                os.close(descriptor)
            shutil.rmtree(self._folder, ignore_errors=True)
            raise SandboxUnavailable(f"{sys.executable} cannot be started: {failure}") from failure
        finally:
            for descriptor in (their_requests, their_replies, their_output):
                os.close(descriptor)
        os.set_blocking(self._output, False)
        os.set_blocking(self._requests, False)
        ours = (self._requests, self._replies, self._output)
        self._finalizer = weakref.finalize(self, _end, self._process, ours, self._folder, os.getpid())

    def run(self, code: str, seconds: float) -> CellResult:
        """Run a cell (see the contract). Never raises."""
        if os.getpid() != self._owner:
            return CellResult("dead", "", "it belongs to the process this one was forked from", 0, False)
        with self._lock:
            if self._ended:
                return CellResult("dead", "", self._ended, 0, False)
            if len(code) > self._limits.code_characters:
                reason = f"the cell has {len(code)} characters, the limit is {self._limits.code_characters}"
                return CellResult("error", "", reason, 0, True)
            return self._run(code.encode("utf-8", "surrogatepass"), min(seconds, self._limits.cell_seconds))

    def fork(self, *, rng: Literal["same", "split"], seed: int) -> "UnboxedInterpreter":
        raise ForkRefused("an unboxed interpreter cannot be forked; use LocalBox, or replay its cells in a fresh one")

    def is_live(self) -> bool:
        return self._finalizer.alive

    def close(self) -> None:
        self._ended = self._ended or "it was closed"
        self._finalizer()

    def _run(self, code: bytes, seconds: float) -> CellResult:
        output, outgoing = bytearray(), bytearray(REQUEST.pack(len(code)) + code)
        reply, written, interrupted = bytearray(), 0, False
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and interrupted:
                return self._stop("timeout", output, written, "out of time; it did not stop when interrupted")
            if left <= 0:
                interrupted, deadline = True, deadline + _GRACE_SECONDS
                os.kill(self._process.pid, signal.SIGINT)  # our own child, not yet waited for: the number is its own
                continue
            waiting = [self._requests] if outgoing else []
            readable, writable, _ = select.select([self._replies, self._output], waiting, [], left)
            if writable:
                try:
                    del outgoing[: os.write(self._requests, outgoing[:65536])]
                except BrokenPipeError:  # a thread of an earlier cell ended it meanwhile
                    return self._stop("dead", output, written, "the interpreter ended itself")
            if self._output in readable:
                written += self._drain(output)
                if written > self._limits.flood_mb << 20:
                    return self._stop("killed", output, written, "it wrote too much output")
            if self._replies in readable:
                piece = os.read(self._replies, 65536)
                if not piece:
                    written += self._drain(output)
                    return self._stop("dead", output, written, "the interpreter ended itself")
                reply += piece
                if len(reply) >= REPLY.size and len(reply) >= REPLY.size + REPLY.unpack_from(reply)[1]:
                    written += self._drain(output)
                    return self._result(bytes(reply), output, written, interrupted)

    def _result(self, reply: bytes, output: bytearray, written: int, interrupted: bool) -> CellResult:
        letter = REPLY.unpack_from(reply)[0]
        if letter not in _STATUS:
            return self._stop("killed", output, written, "it wrote a forged reply")
        status = "timeout" if interrupted else _STATUS[letter]
        return CellResult(status, self._text(output), reply[REPLY.size :].decode("utf-8", "replace"), written, True)

    def _stop(
        self, status: Literal["timeout", "killed", "dead"], output: bytearray, written: int, why: str
    ) -> CellResult:
        written += self._drain(output)
        self._ended = why
        self._finalizer()
        return CellResult(status, self._text(output), why, written, False)

    def _drain(self, output: bytearray) -> int:
        """Read what is there, at most one flood; keep the beginning. Returns how many bytes came."""
        count = 0
        while count <= self._limits.flood_mb << 20:
            try:
                piece = os.read(self._output, 65536)
            except BlockingIOError:
                break
            if not piece:
                break
            count += len(piece)
            output += piece[: max(0, 4 * self._limits.output_characters - len(output))]
        return count

    def _text(self, output: bytearray) -> str:
        return output.decode("utf-8", "replace")[: self._limits.output_characters]


def _boot() -> str:
    return _BOOT.format(source=str(Path(__file__).parent))


def _environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {
        "PATH": os.defpath,
        "HOME": folder,
        "TMPDIR": folder,
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **kept,
    }


def _resource_limits(limits: BoxLimits) -> list[str]:
    megabyte = 1 << 20
    settings = [f"CPU={limits.cpu_seconds}", f"FSIZE={limits.files_mb * megabyte}", "CORE=0"]
    settings.append(f"NOFILE={limits.open_files}")
    if sys.platform == "linux":  # macOS has no address space limit
        settings.append(f"AS={limits.memory_mb * megabyte}")
    return settings


def _end(process: "subprocess.Popen[bytes]", descriptors: tuple[int, ...], folder: str, owner: int) -> None:
    """Kill the process group and give everything back; in a forked child only drop its copies."""
    for descriptor in descriptors:
        os.close(descriptor)
    if os.getpid() != owner:
        process.returncode = 0  # not our child: keep subprocess from waiting for it
        return
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5.0)
    shutil.rmtree(folder, ignore_errors=True)
