"""InterpreterPool: live interpreters as counted handles, with an upper limit.

A session (the python tool's state) is the list of cells that were run and, while there is one, a handle on the live
interpreter that ran them. The pool keeps at most `limit` interpreters alive: beyond it the least recently used idle one
is closed, and rebuilt from its cells when it is needed again. So is a branch whose interpreter could not be forked.
Rebuilding compares what every cell printed with what it printed the first time, and fails when they differ.
"""

import hashlib
import os
import re
import threading
import time
import weakref
from typing import Literal, NamedTuple

from aepo_env.sandbox.interpreter import CellResult, ForkRefused, Interpreter, Sandbox, SandboxUnavailable

DEFAULT_LIMIT = 64

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")  # where an object lies differs from process to process and means nothing


class ReplayFailed(Exception):
    """An interpreter could not be rebuilt: a cell behaved differently, or the clock had stopped it the first time."""


class Cell(NamedTuple):
    """One cell that was run. digest: of its status and output. repeatable: False when the clock stopped it."""

    code: str
    digest: str
    repeatable: bool = True


class Reseed(NamedTuple):
    """At this place the session was forked with random streams of its own."""

    seed: int


class Handle:
    """A counted hold on one live interpreter; dropping the last reference to it closes the interpreter.

    position: how many events of its session it has been through; a session of another length must not use it.
    """

    def __init__(self, pool: "InterpreterPool", interpreter: Interpreter, position: int, repeatable: bool) -> None:
        self.interpreter: Interpreter | None = interpreter
        self.position = position
        self.repeatable = repeatable
        self.busy = False
        self.used = 0
        self.process = os.getpid()
        self._pool = pool
        pool._admit(self)

    def close(self) -> None:
        """Give the interpreter back. Takes no lock of the pool's: the garbage collector may call it at any moment."""
        interpreter, self.interpreter = self.interpreter, None
        self._pool._live.pop(id(self), None)
        if interpreter is not None and self.process == os.getpid():
            interpreter.close()

    def __del__(self) -> None:
        self.close()


class Session(NamedTuple):
    """The whole past of one branch's interpreter. Pickles without its handle, and is rebuilt from its events then."""

    seed: int
    events: tuple[Cell | Reseed, ...] = ()
    handle: Handle | None = None

    @property
    def repeatable(self) -> bool:
        return all(event.repeatable for event in self.events if isinstance(event, Cell))

    def __reduce__(self) -> tuple[type["Session"], tuple[int, tuple[Cell | Reseed, ...]]]:
        return Session, (self.seed, self.events)


class InterpreterPool:
    """At most `limit` live interpreters of one sandbox. Safe to use from many threads.

    Attributes:
        started, forked, rebuilt, refused, evicted: how often each happened, for metrics.
    """

    def __init__(self, sandbox: Sandbox, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"The limit of live interpreters must be at least 1; got {limit}.")
        self.sandbox = sandbox
        self.limit = limit
        self.started = self.forked = self.rebuilt = self.refused = self.evicted = 0
        self._live: dict[int, weakref.ref[Handle]] = {}
        self._starting = 0
        self._clock = 0
        self._changed = threading.Condition()

    @property
    def live(self) -> int:
        """How many interpreters are alive now."""
        return len(self._live)

    def run(self, session: Session, code: str, seconds: float) -> tuple[CellResult, Session]:
        """Run a cell in `session`'s interpreter, started or rebuilt if there is none; the result and the next session.

        A rebuild may take as long again per recorded cell. An interpreter that died begins anew, its past forgotten.

        Raises:
            SandboxUnavailable: no interpreter can be had. ReplayFailed: the session's could not be rebuilt.
        """
        handle = self._acquire(session, seconds)
        try:
            assert handle.interpreter is not None
            result = handle.interpreter.run(code, seconds)
        except BaseException:
            handle.close()
            raise
        finally:
            self._let_go(handle)
        if not result.alive:
            handle.close()
            return result, Session(session.seed)
        cell = Cell(code, _digest(result), result.status != "timeout")
        handle.position += 1
        handle.repeatable = handle.repeatable and cell.repeatable
        return result, Session(session.seed, (*session.events, cell), handle)

    def fork(self, session: Session, *, rng: Literal["same", "split"], seed: int) -> Session:
        """An independent session with the same past; its interpreter is forked now, or rebuilt at its next cell."""
        split = rng == "split" and bool(session.events)
        if rng == "split" and not session.events:
            return Session(seed)
        events = (*session.events, Reseed(seed)) if split else session.events
        handle = session.handle
        if handle is None or not self._claim(session):
            return Session(session.seed, events)
        try:
            if not self._make_room(session):
                return Session(session.seed, events)
            try:
                assert handle.interpreter is not None
                child = handle.interpreter.fork(rng=rng, seed=seed)
            except (ForkRefused, SandboxUnavailable):
                self.refused += 1
                return Session(session.seed, events)
            finally:
                self._starting -= 1
            self.forked += 1
            return Session(session.seed, events, Handle(self, child, len(events), handle.repeatable))
        finally:
            self._let_go(handle)

    # ------------------------------------------------------------------------------------------------------- inside

    def _claim(self, session: Session) -> bool:
        """Mark the session's interpreter busy; False when it has none that stands where the session does."""
        handle = session.handle
        with self._changed:
            if (
                handle is None
                or handle.interpreter is None
                or handle.busy
                or handle.position != len(session.events)
                or handle.process != os.getpid()
            ):
                return False
            handle.busy = True
            self._clock += 1
            handle.used = self._clock
            return True

    def _let_go(self, handle: Handle) -> None:
        with self._changed:
            handle.busy = False
            self._changed.notify_all()

    def _acquire(self, session: Session, seconds: float) -> Handle:
        if self._claim(session):
            assert session.handle is not None
            return session.handle
        if not session.repeatable:
            raise ReplayFailed("a cell of its past was stopped by the clock, which cannot be repeated")
        end = time.monotonic() + seconds
        while not self._make_room(None):
            with self._changed:
                left = end - time.monotonic()
                if left <= 0:
                    raise SandboxUnavailable(f"All {self.limit} interpreters are busy; try again later.")
                self._changed.wait(min(left, 0.1))
        try:
            interpreter = self._build(session, seconds)
        finally:
            self._starting -= 1
        handle = Handle(self, interpreter, len(session.events), True)
        handle.busy = True
        return handle

    def _build(self, session: Session, seconds: float) -> Interpreter:
        interpreter = self.sandbox.start(session.seed)
        self.started += 1
        self.rebuilt += bool(session.events)
        try:
            for number, event in enumerate(session.events, 1):
                if isinstance(event, Reseed):
                    before, interpreter = interpreter, interpreter.fork(rng="split", seed=event.seed)
                    before.close()
                elif _digest(interpreter.run(event.code, seconds)) != event.digest:
                    raise ReplayFailed(f"cell {number} of its past did not print the same again")
        except ForkRefused as error:
            interpreter.close()
            raise ReplayFailed(str(error)) from error
        except BaseException:
            interpreter.close()
            raise
        return interpreter

    def _make_room(self, for_fork_of: Session | None) -> bool:
        """Reserve a place for one more interpreter (the caller lowers `_starting` again); False when there is none.

        A fork takes another's place only when its own session could not be rebuilt later.
        """
        with self._changed:
            if len(self._live) + self._starting >= self.limit:
                if for_fork_of is not None and for_fork_of.repeatable:
                    return False
                handles = [handle for ref in list(self._live.values()) if (handle := ref()) is not None]
                idle = [handle for handle in handles if not handle.busy]
                if not idle:
                    return False
                victim = min(idle, key=lambda handle: (not handle.repeatable, handle.used))
                if for_fork_of is not None and not victim.repeatable:
                    return False
                victim.close()
                self.evicted += 1
            self._starting += 1
            return True

    def _admit(self, handle: Handle) -> None:
        self._clock += 1
        handle.used = self._clock
        self._live[id(handle)] = weakref.ref(handle)


def _digest(result: CellResult) -> str:
    text = f"{result.status}\n{_ADDRESS.sub('0x', result.output)}\n{_ADDRESS.sub('0x', result.error)}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
