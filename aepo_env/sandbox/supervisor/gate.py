"""The gate: decides every system call that the box's filter holds (new processes, new threads, self-signals, births).

A process is made only when the supervisor has just ordered exactly that branch to fork: a `Grant`, good for one clone.
The child then makes the "rendezvous" call; the kernel names its process id, so no message has to be believed, and while
the child is held the gate plants its private descriptors into it. The gate thread only decides and signals: descriptors
are made and closed by the thread that owns the branch.
"""

import contextlib
import errno
import os
import select
import signal
import threading

from . import kernel
from .branch import CONTROL, NEW_WORK, Branch, Endpoints
from .kernel import Notification
from .seccomp_filter import CLONE_THREAD, FORK_FLAGS
from .syscall_numbers import required_number

REFUSED_CALLS_PER_CELL = 500
# raise(), abort() and new threads are legitimate, but an endless loop of them costs the supervisor time too
SELF_SIGNAL_WEIGHT = 0.1
NEW_THREAD_WEIGHT = 0.02

_CLONE, _TGKILL, _RENDEZVOUS = (required_number(name) for name in ("clone", "tgkill", "rendezvous"))


class Grant:
    """Leave for one fork of one process, and what its child is to be given."""

    def __init__(self, parent: int, ends: Endpoints) -> None:
        self.parent = parent
        self.ends = ends
        self.used = False
        self.child = 0  # its process id, once it has reported
        self.pidfd = -1


class Gate:
    """Answers the listener until the box is gone."""

    def __init__(self, listener: int, threads: int) -> None:
        self.listener = listener
        self.threads = threads
        self.branches: dict[int, Branch] = {}
        self.grants: dict[int, Grant] = {}
        self.lock = threading.Lock()  # over `branches` and `grants`; a branch in the table has open descriptors
        self.closing = False  # set before the box is ended on purpose
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def run(self) -> None:
        """The gate thread. A box without its gate must not live on: whatever ends this ends the host."""
        try:
            self._answer_all()
        finally:
            if not self.closing:
                os._exit(1)

    def _answer_all(self) -> None:
        kernel.ask_for_synchronous_wake_up(self.listener)
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while True:
            events = poll.poll()
            if not events[0][1] & select.POLLIN:
                return  # the last process of the box has ended
            notification = kernel.receive_notification(self.listener)
            if notification is not None:
                self._answer(notification)

    def _answer(self, notification: Notification) -> None:
        try:
            allowed = self._allows(notification)
        except (OSError, ValueError, KeyError):
            allowed = False  # the caller ended while we looked, or cannot be looked at
        if not allowed:
            self._count(notification.process, 1.0)
        # a rendezvous is no call of the kernel's: it is answered with 0, never continued
        proceed = allowed and notification.number != _RENDEZVOUS
        error = 0 if allowed else errno.EPERM
        with contextlib.suppress(OSError):
            kernel.answer_notification(self.listener, notification.identity, error=error, proceed=proceed)

    def _allows(self, notification: Notification) -> bool:
        if notification.number == _CLONE:
            return self._may_clone(notification)
        if notification.number == _TGKILL:
            return self._is_self_signal(notification)
        return notification.number == _RENDEZVOUS and self._admit_child(notification)

    def _may_clone(self, notification: Notification) -> bool:
        """Whether this clone may go on. Its arguments are in registers, so letting it continue races with nothing."""
        flags, stack = notification.arguments[0] & 0xFFFFFFFF, notification.arguments[1]
        if flags & CLONE_THREAD:
            self._count(notification.process, NEW_THREAD_WEIGHT)
            return int(kernel.process_status(notification.process)["Threads"]) < self.threads
        with self.lock:
            grant = self.grants.get(notification.process)
            if grant is None or grant.used or flags != FORK_FLAGS or stack != 0:
                return False
            grant.used = True
            return True

    def _is_self_signal(self, notification: Notification) -> bool:
        """tgkill of the own process, by its number inside the box."""
        self._count(notification.process, SELF_SIGNAL_WEIGHT)
        own = kernel.process_status(notification.process)["NStgid"].split()[-1]
        return int(own) == notification.arguments[0] & 0xFFFFFFFF

    def _admit_child(self, notification: Notification) -> bool:
        """Whether the caller is the awaited child of an ordered fork; if so it gets its descriptors."""
        status = kernel.process_status(notification.process)
        with self.lock:
            grant = self.grants.get(int(status["PPid"]))
            expected = grant is not None and grant.used and not grant.child
            if grant is None or not expected or int(status["Tgid"]) != notification.process:
                return False
            if notification.process in self.branches:
                return False
            grant.pidfd = self.plant(notification, grant.ends, NEW_WORK)
            grant.child = notification.process
            return True

    def plant(self, notification: Notification, ends: Endpoints, directory_number: int) -> int:
        """Give the held caller its private descriptors; returns a pidfd of it. Raises OSError."""
        pidfd = os.pidfd_open(notification.process)
        try:
            if not kernel.notification_is_valid(self.listener, notification.identity):
                raise ProcessLookupError(errno.ESRCH, "the caller of a held system call ended")
            control = ends.their_control.fileno()
            for ours, theirs in (
                (self._null, 0),
                (ends.their_output, 1),
                (ends.their_output, 2),
                (control, CONTROL),
                (ends.directory, directory_number),
            ):
                kernel.plant_descriptor(self.listener, notification.identity, ours, theirs)
        except OSError:
            os.close(pidfd)
            raise
        return pidfd

    def _count(self, thread: int, weight: float) -> None:
        """Too many held calls in one cell: the branch only costs time. Only signals, see the module's head."""
        try:
            process = int(kernel.process_status(thread)["Tgid"])
        except (OSError, KeyError, ValueError):
            return
        with self.lock:
            branch = self.branches.get(process)
            if branch is None:
                return
            branch.refusals += weight
            if branch.refusals > REFUSED_CALLS_PER_CELL:
                branch.verdict = "it made too many refused system calls"
                branch.signal(signal.SIGKILL)

    def wait_for_template(self, seconds: float = 10.0) -> Notification:
        """The template's first rendezvous; call before the gate thread runs. Raises TimeoutError."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while poll.poll(seconds * 1000):
            notification = kernel.receive_notification(self.listener)
            if notification is None:
                continue
            if notification.number == _RENDEZVOUS:
                return notification
            # an import in the template that starts a thread (numpy's libraries may): never a process
            is_thread = notification.number == _CLONE and bool(notification.arguments[0] & CLONE_THREAD)
            error = 0 if is_thread else errno.EPERM
            kernel.answer_notification(self.listener, notification.identity, error=error, proceed=is_thread)
        raise TimeoutError("the template did not report")
