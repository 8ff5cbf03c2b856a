"""The few Linux calls the standard library does not wrap: seccomp notifications, pidfd_getfd, signals by pidfd, /proc.

Every function is a thin wrapper; errors are OSError with the kernel's number. Processes are signalled by pidfd only: a
process id may have been given to somebody else in the meantime.
"""

import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
from typing import NamedTuple

from .syscall_numbers import required_number

_LIBC = ctypes.CDLL(None, use_errno=True)
_PIDFD_GETFD = required_number("pidfd_getfd")

# Request numbers of the seccomp listener (include/uapi/linux/seccomp.h).
_NOTIFICATION_RECEIVE = 0xC0502100
_NOTIFICATION_ANSWER = 0xC0182101
_NOTIFICATION_STILL_VALID = 0x40082102
_NOTIFICATION_ADD_DESCRIPTOR = 0x40182103
_NOTIFICATION_SET_FLAGS = 0x40082104
_NOTIFICATION_SIZE = 80
_ADD_AT_NUMBER = 1
_CONTINUE = 1
_SYNCHRONOUS_WAKE_UP = 1


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """A raw system call. Raises OSError where it gives -1."""
    result = int(_LIBC.syscall(ctypes.c_long(number), *(_widen(argument) for argument in arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _widen(argument: int | bytes | None) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


class Notification(NamedTuple):
    """One held system call: who asks (process id as seen from here, of the calling thread), what, with what."""

    identity: int
    process: int
    number: int
    arguments: tuple[int, ...]


def receive_notification(listener: int) -> Notification | None:
    """The next held call, or None when its caller has gone meanwhile. Call after poll() says readable."""
    buffer = bytearray(_NOTIFICATION_SIZE)
    try:
        fcntl.ioctl(listener, _NOTIFICATION_RECEIVE, buffer)
    except OSError as failure:
        if failure.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    identity, process, _, number, _, _, *arguments = struct.unpack("=QIIiIQ6Q", buffer)
    return Notification(identity, process, number, tuple(arguments))


def answer_notification(listener: int, identity: int, *, error: int = 0, proceed: bool = False) -> None:
    """Let the call go on (`proceed`), or end it with 0 or with `error`. A caller that has gone is no fault."""
    packed = struct.pack("=QqiI", identity, 0, -error, _CONTINUE if proceed else 0)
    try:
        fcntl.ioctl(listener, _NOTIFICATION_ANSWER, packed)
    except OSError as failure:
        if failure.errno != errno.ENOENT:
            raise


def notification_is_valid(listener: int, identity: int) -> bool:
    """Whether the caller of a held call still exists, so that its process id still means it."""
    try:
        fcntl.ioctl(listener, _NOTIFICATION_STILL_VALID, struct.pack("=Q", identity))
    except OSError:
        return False
    return True


def plant_descriptor(listener: int, identity: int, ours: int, theirs: int) -> None:
    """Put a copy of our descriptor into the caller of a held call under number `theirs`, replacing what was there."""
    packed = struct.pack("=QIIII", identity, _ADD_AT_NUMBER, ours, theirs, os.O_CLOEXEC)
    fcntl.ioctl(listener, _NOTIFICATION_ADD_DESCRIPTOR, packed)


def ask_for_synchronous_wake_up(listener: int) -> None:
    """Hand the processor straight to and fro between caller and supervisor (Linux 6.6; only speed, so may fail)."""
    try:
        fcntl.ioctl(listener, _NOTIFICATION_SET_FLAGS, struct.pack("=Q", _SYNCHRONOUS_WAKE_UP))
    except OSError:
        return


def take_descriptor(pidfd: int, number: int) -> int | None:
    """A copy of another process's descriptor `number`, or None where it has none. The caller closes it.

    Works for an unprivileged supervisor, where /proc/PID/fd of a process that is not dumpable is closed: the owner of
    the box's user namespace holds ptrace rights over it.
    """
    copy = int(_LIBC.syscall(_PIDFD_GETFD, pidfd, number, 0))
    if copy >= 0:
        return copy
    code = ctypes.get_errno()
    if code == errno.EBADF:
        return None
    raise OSError(code, "pidfd_getfd: " + os.strerror(code))


def send_signal(pidfd: int, number: int) -> None:
    """Signal a process; one that has gone is no fault."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return


def has_ended(pidfd: int, seconds: float = 0.0) -> bool:
    """Whether the process has ended, waiting up to `seconds` for it."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def process_status(process: int) -> dict[str, str]:
    """/proc/PID/status as a mapping. Raises OSError when there is no such process."""
    descriptor = os.open(f"/proc/{process}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(descriptor, 16384).decode("ascii", "replace")
    finally:
        os.close(descriptor)
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
