"""The process behind `maths_equal`: it imports the maths library once and forks one short-lived child per comparison.

Started by `aepo_env.rewards.maths` as a plain script (it imports nothing of this package); not for use by hand.
It writes "ready", then answers each JSON line {"gold", "prediction", "seconds"} with a line "1" or "0". A child that
runs past its time, memory or stack, or dies, means "0": the next comparison starts from the same clean state, at the
price of a fork and not of an import. It ends when its input does.
"""

import contextlib
import importlib
import json
import logging
import os
import resource
import select
import signal
import sys
import time
from typing import Any

MEMORY_BYTES = 1 << 30  # address space a comparison may add to what the library itself takes
CELLS = (("\\frac{1}{2}", "0.5"), ("3\\sqrt{2}+x^2", "x^2+\\sqrt{18}"), ("(1,2]", "(1,2]"), ("\\{1,2\\}", "2, 1"))


def same(gold: str, prediction: str) -> bool:
    """Whether the library finds both LaTeX expressions equal; each must parse as a whole expression."""
    library = importlib.import_module("math_verify")

    # Its own time limit works by signals in the main thread only and cannot stop a C loop: switched off, see `answer`.
    parsed = [
        library.parse(f"${text}$", [library.LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
        for text in (gold, prediction)
    ]
    return all(parsed) and bool(library.verify(*parsed, timeout_seconds=None))


def answer(request: dict[str, Any]) -> bool:
    """The verdict of a forked child, False if it has none within the request's seconds."""
    deadline = time.monotonic() + request["seconds"]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _compare_and_exit(request, writer)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        return bool(ready) and os.read(reader, 1) == b"1"
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _compare_and_exit(request: dict[str, Any], writer: int) -> None:
    """The child: limits itself, compares, writes its verdict and is gone without any clean-up."""
    try:
        with open("/dev/null", "r+b") as nowhere:
            for descriptor in (0, 1):
                os.dup2(nowhere.fileno(), descriptor)
        _limit(resource.RLIMIT_CPU, int(request["seconds"]) + 1)
        _limit(resource.RLIMIT_AS, _address_space() + MEMORY_BYTES)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_CORE, 0)
        os.write(writer, b"1" if same(request["gold"], request["prediction"]) else b"0")
    finally:
        os._exit(0)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    with contextlib.suppress(ValueError, OSError):  # a platform without this limit still has the deadline
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _address_space() -> int:
    with contextlib.suppress(OSError), open("/proc/self/statm") as pages:
        return int(pages.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 1 << 32


def main() -> None:
    """Serve until the input ends."""
    logging.disable(logging.CRITICAL)
    for gold, prediction in CELLS:  # the library imports parts of itself at first use: do it before the first fork
        same(gold, prediction)
    print("ready", flush=True)
    for line in sys.stdin:
        print(int(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
