"""RecordReplay: answers of calls by request, recorded in one file and replayed from it.

    cache = RecordReplay("web.sqlite", "auto")
    value = cache.answer(("search", "brave", "who?", 10), lambda: engine_call(), seconds=10.0)

What a call gives is the same whether it was made or replayed, since a fresh value takes the same way through JSON.

Equal questions asked at the same time are answered by one call: among the threads of one object strictly; among
objects and processes as far as a claim in the file can see to it, which expires shortly after the call's deadline.
"""

import hashlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from aepo_env.cache.store import CacheError, CacheStore
from aepo_env.tools.tool import Fault

Mode = Literal["off", "record", "auto", "replay"]

_log = logging.getLogger(__name__)


class _Flight:
    """A call under way, and what came of it for those who wait."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.outcome: Any = Fault("unavailable", "The same call, made for another episode, broke down.", retryable=True)


class RecordReplay:
    """Answers of calls, by request, in one file. May be used from many threads, forked, and pickled (it reopens).

    Args:
        path: the cache file; untouched in mode "off".
        mode: see the package.

    Raises:
        ValueError: the mode is unknown. CacheError: the file is missing (replay), damaged, not ours or locked.
    """

    def __init__(self, path: str | os.PathLike[str], mode: Mode = "auto") -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"expected the cache mode to be one of {', '.join(get_args(Mode))}; got {mode!r}")
        self.path, self.mode = Path(path), mode
        self._store = None if mode == "off" else CacheStore(path, writable=mode != "replay")
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._owner = uuid.uuid4().hex  # names this object's claims; no result depends on it
        self._lock = threading.Lock()
        self._flights: dict[bytes, _Flight] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordReplay, (self.path, self.mode)

    def answer(self, request: tuple[str | int, ...], call: Callable[[], Any], seconds: float) -> Any:
        """The value for `request`: JSON data, or a Fault.

        Args:
            request: all that the value depends on.
            call: makes the value (JSON data) or a Fault, within `seconds`.
            seconds: how long to wait for the same call made elsewhere; then a Fault of kind "timeout".

        Raises:
            CacheError: the file broke while in use, or holds something that is not JSON.
            TypeError, ValueError: `call` gave something that is not JSON data.
        """
        if self._store is None:
            return call()
        text = json.dumps(request)
        key = hashlib.sha256(text.encode()).digest()
        if self.mode == "record":
            return self._call_and_store(self._store, key, text, call)
        found = self._read(self._store, key)
        if found is not None:
            return found[0]
        if self.mode == "replay":
            return Fault("not_recorded", f"{text[:200]} is not in the recording {self.path}: record it, or use 'auto'.")
        return self._single_flight(self._store, key, text, call, time.monotonic() + seconds)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._store is not None:
            self._store.close()

    def _read(self, store: CacheStore, key: bytes) -> tuple[Any] | None:
        text = store.get(key)
        if text is None:
            return None
        try:
            return (json.loads(text),)
        except (ValueError, RecursionError) as error:
            raise CacheError(f"The cache {self.path} holds a value that is not JSON: delete it.") from error

    def _call_and_store(self, store: CacheStore, key: bytes, request: str, call: Callable[[], Any]) -> Any:
        outcome = call()
        if isinstance(outcome, Fault):
            return outcome
        value = json.dumps(outcome, allow_nan=False)
        try:
            store.put(key, request, value)
        except CacheError as error:
            _log.warning("A result was not recorded: %s", error)  # it was paid for: better unrecorded than lost
        return json.loads(value)

    def _single_flight(
        self, store: CacheStore, key: bytes, request: str, call: Callable[[], Any], deadline: float
    ) -> Any:
        """One call for all threads that ask at the same time."""
        if self._process != os.getpid():
            self._start()  # a forked child: its parent's threads, and what they were waiting for, are not here
        with self._lock:
            flight = self._flights.get(key)
            leading = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if not leading:
            if flight.landed.wait(max(0.0, deadline - time.monotonic())):
                return flight.outcome
            return _waited_in_vain()
        try:
            flight.outcome = self._lead(store, key, request, call, deadline)
            return flight.outcome
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.landed.set()

    def _lead(self, store: CacheStore, key: bytes, request: str, call: Callable[[], Any], deadline: float) -> Any:
        """Make the call, unless another process is about to: then wait for its value."""
        pause = 0.002
        claimed = False
        while not claimed:
            left = deadline - time.monotonic()
            try:
                claimed = store.claim(key, self._owner, max(left, 0.0) + 1.0)
            except CacheError as error:
                _log.warning("The same call may be made twice: %s", error)
                break
            # Also after claiming: the one who held the claim before may have stored the value by now.
            found = self._read(store, key)
            if found is not None:
                if claimed:
                    self._unclaim(store, key)
                return found[0]
            if not claimed:
                if left <= 0:
                    return _waited_in_vain()
                time.sleep(min(pause, left))
                pause = min(2 * pause, 0.05)
        stored = False
        try:
            outcome = self._call_and_store(store, key, request, call)
            stored = not isinstance(outcome, Fault)
        finally:
            if not stored:
                self._unclaim(store, key)
        return outcome

    def _unclaim(self, store: CacheStore, key: bytes) -> None:
        try:
            store.unclaim(key, self._owner)
        except CacheError as error:
            _log.warning("A claim was left to expire by itself: %s", error)


def _waited_in_vain() -> Fault:
    return Fault("timeout", "The same call is being made for another episode and has not returned yet.", retryable=True)
