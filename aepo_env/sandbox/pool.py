"""InterpreterPool: live interpreters as counted handles, with an upper limit.

A session (the python tool's state) is the list of cells that were run and, while there is one, a handle on the live
interpreter that ran them. The pool keeps at most `limit` interpreters alive: beyond it the least recently used idle one
is closed, and rebuilt from its cells when it is needed again. So is a branch whose interpreter could not be forked.
Rebuilding compares what every cell printed with what it printed the first time, and fails when they differ. While a
session that was forked with random streams of its own is rebuilt, one interpreter beyond the limit lives for a moment.
"""

import hashlib
import os
import re
import threading
import time
import weakref
from typing import Literal, NamedTuple

from aepo_env.errors import ForkNotSupported
from aepo_env.sandbox.interpreter import CellResult, ForkRefused, Interpreter, Sandbox, SandboxUnavailable
from aepo_env.tools.tool import ForkCost

DEFAULT_LIMIT = 64

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")  # where an object lies differs from process to process and means nothing


# What a fork does to the streams of its child (inside/agent.py), as a cell that leaves no name and no output.
_RESEED = """(lambda modules: [
    modules["random"].seed({seed}),
    "numpy" in modules and modules["numpy"].random.seed([{seed} & 0xFFFFFFFF, {seed} >> 32, 1]),
] and None)((__import__("random"), __import__("sys").modules)[1])"""

_pools: "weakref.WeakSet[InterpreterPool]" = weakref.WeakSet()  # of this process


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
        """Whether the interpreter can be rebuilt from the events."""
        return all(event.repeatable for event in self.events if isinstance(event, Cell))

    def renewed(self) -> "Session":
        """The session after its interpreter died: no past, but still the random streams of this branch."""
        seeds = [event.seed for event in self.events if isinstance(event, Reseed)]
        return Session(seeds[-1] if seeds else self.seed)

    def __reduce__(self) -> tuple[type["Session"], tuple[int, tuple[Cell | Reseed, ...]]]:
        return Session, (self.seed, self.events)


class InterpreterPool:
    """At most `limit` live interpreters of one sandbox. Safe to use from many threads.

    Attributes:
        started, forked, rebuilt, refused, evicted: how often each happened, for metrics. ended, stopped: cells at which
            the interpreter ended, and that the clock stopped.
    """

    def __init__(self, sandbox: Sandbox, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"The limit of live interpreters must be at least 1; got {limit}.")
        self.sandbox = sandbox
        self.limit = limit
        self.started = self.forked = self.rebuilt = self.refused = self.evicted = self.ended = self.stopped = 0
        self._live: dict[int, weakref.ref[Handle]] = {}
        self._reserved = 0  # places promised to interpreters that are being started or forked
        self._clock = 0
        self._changed = threading.Condition()
        _pools.add(self)

    @property
    def live(self) -> int:
        """How many interpreters are alive now."""
        return len(self._live)

    def run(
        self, session: Session, code: str, seconds: float, *, patience: float | None = None
    ) -> tuple[CellResult, Session]:
        """Run a cell in `session`'s interpreter, started or rebuilt if there is none; the result and the next session.

        Args:
            seconds: for the cell. patience: for everything, waiting for a place and rebuilding included; as long as
                for the cell if not given. An interpreter that died begins anew, its past forgotten.

        Raises:
            SandboxUnavailable: no interpreter can be had. ReplayFailed: the session's could not be rebuilt.
        """
        end = time.monotonic() + (seconds if patience is None else patience)
        handle, interpreter = self._acquire(session, seconds, end)
        try:
            result = interpreter.run(code, min(seconds, max(end - time.monotonic(), 0.001)))
        except BaseException:
            handle.close()
            self._let_go(handle)
            raise
        with self._changed:
            self.ended += not result.alive
            self.stopped += result.alive and result.status == "timeout"
        if not result.alive:
            handle.close()
            self._let_go(handle)
            return result, session.renewed()
        cell = Cell(code, _digest(result), result.status != "timeout")
        self._let_go(handle, cell)
        return result, Session(session.seed, (*session.events, cell), handle)

    def fork(self, session: Session, *, rng: Literal["same", "split"], seed: int) -> Session:
        """An independent session with the same past; its interpreter is forked now, or rebuilt at its next cell.

        Raises:
            ForkNotSupported: its interpreter can be neither forked now nor rebuilt later.
        """
        if not session.events:
            return Session(seed if rng == "split" else session.seed)
        events = (*session.events, Reseed(seed)) if rng == "split" else session.events
        child = self._fork_live(session, events, rng, seed)
        if child is None and not session.repeatable:
            raise ForkNotSupported(
                "The python session can be neither forked at this moment nor rebuilt, since the clock stopped one of "
                "its cells: fork the episode earlier, or give cells more seconds."
            )
        return Session(session.seed, events, child)

    def fork_cost(self, session: Session) -> ForkCost:
        """What `fork` would cost now. Takes no lock and asks no interpreter: one with live threads may yet refuse."""
        if not session.events:
            return ForkCost.FREE
        is_ready = self.sandbox.can_fork and self._standing(session) is not None
        if is_ready and len(self._live) + self._reserved < self.limit:
            return ForkCost.CHEAP
        # A session that cannot be rebuilt may take another's place, which has to be rebuilt then.
        if session.repeatable or (is_ready and self._victim(session) is not None):
            return ForkCost.COSTLY
        return ForkCost.IMPOSSIBLE

    def _fork_live(
        self, session: Session, events: tuple[Cell | Reseed, ...], rng: Literal["same", "split"], seed: int
    ) -> Handle | None:
        """A fork of the session's live interpreter; None when there is none, no room for two, or it refuses."""
        interpreter = self._claim(session)
        if interpreter is None:
            return None
        assert session.handle is not None
        try:
            if not self._make_room(session):
                return None
            child: Handle | None = None
            try:
                child = Handle(self, interpreter.fork(rng=rng, seed=seed), len(events), session.handle.repeatable)
            except (ForkRefused, SandboxUnavailable):
                return None
            finally:
                self._fill_place(child)
                with self._changed:
                    self.forked += child is not None
                    self.refused += child is None
            return child
        finally:
            self._let_go(session.handle)

    # ------------------------------------------------------------------------------------------------------- inside

    def _standing(self, session: Session) -> Interpreter | None:
        """The session's interpreter, if it has an idle one that stands where the session does."""
        handle = session.handle
        if handle is None or handle.busy or handle.position != len(session.events) or handle.process != os.getpid():
            return None
        return handle.interpreter

    def _claim(self, session: Session) -> Interpreter | None:
        """Mark the session's interpreter busy; None when it has none that stands where the session does."""
        handle = session.handle
        if handle is None:
            return None
        with self._changed:
            interpreter = self._standing(session)
            if interpreter is None:
                return None
            handle.busy = True
            self._clock += 1
            handle.used = self._clock
            return interpreter

    def _let_go(self, handle: Handle, cell: Cell | None = None) -> None:
        """Make the interpreter idle again, at once with its new position: whoever waits must not see the old one."""
        with self._changed:
            handle.busy = False
            if cell is not None:
                handle.position += 1
                handle.repeatable = handle.repeatable and cell.repeatable
            self._changed.notify_all()

    def _acquire(self, session: Session, seconds: float, end: float) -> tuple[Handle, Interpreter]:
        """The session's interpreter, busy from now on, as it is or newly built by the moment `end`."""
        interpreter = self._claim(session)
        if interpreter is not None:
            assert session.handle is not None
            return session.handle, interpreter
        if not session.repeatable:
            raise ReplayFailed("a cell of its past was stopped by the clock, which cannot be repeated")
        while not self._make_room(None):
            with self._changed:
                left = end - time.monotonic()
                if left <= 0:
                    raise SandboxUnavailable(f"All {self.limit} interpreters are busy; try again later.")
                self._changed.wait(min(left, 0.1))
        handle: Handle | None = None
        try:
            interpreter = self._build(session, seconds, end)
            handle = Handle(self, interpreter, len(session.events), True)
            handle.busy = True
        finally:
            self._fill_place(handle)
        return handle, interpreter

    def _build(self, session: Session, seconds: float, end: float) -> Interpreter:
        """A new interpreter that has been through the session's events."""
        interpreter = self.sandbox.start(session.seed)
        with self._changed:
            self.started += 1
            self.rebuilt += bool(session.events)
        try:
            for number, event in enumerate(session.events, 1):
                left = end - time.monotonic()
                if left <= 0:
                    raise ReplayFailed(f"the call's time was up before cell {number} of its past was repeated")
                if isinstance(event, Reseed):
                    interpreter = _reseeded(interpreter, event.seed, min(seconds, left))
                elif _digest(interpreter.run(event.code, min(seconds, left))) != event.digest:
                    raise ReplayFailed(f"cell {number} of its past did not print the same again")
        except BaseException:
            interpreter.close()
            raise
        return interpreter

    def _make_room(self, for_fork_of: Session | None) -> bool:
        """Reserve a place for one more interpreter, for `_fill_place` to fill or free; False when there is none.

        A fork takes another's place only when its own session could not be rebuilt later.
        """
        with self._changed:
            if len(self._live) + self._reserved >= self.limit:
                victim = self._victim(for_fork_of)
                if victim is None:
                    return False
                victim.close()
                self.evicted += 1
            self._reserved += 1
            return True

    def _victim(self, for_fork_of: Session | None) -> Handle | None:
        """Whose place may be taken, if anybody's."""
        if for_fork_of is not None and for_fork_of.repeatable:
            return None
        handles = [handle for ref in list(self._live.values()) if (handle := ref()) is not None]
        idle = [handle for handle in handles if not handle.busy]
        victim = min(idle, key=lambda handle: (not handle.repeatable, handle.used), default=None)
        return victim if for_fork_of is None or (victim is not None and victim.repeatable) else None

    def _fill_place(self, handle: Handle | None) -> None:
        """Put `handle` into the place reserved for it; None frees the place."""
        with self._changed:
            self._reserved -= 1
            if handle is not None:
                self._clock += 1
                handle.used = self._clock
                self._live[id(handle)] = weakref.ref(handle)
            self._changed.notify_all()

    def _forget_all(self) -> None:
        """In a process forked off the trainer: the interpreters are the parent's, and so may be the lock's holder."""
        self._live.clear()
        self._reserved = 0
        self._changed = threading.Condition()


def _forget_all_pools() -> None:
    for pool in list(_pools):
        pool._forget_all()


os.register_at_fork(after_in_child=_forget_all_pools)


def _reseeded(interpreter: Interpreter, seed: int, seconds: float) -> Interpreter:
    """The interpreter with random streams that start anew from `seed`: a fork of it, or itself if it refuses one."""
    try:
        child = interpreter.fork(rng="split", seed=seed)
    except ForkRefused as error:
        if interpreter.run(_RESEED.format(seed=seed), seconds).status != "ok":
            raise ReplayFailed(str(error)) from error
        return interpreter
    interpreter.close()
    return child


def _digest(result: CellResult) -> str:
    text = f"{result.status}\n{_ADDRESS.sub('0x', result.output)}\n{_ADDRESS.sub('0x', result.error)}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
