r"""Whether two maths answers are equal, decided by a library (math-verify) in a helper process with a deadline.

    maths_equal(r"\frac{1}{2}", "0.5")              # True    (prediction first, then one answer or several)
    maths_equal("3√3 - 6", r"3\sqrt{3} - 6")         # True
    maths_equal("9^{9^{9^{9}}}", "5")               # False, after at most 2 s

Needs the extra `math`. Safe for hostile input and from any thread: an expression that hangs, eats memory or crashes the
library costs one forked child, is "not equal", and delays nobody else. Helpers start at the first call (about 1 s), are
kept for the life of the process and die with it. Verdicts are cached, as the members of a group often agree.

Left out: judging whether an answer is *simplified* ("2+3" equals "5"), and units beyond those the library drops.
"""

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from aepo_env.errors import MissingExtra
from aepo_env.rewards.equivalence import is_equiv
from aepo_env.rewards.text import as_answers

SECONDS = 2.0  # for one comparison, parsing included
START_SECONDS = 60.0  # for a helper's import of the library, on a busy machine too
QUEUE_SECONDS = 300.0  # for a free helper
MAX_CHARACTERS = 1000  # the longest answer of MATH has under 200; longer text is no answer
MAX_HELPERS = 4
_GRACE = 0.5
_EXTRA = "maths equivalence needs the package math-verify: pip install 'aepo-env[math]'"
_UNICODE = {
    "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ",
    "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "√": r"\sqrt ", "±": r"\pm ",
    "$": "", "\n": " ", "\t": " ", "\0": " ",
}  # fmt: skip
_TO_LATEX = str.maketrans(_UNICODE)


def maths_equal(prediction: str, answers: str | Sequence[str], seconds: float = SECONDS) -> bool:
    """Whether a prediction equals any accepted answer as mathematics. Never raises for what the texts say.

    seconds: for one comparison; past it the two are not equal.
    Raises MissingExtra without the extra `math` (only if spelling alone does not settle it), RuntimeError if the helper
    cannot start, TimeoutError if none gets free within QUEUE_SECONDS.
    """
    return any(is_equiv(prediction, answer) or _equal(prediction, answer, seconds) for answer in as_answers(answers))


def maths_score(prediction: str, answers: str | Sequence[str]) -> float:
    """`maths_equal` as a metric: 1.0 or 0.0."""
    return float(maths_equal(prediction, answers))


@functools.lru_cache(maxsize=16384)
def _equal(prediction: str, answer: str, seconds: float) -> bool:
    if importlib.util.find_spec("math_verify") is None:
        raise MissingExtra(_EXTRA)
    if not prediction.strip() or not answer.strip() or max(len(prediction), len(answer)) > MAX_CHARACTERS:
        return False
    request = {"gold": answer.translate(_TO_LATEX), "prediction": prediction.translate(_TO_LATEX), "seconds": seconds}
    return _pool().ask(request, seconds + _GRACE)


class _Helper:
    """One helper process. Not for two threads at once."""

    def __init__(self) -> None:
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ
        }
        environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("maths_helper.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the owner; and so that `close` ends its children too
        )
        if self._line(START_SECONDS) != b"ready\n":
            self.close()
            raise RuntimeError(
                f"the maths helper did not start within {START_SECONDS:.0f} s; "
                f"try: {sys.executable} -c 'import math_verify'"
            )

    def ask(self, request: dict[str, object], seconds: float) -> bool | None:
        """The verdict; None if the helper itself is gone or late (it is then of no further use)."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return None
        return {b"1\n": True, b"0\n": False}.get(self._line(seconds))

    def _line(self, seconds: float) -> bytes:
        """Bytes up to a line end, or what came until the deadline or the end."""
        assert self._process.stdout is not None
        descriptor, line, deadline = self._process.stdout.fileno(), b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(descriptor, 64) if ready else b""
            if not piece:
                break
            line += piece
        return line

    def is_alive(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)  # its pipes close a moment before it is gone
        return self._process.poll() is None

    def close(self) -> None:
        """Kill it and its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait(5.0)


class _Pool:
    """At most `size` helpers, started when first needed."""

    def __init__(self, size: int) -> None:
        self.owner = os.getpid()
        self._idle: queue.LifoQueue[_Helper | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)  # a place for a helper not yet started

    def ask(self, request: dict[str, object], seconds: float) -> bool:
        try:
            helper = self._idle.get(timeout=QUEUE_SECONDS)
        except queue.Empty:
            raise TimeoutError(
                f"no maths helper got free within {QUEUE_SECONDS:.0f} s; score in fewer threads"
            ) from None
        verdict = None
        try:
            for _ in range(2):  # a helper found dead (killed from outside) says nothing about the texts: ask a new one
                helper = helper or _Helper()
                verdict = helper.ask(request, seconds)
                if verdict is not None:
                    break
                late = helper.is_alive()
                helper.close()
                helper = None
                if late:
                    break
            return bool(verdict)
        finally:
            self._idle.put(helper)

    def close(self) -> None:
        """End the idle helpers; a busy one ends with its owner, whose end closes its input."""
        while True:
            try:
                helper = self._idle.get_nowait()
            except queue.Empty:
                return
            if helper is not None:
                helper.close()


_shared: _Pool | None = None
_lock = threading.Lock()


def _pool() -> _Pool:
    """The process's own pool; a forked copy of the process makes a new one and leaves the parent's helpers alone."""
    global _shared
    with _lock:
        if _shared is None or _shared.owner != os.getpid():
            _shared = _Pool(min(MAX_HELPERS, os.cpu_count() or 1))
        return _shared


@atexit.register
def _close() -> None:
    if _shared is not None and _shared.owner == os.getpid():
        _shared.close()
