"""What the python tool asks of a sandbox: live interpreters that can be forked."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol


class Guarantee(StrEnum):
    """How firmly a sandbox holds one of its promises."""

    ENFORCED = "enforced"
    BEST_EFFORT = "best effort"
    NONE = "none"


class CellResult(NamedTuple):
    """What running one cell gave.

    status: ok; error (an exception in the cell); exit (sys.exit); timeout (stopped; see `alive`); killed (by the
    supervisor, `error` says why); dead (the interpreter ended itself).
    output: standard output and error as written, capped, partial after a time-out. output_bytes: before the cap.
    error: a traceback of the cell's own frames, or the reason; empty when ok.
    alive: whether the interpreter can run another cell with its state kept.
    """

    status: Literal["ok", "error", "exit", "timeout", "killed", "dead"]
    output: str
    error: str
    output_bytes: int
    alive: bool


class SandboxUnavailable(Exception):
    """No interpreter can be had; the message says what is missing. Becomes a Fault that names the doctor."""


class SandboxLost(SandboxUnavailable):
    """The sandbox ended under a running interpreter, through no doing of the cell's; another can be started."""


class ForkRefused(Exception):
    """This interpreter cannot be forked at this moment (live threads, open pipes); the message says why."""


class Interpreter(Protocol):
    """One live Python interpreter: one branch of one episode."""

    def run(self, code: str, seconds: float) -> CellResult:
        """Run a cell; a last bare expression is printed. Returns within `seconds` + 0.5 s whatever it does.

        Raises SandboxLost when not the cell but the sandbox ended.
        """
        ...

    def fork(self, *, rng: Literal["same", "split"], seed: int) -> "Interpreter":
        """A child with the same variables, modules, files and (rng="same") random streams. Raises ForkRefused."""
        ...

    def close(self) -> None:
        """Kill it and give everything back. Idempotent."""
        ...


class Sandbox(Protocol):
    """A maker of interpreters. can_fork: False when each of them refuses every fork."""

    can_fork: bool

    def start(self, seed: int) -> Interpreter:
        """A fresh interpreter whose random streams start from `seed`. Raises SandboxUnavailable."""
        ...

    def guarantees(self) -> Mapping[str, Guarantee]:
        """For network, files, memory, cpu, processes, output, secrets: what is promised."""
        ...

    def close(self) -> None: ...
