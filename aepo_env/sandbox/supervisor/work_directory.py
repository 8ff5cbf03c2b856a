"""Private directories for branches: detached tmpfs mounts, made by a helper inside the box's user and mount namespaces.

A detached mount has nowhere to climb: `..` of its root is its root. A descriptor of a host directory would lead to the
host's root. The helper is a fork of the host from before its threads, ends when the host closes its socket, and is not
visible from inside the box (it stays in the host's process namespace).
"""

import fcntl
import os
import socket

from . import kernel
from .syscall_numbers import required_number

_GET_USER_NAMESPACE = 0xB701  # ioctl of a namespace descriptor: the user namespace that owns it
_NEW_USER, _NEW_MOUNT = 0x10000000, 0x00020000
_SET_STRING, _CREATE = 1, 6
_CLOSE_ON_EXEC = 1
_NO_SUID, _NO_DEVICES, _NO_EXECUTION = 2, 4, 8
_AHEAD = 2  # directories kept ready: making one takes 0.5 ms


class WorkDirectories:
    """Hands out fresh directories. Not thread-safe: one caller at a time (the box holds a lock)."""

    def __init__(self, process: int, megabytes: int, files: int) -> None:
        """Start the helper for the box that `process` lives in. Call while the host has one thread only."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.helper = os.fork()
        if self.helper == 0:
            _keep_only(theirs.detach())
            _serve(3, process, megabytes, files)
        theirs.close()
        self._socket.settimeout(10.0)
        answer = self._socket.recv(1024)
        if answer != b"ready":
            raise OSError(f"the helper for work directories did not start: {answer.decode(errors='replace')}")
        for _ in range(_AHEAD):
            self._socket.send(b"more")

    def take(self) -> int:
        """A descriptor of an empty directory of its own. The caller closes it. Raises OSError."""
        answer, descriptors, _, _ = socket.recv_fds(self._socket, 1024, 1)
        if not descriptors:
            raise OSError(f"no work directory could be made: {answer.decode(errors='replace') or 'the helper ended'}")
        self._socket.send(b"more")
        return descriptors[0]

    def close(self) -> None:
        """End the helper and wait for it."""
        self._socket.close()
        os.waitpid(self.helper, 0)


def _keep_only(descriptor: int) -> None:
    """In the helper: its socket becomes 3, all else is closed, so that nothing of the host is kept alive by it."""
    os.dup2(descriptor, 3)
    os.closerange(4, 65536)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def _serve(descriptor: int, process: int, megabytes: int, files: int) -> None:
    """The helper's whole life; never returns."""
    link = socket.socket(fileno=descriptor)
    try:
        _join_namespaces(process)
        link.send(b"ready")
        while link.recv(16):
            directory = _make_directory(megabytes, files)
            socket.send_fds(link, [b"directory"], [directory])
            os.close(directory)
    except BaseException as failure:
        try:
            link.send(repr(failure).encode()[:1000])
        finally:
            os._exit(1)
    os._exit(0)


def _join_namespaces(process: int) -> None:
    mount_namespace = os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY)
    user_namespace = fcntl.ioctl(mount_namespace, _GET_USER_NAMESPACE)
    kernel.system_call(required_number("setns"), user_namespace, _NEW_USER)
    kernel.system_call(required_number("setns"), mount_namespace, _NEW_MOUNT)
    os.close(user_namespace)
    os.close(mount_namespace)


def _make_directory(megabytes: int, files: int) -> int:
    """A tmpfs mounted nowhere, owned by the helper's user, which is the user of the box."""
    filesystem = kernel.system_call(required_number("fsopen"), b"tmpfs", _CLOSE_ON_EXEC)
    try:
        for key, value in (("size", str(megabytes << 20)), ("nr_inodes", str(files)), ("mode", "0700")):
            configure = (filesystem, _SET_STRING, key.encode(), value.encode(), 0)
            kernel.system_call(required_number("fsconfig"), *configure)
        kernel.system_call(required_number("fsconfig"), filesystem, _CREATE, None, None, 0)
        attributes = _NO_SUID | _NO_DEVICES | _NO_EXECUTION
        mount = kernel.system_call(required_number("fsmount"), filesystem, _CLOSE_ON_EXEC, attributes)
    finally:
        os.close(filesystem)
    try:
        # a mount descriptor is O_PATH, which cannot be planted into another process: open the directory itself
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)
    finally:
        os.close(mount)
