"""Box: a template interpreter that never runs foreign code, and the branches forked from it and from each other.

A fork goes: check the parent stands alone (one thread) -> grant -> order -> the child reports through the gate -> both
stop -> audit the child from outside -> keep or kill. Forks of one branch are serialised, of different branches not.
"""

import contextlib
import json
import math
import os
import resource
import select
import signal
import threading
import time

from . import audit, kernel
from .branch import FORK_SAME, FORK_SPLIT, REPLY, WORK, Branch, BranchEnded, Endpoints, Reply
from .gate import Gate, Grant
from .launch import launch
from .plan import BoxPlan
from .work_directory import WorkDirectories

FORK_SECONDS = 3.0
_JOINED_THREAD_SECONDS = 0.02


class ForkFailed(Exception):
    """No child was made; the message says why. The parent lives on unless its `ended` says otherwise."""


class _Declined(Exception):
    """This fork cannot be, and the parent is not to blame: it lives on."""


class Box:
    """One running box. Raises LaunchFailed or OSError when it cannot be started."""

    def __init__(self, plan: BoxPlan) -> None:
        self.plan = plan
        launched = launch(plan)
        self.bubblewrap, self.pidfd = launched.process, launched.pidfd
        self.gate = Gate(launched.listener, plan.limits.threads)
        self._admission = threading.Lock()
        self._expected = 0  # branches being born
        first = self.gate.wait_for_template()
        # the helper is a fork of this process, so it must come before the first thread
        self._directories = WorkDirectories(first.process, plan.limits.files_mb, plan.limits.files)
        ends = Endpoints(self._directories.take())
        pidfd = self.gate.plant(first, ends, WORK)
        self.template = Branch(first.process, pidfd, ends, math.inf)
        kernel.answer_notification(launched.listener, first.identity)
        ends.close_theirs()
        threading.Thread(target=self.gate.run, name="gate", daemon=True).start()
        ready = _await_reply(self.template, time.monotonic() + FORK_SECONDS)
        self.missing_packages: list[str] = json.loads(ready.text)
        self._system_devices = audit.mapped_devices(self.template.process)

    def start(self, seed: int) -> Branch:
        """A fresh branch, its random streams started from `seed`. Raises ForkFailed."""
        return self.fork(self.template, split=True, seed=seed)

    def fork(self, parent: Branch, *, split: bool, seed: int) -> Branch:
        """A child of `parent`; `split` starts its random streams anew from `seed`. Raises ForkFailed."""
        self._reserve()
        try:
            with parent.lock:
                return self._fork(parent, FORK_SPLIT if split else FORK_SAME, seed)
        except OSError as failure:
            raise ForkFailed(f"the operating system refused: {failure}") from failure
        finally:
            with self._admission:
                self._expected -= 1

    def kill(self, branch: Branch, why: str) -> None:
        """End a branch and close our ends. Only for the thread that owns it. Idempotent."""
        if branch.ended:
            return
        branch.ended = branch.verdict or why
        with self.gate.lock:
            self.gate.branches.pop(branch.process, None)
        branch.signal(signal.SIGKILL)
        os.close(branch.pidfd)
        branch.ends.close()

    def close(self) -> None:
        """End every process of the box; the descriptors go with the host process."""
        self.gate.closing = True
        self.template.signal(signal.SIGKILL)
        kernel.has_ended(self.template.pidfd, 5.0)
        kernel.send_signal(self.pidfd, signal.SIGKILL)
        os.waitpid(self.bubblewrap, 0)
        self._directories.close()

    def _reserve(self) -> None:
        """Admission: a place among the branches, and room for one branch's full memory on the machine."""
        limits = self.plan.limits
        with self._admission:
            with self.gate.lock:
                live = len(self.gate.branches) + self._expected
            if live >= limits.branches:
                raise ForkFailed(f"{live} interpreters are live, the limit is {limits.branches}; close some first")
            available = _available_megabytes()
            if available < limits.memory_mb:
                raise ForkFailed(
                    f"the machine has {available} MB of memory left, less than one interpreter's limit of "
                    f"{limits.memory_mb} MB; close interpreters or lower BoxLimits.memory_mb"
                )
            self._expected += 1

    def _fork(self, parent: Branch, operation: bytes, seed: int) -> Branch:
        if parent.ended:
            raise ForkFailed(f"the interpreter has ended: {parent.ended}")
        try:
            parent.require_silence()
        except BranchEnded as end:
            self.kill(parent, str(end))
            raise ForkFailed(f"the interpreter was killed: {end}") from end
        _require_one_thread(parent)
        with self._admission:
            ends = Endpoints(self._directories.take())
        grant = Grant(parent.process, ends)
        with self.gate.lock:
            self.gate.grants[parent.process] = grant
        try:
            self._order(parent, grant, operation, seed)
            child = self._adopt(parent, grant)
        except (_Declined, BranchEnded, OSError) as failure:
            self._withdraw(parent, grant)
            self._undo(parent, grant, str(failure), innocent=isinstance(failure, _Declined))
            raise ForkFailed(str(failure)) from failure
        self._withdraw(parent, grant)
        return child

    def _withdraw(self, parent: Branch, grant: Grant) -> None:
        with self.gate.lock:
            if self.gate.grants.get(parent.process) is grant:
                del self.gate.grants[parent.process]

    def _order(self, parent: Branch, grant: Grant, operation: bytes, seed: int) -> None:
        """Have the parent fork, wait for both sides. Raises _Declined, or BranchEnded when the parent is to blame."""
        deadline = time.monotonic() + FORK_SECONDS
        parent.refusals = 0.0
        parent.resume()
        parent.ends.control.send(parent.next_request(operation, seed % (1 << 64)))
        answer = _await_reply(parent, deadline)
        if answer.number != parent.requests or answer.status not in (b"F", b"R"):
            raise BranchEnded("it wrote a forged message to its control socket")
        if answer.status == b"R":
            raise _Declined(f"fork refused: {answer.text}")
        poll = select.poll()
        poll.register(grant.ends.control, select.POLLIN)
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise BranchEnded("the child did not report in time")
        with self.gate.lock:
            if not grant.child:
                raise BranchEnded("the child did not report through the gate")
        born = grant.ends.control.recv(4096)
        if born[:1] != b"B":
            reason = born[REPLY.size :].decode("utf-8", "replace") or "it ended"
            raise _Declined(f"fork refused: the child could not make its files its own: {reason}")

    def _adopt(self, parent: Branch, grant: Grant) -> Branch:
        """Stop both, audit the child, take it into the table. Raises _Declined when it is not clean."""
        used = parent.cpu_used() if parent is not self.template else 0.0
        seconds = self.plan.limits.cpu_seconds if parent is self.template else parent.cpu_seconds - used
        child = Branch(grant.child, grant.pidfd, grant.ends, seconds)
        child.stop()
        if parent is not self.template:
            parent.stop()
        grant.ends.close_theirs()
        try:
            if not audit.wait_until_stopped(child):
                raise _Declined("fork refused: the child did not stop for its audit")
            shared = audit.find_shared(child, parent, self._system_devices)
            whole_seconds = max(1, math.ceil(seconds))
            resource.prlimit(child.process, resource.RLIMIT_CPU, (whole_seconds, whole_seconds))
        except OSError as failure:
            raise _Declined(f"fork refused: the child ended before its audit ({failure})") from failure
        if shared:
            raise _Declined(f"fork refused: the branches would share {shared}")
        with self.gate.lock:
            self.gate.branches[child.process] = child
        return child

    def _undo(self, parent: Branch, grant: Grant, why: str, *, innocent: bool) -> None:
        """After a failed fork nothing of it may live on: the child, or whatever else was made with the grant."""
        if grant.pidfd >= 0:
            kernel.send_signal(grant.pidfd, signal.SIGKILL)
            os.close(grant.pidfd)
        grant.ends.close()
        if parent is self.template:
            return
        parent.stop()
        if grant.used and not grant.child and self._kill_strays(parent):
            innocent = False
        if not innocent:
            self.kill(parent, why)

    def _kill_strays(self, parent: Branch) -> int:
        """Kill processes that the gate never met: a thief that took the grant. Returns how many there were.

        A thief whose parent has ended is a child of process 1, the template; its lock keeps regular births out of here.
        """
        with contextlib.suppress(OSError):
            audit.wait_until_stopped(parent)  # so that no clone is under way any more
        strays = 0
        with self.template.lock, self.gate.lock:
            known = self.gate.branches.keys() | {grant.child for grant in self.gate.grants.values()}
            for name in filter(str.isdigit, os.listdir("/proc")):
                if int(name) not in known and _kill_if_child(int(name), (parent.process, self.template.process)):
                    strays += 1
        return strays


def _kill_if_child(process: int, parents: tuple[int, ...]) -> bool:
    """Kill `process` if it lives and is a child of one of `parents`; by pidfd, so it is the one that was looked at."""
    try:
        pidfd = os.pidfd_open(process)
    except OSError:
        return False
    try:
        status = kernel.process_status(process)
        found = int(status["PPid"]) in parents and not status["State"].startswith(("Z", "X"))
        if found:
            kernel.send_signal(pidfd, signal.SIGKILL)
        return found
    except (OSError, KeyError):
        return False
    finally:
        os.close(pidfd)


def _require_one_thread(parent: Branch) -> None:
    """Raises ForkFailed when background threads live: the child would lose them.

    A joined thread may have been stopped in its last instructions, so it gets a moment to end.
    """
    deadline = time.monotonic() + _JOINED_THREAD_SECONDS
    threads = audit.live_threads(parent)
    if threads == 1:
        return
    parent.resume()
    while threads != 1 and time.monotonic() < deadline:
        time.sleep(0.0005)
        threads = audit.live_threads(parent)
    parent.stop()
    if threads != 1:
        raise ForkFailed(f"fork refused: {threads} threads are alive; a fork would lose {threads - 1} of them")


def _await_reply(branch: Branch, deadline: float) -> Reply:
    """The next reply. Raises BranchEnded at its end or the deadline."""
    poll = select.poll()
    poll.register(branch.ends.control, select.POLLIN)
    poll.register(branch.pidfd, select.POLLIN)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise BranchEnded("it did not answer in time")
    reply = branch.read_reply()
    if reply is None:
        raise BranchEnded("the interpreter ended")
    return reply


def _available_megabytes() -> int:
    with open("/proc/meminfo", "rb") as report:
        for line in report:
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) >> 10
    return 1 << 30
