"""No network but loopback: for one Python process by an audit hook, for a whole process tree by a namespace.

    forbid_network()                      # from here on, this process and its forks reach loopback only
    python tests/offline.py COMMAND ...   # runs COMMAND where no other interface exists (Linux)

The hook sees every socket call that goes through Python, C-level `_socket` included, but not what a program written in
another language does; the namespace sees everything, but needs Linux and the right to make one. Where that right is
missing, COMMAND runs all the same, and a line on standard error says so.
"""

import ctypes
import errno
import fcntl
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import sys
from typing import Any

# Documentation addresses (RFC 5737, RFC 3849): nobody answers there, should a block ever fail.
OUTSIDE_IPV4 = "192.0.2.1"
OUTSIDE_IPV6 = "2001:db8::1"

INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkBlocked(OSError):
    """An attempt to leave this machine. An OSError, as a machine without a network would raise."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ENETUNREACH, f"only loopback may be reached here, but this was tried: {what}")


def is_loopback(host: Any) -> bool:
    """Whether `host` (a name or a numeric address, None and "" for this machine) stays on this machine."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def objection(event: str, arguments: tuple[Any, ...], *, any_socket: bool = False) -> str | None:
    """Why the audit event `event` may not go on, or None when it may.

    any_socket: object even to making a socket that could reach another machine (loopback included).
    """
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        end, address = arguments[:2]
        if end.family in INTERNET and isinstance(address, tuple) and not is_loopback(address[0]):
            return f"{event} to {address}"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        if not is_loopback(arguments[0]):
            return f"{event} of {arguments[0]!r}"
    elif event == "socket.__new__" and any_socket and arguments[1] in INTERNET:
        return f"making a socket of family {arguments[1]}"
    return None


def forbid_network(*, any_socket: bool = False) -> None:
    """Raise NetworkBlocked from now on, in this process and its forks, where `objection` has one. Cannot be undone."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            why = objection(event, arguments, any_socket=any_socket)
            if why is not None:
                raise NetworkBlocked(why)

    sys.addaudithook(refuse)


def namespace_command() -> list[str] | None:
    """The command that puts what follows it into a network namespace of its own; None where none can be made."""
    unshare = shutil.which("unshare")
    if unshare is None or not sys.platform.startswith("linux"):
        return None
    # An ordinary user keeps its user id (tests that tell root from others must not be fooled) and, until loopback is
    # up, the capabilities that a new user namespace brings.
    command = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--map-current-user", "--keep-caps", "--net"]
    works = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False).returncode == 0
    return command if works else None


def raise_loopback() -> None:
    """Bring up the loopback interface of this network namespace, then give up the capabilities that took."""
    get_flags, set_flags, up, name = 0x8913, 0x8914, 0x1, b"lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, get_flags, struct.pack("16sH14x", name, 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sH14x", name, flags | up))
    # Ambient capabilities would survive exec, and bubblewrap refuses to start with any it does not expect.
    ambient, clear_all = 47, 4
    ctypes.CDLL(None).prctl(ambient, clear_all, 0, 0, 0)


def outside_is_reachable() -> bool:
    """Whether this process has a route out. Sends nothing: connecting a datagram socket only looks for a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((OUTSIDE_IPV4, 9))
        except OSError:
            return False
    return True


def main(arguments: list[str]) -> None:
    """Become COMMAND, inside a namespace where one can be made."""
    inside = arguments[:1] == ["--inside"]
    command = arguments[1:] if inside else arguments
    if not command:
        sys.exit("usage: python tests/offline.py COMMAND [ARGUMENT ...]")
    if not inside:
        namespace = namespace_command()
        if namespace is not None:
            os.execv(namespace[0], [*namespace, sys.executable, os.path.abspath(__file__), "--inside", *command])
        print("no network namespace can be made here; going on with the block inside Python alone", file=sys.stderr)
        os.execvp(command[0], command)
    raise_loopback()
    if outside_is_reachable():
        sys.exit("this network namespace has a route out of the machine; it should have loopback alone")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
