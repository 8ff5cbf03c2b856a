"""Launching a box: the bubblewrap command line, and the wait for the template's first message.

What a cell can see: /usr (and /lib, /bin links into it), the trainer's Python under /python where it is not in /usr,
the listed packages under /packages, a minimal /dev, /proc of its own process namespace, and its own directory as /work
and /tmp. Nothing of /etc, /home, /root, /var; an environment of a dozen fixed variables; no network device at all.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import NamedTuple

from . import kernel
from .branch import CONTROL, WORK
from .plan import BoxPlan
from .seccomp_filter import build_filter
from .syscall_numbers import required_number

START_SECONDS = 20.0
_DEVICES = ("null", "zero", "full", "random", "urandom")
_BOOT = "import sys; sys.path.append('/agent'); from inside.agent import main; main()"
_ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": "/work",
    "TMPDIR": "/work",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # numerical libraries must not start threads: a process with live threads cannot be forked
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # a malloc arena per thread would eat the address space limit
}


class Launched(NamedTuple):
    """A box whose template has installed its filter: bubblewrap's process id and pidfd, and the listener."""

    process: int
    pidfd: int
    listener: int


class LaunchFailed(Exception):
    """The box did not start; the message holds what bubblewrap or the template said."""


def launch(plan: BoxPlan) -> Launched:
    """Start bubblewrap and the template. Raises LaunchFailed. The caller owns the descriptors.

    Call from the host's main thread: --die-with-parent follows the thread that started bubblewrap.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    errors, their_errors = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, their_errors, 1),
        (os.POSIX_SPAWN_DUP2, their_errors, 2),
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL),
    ]
    # All branches together may ask for more memory than there is. The kernel must then kill one of them, not the
    # largest process, the trainer. Nobody inside the box can change it.
    before = _set_kill_order("1000")
    try:
        process = os.posix_spawn(plan.bubblewrap, _command(plan), {}, file_actions=actions)
    except OSError as failure:
        raise LaunchFailed(f"{plan.bubblewrap} cannot be started: {failure}") from failure
    finally:
        _set_kill_order(before)
        theirs.close()
        os.close(their_errors)
    pidfd = os.pidfd_open(process)
    try:
        ours.send(_configuration(plan))
        listener = _receive_listener(ours, pidfd, errors)
    except (OSError, LaunchFailed) as failure:
        kernel.send_signal(pidfd, signal.SIGKILL)
        os.waitpid(process, 0)
        if isinstance(failure, LaunchFailed):
            raise
        raise LaunchFailed(f"bubblewrap ended at once: {failure}; {_said(errors)}") from failure
    finally:
        os.close(errors)
        ours.close()
    return Launched(process, pidfd, listener)


def _set_kill_order(score: str) -> str:
    """How readily the kernel kills this process, and what it starts, when memory runs out; returns what it was."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+", encoding="ascii") as order:
        before = order.read()
        order.write(score)
        order.flush()
        return before
    return score


def _command(plan: BoxPlan) -> list[str]:
    arguments = [plan.bubblewrap, "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"]
    arguments += ["--cap-drop", "ALL", "--disable-userns", "--die-with-parent", "--new-session"]
    # The template itself is process 1. Bubblewrap's own init would have no filter, the same user and an open
    # /proc/1/mem: code written there would fork past the gate.
    arguments += ["--as-pid-1", "--hostname", "sandbox", "--clearenv"]
    environment = dict(_ENVIRONMENT)
    if plan.library_path:
        environment["LD_LIBRARY_PATH"] = plan.library_path
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for folder in ("/lib", "/lib32", "/lib64", "/bin"):
        if os.path.islink(folder):
            arguments += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            arguments += ["--ro-bind", folder, folder]
    for outside, inside in plan.binds:
        arguments += ["--ro-bind", outside, inside]
    for folder in plan.hidden:
        arguments += ["--tmpfs", folder, "--remount-ro", folder]
    # /proc read-only: where the trainer is root, other branches' files there are writable by their owner, who is us.
    # Not --dev: its /dev/ptmx would give branches a common line to talk over.
    arguments += ["--proc", "/proc", "--remount-ro", "/proc", "--tmpfs", "/dev"]
    for device in _DEVICES:
        arguments += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    arguments += ["--symlink", "/proc/self/fd", "/dev/fd"]
    arguments += ["--symlink", f"/proc/self/fd/{WORK}", "/work", "--symlink", f"/proc/self/fd/{WORK}", "/tmp"]
    arguments += ["--chdir", "/", "--remount-ro", "/dev", "--remount-ro", "/"]
    return [*arguments, plan.python, "-s", "-S", "-u", "-c", _BOOT]


def _configuration(plan: BoxPlan) -> bytes:
    """The template's first message; inside/agent.py reads it."""
    limits = plan.limits
    megabyte = 1 << 20
    resources = {
        "AS": limits.memory_mb * megabyte,
        "CPU": limits.cpu_seconds,
        "FSIZE": limits.files_mb * megabyte,
        "NOFILE": limits.open_files,
        "STACK": 8 * megabyte,
        # second layer only: the kernel counts these for the whole box, and not at all for real root
        "NPROC": limits.branches * limits.threads + 64,
        "CORE": 0,
        # timers too; counted for the whole box, and else against the trainer's own
        "SIGPENDING": limits.branches * 16,
        "MSGQUEUE": 0,
        "MEMLOCK": 0,
    }
    message = {
        "limits": resources,
        "packages": plan.packages,
        "filter": build_filter().hex(),
        "seccomp": required_number("seccomp"),
        "rendezvous": required_number("rendezvous"),
        "eager_output": limits.output_characters,
    }
    return json.dumps(message).encode()


def _receive_listener(boot: socket.socket, pidfd: int, errors: int) -> int:
    """The notification listener, sent by the template once its filter is installed."""
    poll = select.poll()
    poll.register(boot, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + START_SECONDS
    poll.poll(START_SECONDS * 1000)
    boot.settimeout(0.1 if kernel.has_ended(pidfd) else max(deadline - time.monotonic(), 0.1))
    try:
        message, descriptors, _, _ = socket.recv_fds(boot, 4096, 1)
    except TimeoutError:
        message, descriptors = b"", []
    if descriptors:
        return descriptors[0]
    reason = message.decode("utf-8", "replace") or _said(errors) or f"no answer within {START_SECONDS:.0f} s"
    raise LaunchFailed(f"the template did not start: {reason}")


def _said(errors: int) -> str:
    """What bubblewrap and the template wrote to standard error so far."""
    os.set_blocking(errors, False)
    try:
        return os.read(errors, 4000).decode("utf-8", "replace").strip()[-1000:]
    except OSError:
        return ""
