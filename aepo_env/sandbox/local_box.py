"""LocalBox: live Python interpreters in a box on this machine, which can be forked at any moment between cells.

    box = LocalBox(BoxLimits(memory_mb=512))
    with contextlib.closing(box.start(seed=7)) as first:
        first.run("x = 40", seconds=5)
        second = first.fork(rng="same", seed=0)
        second.run("x + 2", seconds=5).output        # "42\\n"

Each interpreter is one process in one box (namespaces, seccomp, own directory, limits); the operating system forks it
copy-on-write. Without a box nothing runs: `start` raises SandboxUnavailable. Safe from many threads: cells of different
interpreters run in parallel. Usable after the trainer itself has forked: the child gets a host of its own.

What a cell finds: Python, its standard library and the listed packages (default numpy, imported beforehand), an empty
directory /work (also /tmp) that is forked with it, no network, no other processes. What does not work there:
subprocess, sockets, sqlite3 files (the directory hangs nowhere, so C code cannot ask for its path; ":memory:" works).
What it can see of the rest: the number and processor times of the box's processes, and in its mount table from which
paths the read-only folders come.
"""

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from . import host_process
from .interpreter import CellResult, ForkRefused, Guarantee, SandboxLost, SandboxUnavailable
from .machine import DEFAULT_PACKAGES, draw_up_plan
from .supervisor.messages import Disconnected, OutOfTime, receive_message, send_message
from .supervisor.plan import BoxLimits

_EXTRA_SECONDS = 0.5  # the contract's allowance over a cell's seconds; the host stops a cell well within it
_FORK_SECONDS = 6.0
_CLOSE_SECONDS = 1.0

GUARANTEES: Mapping[str, Guarantee] = {
    "network": Guarantee.ENFORCED,
    "files": Guarantee.ENFORCED,
    "memory": Guarantee.ENFORCED,
    "cpu": Guarantee.ENFORCED,
    "processes": Guarantee.ENFORCED,
    "output": Guarantee.ENFORCED,
    "secrets": Guarantee.ENFORCED,
}


class LocalBox:
    """A sandbox (see interpreter.Sandbox). Boxes with equal limits and packages share one host process.

    limits: per box and per interpreter. packages: installed packages shown in the box and imported beforehand; numpy
    costs 1.3 ms a fork and saves 0.1 s an episode.
    user: run the host and the box as this user id (only root may; without it, root's box is root without any right);
    source: where that user finds this package's files, when not here.
    """

    can_fork = True

    def __init__(
        self,
        limits: BoxLimits | None = None,
        packages: tuple[str, ...] = DEFAULT_PACKAGES,
        *,
        user: int | None = None,
        source: Path | None = None,
    ) -> None:
        self.limits = limits or BoxLimits()
        self._packages = packages
        self._user = user
        self._source = source or Path(host_process.__file__).parent
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._host: host_process.SharedHost | None = None
        self._give_back: Any = None
        self._interpreters: weakref.WeakSet[LocalInterpreter] = weakref.WeakSet()

    def start(self, seed: int) -> "LocalInterpreter":
        """A fresh interpreter; the first call starts the box (0.1 to 0.5 s). Raises SandboxUnavailable."""
        return self._adopt(self._borrowed_host().start_interpreter(seed))

    def guarantees(self) -> Mapping[str, Guarantee]:
        """What every interpreter of `start` is held to; a box that fails its self-test gives out none."""
        return GUARANTEES

    def close(self) -> None:
        """End every interpreter started here, and the host when no other LocalBox uses it. Idempotent."""
        for interpreter in list(self._interpreters):
            interpreter.close()
        with self._lock:
            if self._give_back is not None:
                self._give_back()
            self._host = self._give_back = None

    def _borrowed_host(self) -> host_process.SharedHost:
        if os.getpid() != self._owner:  # we are a forked child: a thread of the parent may have held the lock
            self._owner, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if self._host is None:
                plan = draw_up_plan(self.limits, self._packages, self._user, self._source)
                self._host = host_process.borrow_host(plan, self._user, self._source)
                self._give_back = weakref.finalize(self, host_process.return_host, self._host)
            return self._host

    def _adopt(self, connection: socket.socket) -> "LocalInterpreter":
        interpreter = LocalInterpreter(self, connection)
        self._interpreters.add(interpreter)
        return interpreter


class LocalInterpreter:
    """One interpreter of a LocalBox (see interpreter.Interpreter). One call at a time; others wait their turn."""

    def __init__(self, box: LocalBox, connection: socket.socket) -> None:
        self._box = box  # keeps the host alive
        self._connection = connection
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._ended = ""
        self._finalizer = weakref.finalize(self, _hang_up, connection, self._owner)

    def run(self, code: str, seconds: float) -> CellResult:
        """Run a cell (see the contract). Raises SandboxLost when the host has gone, and only then."""
        if os.getpid() != self._owner:
            return _lost("it belongs to the process this one was forked from; start one here")
        with self._lock:
            if self._ended:
                return _lost(self._ended)
            deadline = time.monotonic() + seconds + _EXTRA_SECONDS
            try:
                send_message(self._connection, {"do": "run", "code": code, "seconds": seconds})
                answer, _ = receive_message(self._connection, deadline - time.monotonic())
            except Disconnected as failure:
                self._lose("the box host ended; start a new interpreter")
                raise SandboxLost(self._ended) from failure
            except OutOfTime:
                self._lose("the box host did not answer in time")
                return CellResult("timeout", "", self._ended, 0, False)
            result = CellResult(**answer)
            if not result.alive:
                self._lose(f"it has ended: {result.error}")
            return result

    def fork(self, *, rng: Literal["same", "split"], seed: int) -> "LocalInterpreter":
        """A child that continues from here. Raises ForkRefused; this interpreter lives on unless it misbehaved."""
        if rng not in ("same", "split"):
            raise ValueError(f"rng must be 'same' or 'split', got {rng!r}")
        if os.getpid() != self._owner:
            raise ForkRefused("this interpreter belongs to the process this one was forked from")
        with self._lock:
            if self._ended:
                raise ForkRefused(f"this interpreter cannot be forked: {self._ended}")
            try:
                send_message(self._connection, {"do": "fork", "split": rng == "split", "seed": seed})
                answer, descriptors = receive_message(self._connection, _FORK_SECONDS, descriptors=1)
            except (Disconnected, OutOfTime) as failure:
                self._lose(f"the box host is gone ({failure})")
                raise ForkRefused(f"this interpreter cannot be forked: {self._ended}") from failure
            if "refused" in answer:
                if not answer["alive"]:
                    self._lose(answer["refused"])
                raise ForkRefused(answer["refused"])
            return self._box._adopt(socket.socket(fileno=descriptors[0]))

    def close(self) -> None:
        """Kill it; returns when the host has let go of it. Idempotent. Another thread's running cell ends at once."""
        if os.getpid() != self._owner or not self._finalizer.alive:
            self._finalizer()
            return
        self._ended = self._ended or "it was closed"
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        with self._lock:
            with contextlib.suppress(Disconnected, OutOfTime):
                receive_message(self._connection, _CLOSE_SECONDS)
            self._finalizer()

    def _lose(self, why: str) -> CellResult:
        self._ended = why
        self._finalizer()
        return _lost(why)


def _lost(why: str) -> CellResult:
    return CellResult("dead", "", why, 0, False)


def _hang_up(connection: socket.socket, owner: int) -> None:
    """Close a connection; its host thread then kills the branch. A forked child must not hang up for its parent."""
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    connection.close()


__all__ = ["GUARANTEES", "BoxLimits", "LocalBox", "LocalInterpreter", "SandboxUnavailable"]
