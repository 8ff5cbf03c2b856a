"""Branch: one interpreter inside the box, seen from outside: its process and our ends of its descriptors.

The wire between supervisor and branch is a sequence-packet socket (one datagram = one message), so nothing a cell
writes there can be half a message. What comes back is hostile: it is cut by fixed offsets, never parsed.
"""

import os
import signal
import socket
import struct
import threading
from typing import NamedTuple

from . import kernel

# Descriptor numbers inside a branch; inside/agent.py has the same. Low ones keep the table, and so the audit, short.
# NEW_WORK holds /dev/null between forks, so that no file of a cell's lies where the child's directory will be planted.
CONTROL, WORK, NEW_WORK = 3, 4, 5

REQUEST = struct.Struct("=cIQ")  # operation, request number, length of the code or seed
REPLY = struct.Struct("=cI")  # status, request number; then text
RUN, FORK_SAME, FORK_SPLIT = b"c", b"f", b"s"
PIECE = 60_000  # bytes of code in one datagram
LONGEST_REPLY = 65536


class Reply(NamedTuple):
    """What a branch says: status is one letter (see inside/agent.py), number the request's, text for people."""

    status: bytes
    number: int
    text: str


class BranchEnded(Exception):
    """The branch cannot go on; the message says why."""


class Endpoints:
    """Both ends of a branch's private descriptors, made before its birth by the thread that will own the branch."""

    def __init__(self, directory: int) -> None:
        self.directory = directory
        self.control, self.their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.output, self.their_output = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.output, False)
        self.device = os.fstat(directory).st_dev
        ends = (os.fstat(self.their_output), os.fstat(self.their_control.fileno()))
        self.private_inodes = frozenset((end.st_dev, end.st_ino) for end in ends)

    def close_theirs(self) -> None:
        """After planting: only the branch holds its ends, so that its end is seen as end of file."""
        if self.directory >= 0:
            os.close(self.directory)
            os.close(self.their_output)
            self.their_control.close()
            self.directory = -1

    def close(self) -> None:
        self.close_theirs()
        os.close(self.output)
        self.control.close()


class Branch:
    """A live branch. All methods but `signal` belong to the one thread that serves the branch."""

    def __init__(self, process: int, pidfd: int, ends: Endpoints, cpu_seconds: float) -> None:
        self.process = process
        self.pidfd = pidfd
        self.ends = ends
        self.cpu_seconds = cpu_seconds  # left at its birth
        self.requests = 0
        self.refusals = 0.0  # refused system calls in this cell, counted by the gate
        self.ended = ""  # why, once it has
        self.verdict = ""  # why the gate killed it
        self.lock = threading.Lock()

    def signal(self, number: int) -> None:
        kernel.send_signal(self.pidfd, number)

    def stop(self) -> None:
        """Between requests a branch stands still, background threads included."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def next_request(self, operation: bytes, parameter: int) -> bytes:
        self.requests += 1
        return REQUEST.pack(operation, self.requests & 0xFFFFFFFF, parameter)

    def require_silence(self) -> None:
        """Before a request nothing may wait on the control socket: a message sent unasked was forged by the cell."""
        try:
            unasked = self.ends.control.recv(LONGEST_REPLY, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            unasked = b""
        raise BranchEnded("it wrote to its control socket unasked" if unasked else "the interpreter ended")

    def read_reply(self) -> Reply | None:
        """The reply that poll() announced, or None at end of file. Never raises for what a cell wrote."""
        try:
            packet = self.ends.control.recv(LONGEST_REPLY, socket.MSG_DONTWAIT)
        except OSError:
            return None
        if len(packet) < REPLY.size:
            return Reply(b"?", 0, "") if packet else None
        status, number = REPLY.unpack_from(packet)
        return Reply(status, number, packet[REPLY.size :].decode("utf-8", "replace"))

    def cpu_used(self) -> float:
        """Processor seconds of this process so far; 0 when it has ended."""
        try:
            with open(f"/proc/{self.process}/stat", "rb") as status:
                fields = status.read().rsplit(b")", 1)[1].split()
        except (OSError, IndexError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
