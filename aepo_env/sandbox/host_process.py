"""HostProcess: the trainer's end of one box host, and SharedHost, which several LocalBoxes of equal plans use.

The host is a process of its own because a trainer has threads and a GPU context and must never fork. It ends when this
process closes its connection, or ends in whatever way; everything in the box ends with it.

A forked child of the trainer (multiprocessing) must not talk over its parent's connection: at fork the child forgets
every inherited host, and starts its own when it needs one.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from .interpreter import SandboxUnavailable
from .machine import ASK_DOCTOR, SYSTEM_PYTHON
from .supervisor.messages import Disconnected, OutOfTime, receive_message, send_message
from .supervisor.plan import BoxPlan

READY_SECONDS = 40.0
START_SECONDS = 10.0
_PAUSE = 10  # times what a failed start took: no more than a tenth of the time goes into them
_SOURCE = Path(__file__).parent
_BOOT = "import sys; sys.path.append({source!r}); from supervisor.main import main; main({descriptor}, {owner})"


class HostProcess:
    """One running host. Raises SandboxUnavailable when the box cannot be started or fails its self-test."""

    def __init__(self, plan: BoxPlan, user: int | None = None, source: Path = _SOURCE) -> None:
        self._connection, theirs = socket.socketpair()
        code = _BOOT.format(source=str(source), descriptor=theirs.fileno(), owner=os.getpid())
        python = _python_for(user)
        identity: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with theirs:
            try:
                self.process = subprocess.Popen(
                    [python, "-I", "-S", "-c", code],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # a Ctrl-C in the terminal is not for the host
                    cwd="/",
                    **identity,
                )
            except OSError as failure:
                self._connection.close()
                reason = f"the box host {python} cannot be started: {failure}"
                raise SandboxUnavailable(f"{reason}; {ASK_DOCTOR}") from failure
        try:
            self._shake_hands(plan)
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, plan: BoxPlan) -> None:
        try:
            send_message(self._connection, {"plan": plan.to_json()})
            answer, _ = receive_message(self._connection, READY_SECONDS)
        except (Disconnected, OutOfTime) as failure:
            self.process.kill()
            assert self.process.stderr is not None
            said = self.process.stderr.read().decode("utf-8", "replace").strip()[-1000:]
            raise SandboxUnavailable(f"the box host did not start ({failure}): {said}; {ASK_DOCTOR}") from failure
        if "failed" in answer:
            raise SandboxUnavailable(f"the box cannot be used: {answer['failed']}; {ASK_DOCTOR}")
        if self.process.stderr is not None:
            self.process.stderr.close()  # a host that serves has nothing more to say there
        if answer["missing_packages"]:
            missing = "; ".join(answer["missing_packages"])
            raise SandboxUnavailable(
                f"packages asked for cannot be imported in the box: {missing}; name the packages they need as well"
            )

    def start_interpreter(self, seed: int) -> socket.socket:
        """The connection of a fresh interpreter. Raises Disconnected, OutOfTime; SandboxUnavailable when refused."""
        send_message(self._connection, {"seed": seed})
        answer, descriptors = receive_message(self._connection, START_SECONDS, descriptors=1)
        if "refused" in answer:
            raise SandboxUnavailable(f"no interpreter can be started: {answer['refused']}")
        return socket.socket(fileno=descriptors[0])

    def close(self) -> None:
        """End the host and with it the box. Waits for it to be gone. Idempotent."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if self.process.stderr is not None:
            self.process.stderr.close()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()  # the box dies with it: bubblewrap has --die-with-parent
            self.process.wait()

    def forget(self) -> None:
        """In a forked child: drop our copies of the descriptors, leave the parent's host alone."""
        self._connection.close()
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process.returncode = 0  # not our child: keep subprocess from waiting for it


class SharedHost:
    """The host for one plan in this process: starts at first use, restarts after a crash, ends with its last user.

    One that cannot be started is tried again, but not at every call: these would all wait for it.
    """

    def __init__(self, plan: BoxPlan, user: int | None, source: Path) -> None:
        self._plan, self._user, self._source = plan, user, source
        self._lock = threading.Lock()
        self.host: HostProcess | None = None
        self.users = 0
        self._failure, self._again = "", 0.0  # why it could not be started, and when it is tried again

    def start_interpreter(self, seed: int) -> socket.socket:
        """As HostProcess.start_interpreter; one crashed host is replaced. Raises SandboxUnavailable."""
        with self._lock:
            for attempt in range(2):
                if self.host is None:
                    self.host = self._started()
                try:
                    return self.host.start_interpreter(seed)
                except (Disconnected, OutOfTime) as failure:
                    self.host.close()
                    self.host = None
                    if attempt:
                        reason = f"the box host died twice: {failure}"
                        raise SandboxUnavailable(f"{reason}; {ASK_DOCTOR}") from failure
            raise AssertionError("unreachable")

    def _started(self) -> HostProcess:
        """A new host. After a failure nothing is tried for ten times as long as that took."""
        began = time.monotonic()
        if began < self._again:
            raise SandboxUnavailable(self._failure)
        try:
            return HostProcess(self._plan, self._user, self._source)
        except SandboxUnavailable as failure:
            now = time.monotonic()
            self._failure, self._again = str(failure), now + _PAUSE * (now - began)
            raise

    def close(self) -> None:
        with self._lock:
            if self.host is not None:
                self.host.close()
                self.host = None

    def forget(self) -> None:
        """In a forked child. Another thread may have held the lock at the fork: make a new one."""
        self._lock = threading.Lock()
        if self.host is not None:
            self.host.forget()
            self.host = None


_hosts: dict[tuple[BoxPlan, int | None, Path], SharedHost] = {}
_hosts_lock = threading.Lock()


def borrow_host(plan: BoxPlan, user: int | None = None, source: Path = _SOURCE) -> SharedHost:
    """The host for this plan. Give it back with `return_host`."""
    with _hosts_lock:
        host = _hosts.setdefault((plan, user, source), SharedHost(plan, user, source))
        host.users += 1
        return host


def return_host(host: SharedHost) -> None:
    """Count one user less; the last one ends the host."""
    with _hosts_lock:
        host.users -= 1
        if host.users > 0:
            return
        for key, value in list(_hosts.items()):
            if value is host:
                del _hosts[key]
    host.close()


def _forget_parents_hosts() -> None:
    global _hosts_lock
    _hosts_lock = threading.Lock()
    for host in _hosts.values():
        host.forget()


os.register_at_fork(after_in_child=_forget_parents_hosts)


def _python_for(user: int | None) -> str:
    """The interpreter of the host itself: ours, unless the host's user may not read it."""
    from .machine import find_python

    found = find_python(user)
    if user is not None and found is not None:
        return str(found.outside)
    return sys.executable if os.access(sys.executable, os.X_OK) else str(SYSTEM_PYTHON)
