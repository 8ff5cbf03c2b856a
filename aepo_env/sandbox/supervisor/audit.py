"""The audit: looks into a stopped, newborn branch from outside, and finds whatever it still shares with its parent.

The parent's code may have run inside the fork (at-fork hooks), so nothing the child says counts. Found things are
refused by name: threads, descriptors of the parent's directory, control socket or output, any pipe, socket, epoll,
eventfd (they would be one object in two branches), files of /proc (/proc/self/mem goes on showing the parent), standard
streams and control socket other than those planted, memory maps that are shared or show the parent's files, and a
working directory in the parent's tree.

Left out: two branches can pass bits through file locks or a common offset of a read-only system file that a parent
opened and its at-fork hook withheld from reopening; both ends of that are the same policy's code.
"""

import os
import time

from . import kernel
from .branch import CONTROL, WORK, Branch

_STOP_SECONDS = 1.0


def wait_until_stopped(branch: Branch) -> bool:
    """After SIGSTOP: whether it stands still. A signal takes effect a moment later than it is sent."""
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        with open(f"/proc/{branch.process}/stat", "rb") as status:
            state = status.read().rsplit(b") ", 1)[1][:1]
        if state in b"Tt":
            return True
        if state in b"ZX" or time.monotonic() > deadline:
            return False
        time.sleep(0.00005)


def live_threads(branch: Branch) -> int:
    """Threads of a branch, its main one included. Raises OSError when it has ended."""
    return int(kernel.process_status(branch.process)["Threads"])


def mapped_devices(process: int) -> frozenset[bytes]:
    """Devices of the files a process maps. Asked of the template: these hold the read-only system files."""
    fields = (line.split(None, 5) for line in _maps(process).splitlines())
    return frozenset(device for _, _, _, device, inode, *_ in fields if inode != b"0")


def find_shared(child: Branch, parent: Branch, system_devices: frozenset[bytes]) -> str:
    """What `child` still shares with `parent`, in words; empty when nothing. Raises OSError when it has ended."""
    status = kernel.process_status(child.process)
    threads = int(status["Threads"])
    if threads != 1:
        return f"{threads} threads"
    if os.stat(f"/proc/{child.process}/cwd").st_dev == parent.ends.device:
        return "the parent's directory as working directory"
    return _shared_descriptor(child, parent, int(status["FDSize"])) or _shared_map(child, parent, system_devices)


def _shared_descriptor(child: Branch, parent: Branch, table_size: int) -> str:
    for number in range(table_size):
        copy = kernel.take_descriptor(child.pidfd, number)
        if copy is None:
            continue
        try:
            link, found = os.readlink(f"/proc/self/fd/{copy}"), os.fstat(copy)
        finally:
            os.close(copy)
        if found.st_dev == parent.ends.device:
            return f"descriptor {number}, in the parent's directory ({link})"
        if (found.st_dev, found.st_ino) in parent.ends.private_inodes:
            return f"descriptor {number}, the parent's control socket or output"
        if number <= CONTROL:
            # hooks run before the planting, but a replaced function of the agent's may have changed it again
            planted = link == "/dev/null" if number == 0 else (found.st_dev, found.st_ino) in child.ends.private_inodes
            if not planted:
                return f"descriptor {number}, {link}"
        elif number == WORK:
            if found.st_dev != child.ends.device:
                return f"descriptor {number}, {link}"
        elif not link.startswith("/") or link.startswith("/proc/"):
            return f"descriptor {number}, {link}"
    return ""


def _shared_map(child: Branch, parent: Branch, system_devices: frozenset[bytes]) -> str:
    """Shared maps, but for read-only system files (libc maps one for character sets); and any map of parent's files."""
    maps = _maps(child.process)
    if b" %02x:%02x " % (os.major(parent.ends.device), os.minor(parent.ends.device)) in maps:
        return "a memory map of a file in the parent's directory"
    for line in maps.splitlines():
        if line.partition(b" ")[2][3:4] == b"s":  # permissions as in "rw-s"
            _, _, _, device, _, *path = line.split(None, 5)
            if device not in system_devices:
                return f"shared memory ({b''.join(path).decode('utf-8', 'replace') or 'anonymous'})"
    return ""


def _maps(process: int) -> bytes:
    """/proc/PID/maps, a line for each: addresses, permissions, offset, device, inode, path. A child has hundreds."""
    with open(f"/proc/{process}/maps", "rb") as maps:
        return maps.read()
