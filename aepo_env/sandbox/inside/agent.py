"""The program of every process in the box: first the template, then, forked from it, the branches.

The template sets its limits, imports the listed packages, installs the seccomp filter, hands its listener to the
supervisor and waits; it runs no foreign code. A branch is the same loop after a fork. Wire: supervisor/branch.py.
Replies: cells o, e, x, i; fork F (forked), R (refused); child B (born), N (not born); template T (ready).
"""

import builtins
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import signal
import site
import socket
import struct
import sys
from typing import Any

from . import files
from .cells import Cells

CONTROL, WORK, NEW_WORK = 3, 4, 5
_REQUEST = struct.Struct("=cIQ")
_REPLY = struct.Struct("=cI")
_LONGEST_TEXT = 20_000
_NUMPY_STREAM = 1  # else numpy.random would repeat the numbers of random, whose generator it shares
_SET_NO_NEW_PRIVILEGES, _SET_DUMPABLE = 38, 4
_FILTER_MODE = 1
_NEW_LISTENER, _WAIT_KILLABLE = 8, 32
_C = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Never returns: a process of the box ends by SIGKILL, or when the supervisor has gone."""
    os.closerange(CONTROL + 1, 1 << 16)
    files.reserve(WORK)
    files.reserve(NEW_WORK)
    boot = socket.socket(fileno=CONTROL)
    configuration = json.loads(boot.recv(1 << 20))
    for name, value in configuration["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    sys.path[:] = ["/work", *(path for path in sys.path if path.startswith(("/usr", "/python"))), "/packages"]
    missing = _import_packages(configuration["packages"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children reap themselves
    listener = _install_filter(bytes.fromhex(configuration["filter"]), configuration["seccomp"])
    socket.send_fds(boot, [b"listener"], [listener])
    os.close(listener)
    agent = Agent(configuration["rendezvous"], configuration["eager_output"])
    gc.collect()
    gc.freeze()  # the template's objects stay out of every collection, so branches go on sharing their pages
    boot.detach()
    agent.report_template(missing)
    agent.serve()


def _import_packages(names: list[str]) -> list[str]:
    """Import what can be imported; returns what cannot, with the reason."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name)
            if name == "numpy":
                importlib.import_module("numpy.random")  # imported late by numpy, and it must be seeded
        except Exception as failure:
            missing.append(f"{name}: {failure!r}"[:300])
    return missing


def _install_filter(instructions: bytes, number: int) -> int:
    """Install the filter on this process and all its descendants; returns the listener."""
    # Not dumpable: branches of the same user cannot look into each other, /proc/PID/mem included. Inherited by fork.
    if _C.prctl(_SET_DUMPABLE, 0, 0, 0, 0) or _C.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HxxxxxxQ", len(instructions) // 8, ctypes.addressof(code))
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):  # the second flag is newer (Linux 5.19)
        listener = int(_C.syscall(number, _FILTER_MODE, flags, program))
        if listener >= 0:
            return listener
    raise OSError(ctypes.get_errno(), "seccomp: " + os.strerror(ctypes.get_errno()))


class Agent:
    """The loop that serves the supervisor. Keeps its own references: a cell may replace any module's attribute."""

    def __init__(self, rendezvous: int, eager_output: int) -> None:
        self._rendezvous_number = rendezvous
        self._meet_supervisor(0)
        self._socket = socket.socket(fileno=CONTROL)
        self._cells = Cells(eager_output)
        self._fork, self._exit = os.fork, os._exit
        self._random_state, self._set_random_state, self._seed = random.getstate, random.setstate, random.seed
        _make_working_directory_known()
        site.setquit()  # exit() and quit(), which site adds outside of -S
        builtins.__dict__.pop("copyright", None)

    def report_template(self, missing: list[str]) -> None:
        self._reply(b"T", 0, json.dumps(missing))

    def serve(self) -> None:
        while True:
            packet = self._socket.recv(_REQUEST.size)
            if not packet:
                self._exit(0)
            operation, number, parameter = _REQUEST.unpack(packet)
            if operation == b"c":
                code = self._receive_code(parameter)
                outcome = self._cells.run(code.decode("utf-8", "surrogatepass"))
                self._reply(outcome.status, number, outcome.error)
            else:
                self._fork_once(number, parameter if operation == b"s" else None)

    def _receive_code(self, length: int) -> bytes:
        code = bytearray()
        while len(code) < length:
            piece = self._socket.recv(1 << 16)
            if not piece:
                self._exit(0)
            code += piece
        return bytes(code)

    def _reply(self, status: bytes, number: int, text: str = "") -> None:
        self._socket.send(_REPLY.pack(status, number) + text[:_LONGEST_TEXT].encode("utf-8", "replace"))

    def _meet_supervisor(self, kind: int) -> None:
        """A system call that exists only for us: the supervisor plants our descriptors before it returns."""
        if _C.syscall(self._rendezvous_number, kind, 0, 0, 0) != 0:
            os._exit(98)

    def _fork_once(self, number: int, seed: int | None) -> None:
        self._cells.flush()
        state: Any = self._random_state()  # CPython reseeds `random` in a forked child
        try:
            process = self._fork()
        except OSError as refusal:
            self._reply(b"R", number, str(refusal))
            return
        if process != 0:
            self._reply(b"F", number)
            return
        self._meet_supervisor(1)
        try:
            files.take_over(CONTROL, WORK, NEW_WORK)
        except BaseException as failure:
            self._reply(b"N", number, repr(failure))
            return
        self._set_random_state(state)
        if seed is not None:
            self._reseed(seed)
        self._reply(b"B", number)

    def _reseed(self, seed: int) -> None:
        """The process-wide streams; a generator that a cell holds in a variable keeps its state."""
        self._seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed([seed & 0xFFFFFFFF, seed >> 32, _NUMPY_STREAM])


def _make_working_directory_known() -> None:
    """getcwd(2) fails in a mount that hangs nowhere; Python's own asks us instead."""
    real = os.getcwd

    def working_directory() -> str:
        try:
            return real()
        except OSError:
            below = os.readlink("/proc/self/cwd")
            return "/work" + (below if below != "/" else "")

    os.getcwd = working_directory
    os.getcwdb = lambda: os.fsencode(working_directory())
    os.chdir("/work")
