"""Bounded: a step of an environment takes no longer than its time, whatever a tool does.

    with at_most(130):                         # TookTooLong beyond it; in the main thread, where there are alarms
        env.step(text)
    workers = Workers(8)
    workers.submit(play)                       # a Future
    workers.close()

Tools are given deadlines and keep them; this is for one that does not. In place the step is broken off by an alarm. A
thread cannot be broken off: whoever waits gives up, and the thread, a daemon, keeps no process from ending.

Left out: a step in place that never comes back from C code, or that another thread than the main one plays.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NoReturn


class TookTooLong(BaseException):
    """The time is up. No Exception, so that a tool that catches all of those does not take it for its own."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TookTooLong inside the block after so many seconds, and again every second that it goes on.

    Once would not do: a bare `except:`, or a finaliser that happens to run, swallows it. Another's alarm goes on
    afterwards.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> NoReturn:
        raise TookTooLong

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, stop)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # none rings while the other's is put back
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler if handler is not None else signal.SIG_DFL)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - began)), interval)


class Workers:
    """A pool of daemon threads. The standard library's are waited for when the process ends: one that hangs, for ever.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = 0
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        for _ in range(count):
            self.add()

    def add(self) -> None:
        """One thread more."""
        threading.Thread(target=self._work, name=f"rollout_{self._count}", daemon=True).start()
        self._count += 1

    def submit(self, function: Callable[[], Any]) -> "Future[Any]":
        """Call it in the next thread that is free."""
        future: Future[Any] = Future()
        self._waiting.put((future, function))
        return future

    def close(self) -> None:
        """No more calls: threads end when they have nothing left to do. Waits for none. Idempotent."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, function = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
            del item, future, function  # an idle thread keeps no environment alive
