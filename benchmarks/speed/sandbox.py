"""Latencies of the local box, measured through LocalBox from an ordinary process, and a leak count after many forks.

    python -m benchmarks.speed.sandbox [--forks 10000] [--rounds 300] [--packages numpy]

Prints medians with the 5th and 95th percentile, in milliseconds, beside the targets. The machine's other load shows in
the spread; nothing is discarded. Linux only, and needs a box (python -m aepo_env doctor says what is missing).
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from aepo_env.sandbox import BoxLimits, LocalBox, LocalInterpreter


def milliseconds(action: Callable[[], object]) -> float:
    """Wall time of one action."""
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def report(name: str, times: list[float], target: str = "") -> None:
    """One line: median, 5th and 95th percentile, target."""
    ordered = sorted(times)
    low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    spread = f"{statistics.median(ordered):8.2f} ms   ({low:.2f} to {high:.2f}, n={len(ordered)})"
    print(f"{name:<42}{spread:<44}{target}")


def fork_times(parent: LocalInterpreter, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of a fork, and of a fork with the child's first answer."""
    forks, answers = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        with contextlib.closing(parent.fork(rng="same", seed=0)) as child:
            forks.append((time.perf_counter() - begun) * 1000)
            child.run("1", 5.0)
            answers.append((time.perf_counter() - begun) * 1000)
    return forks, answers


def latencies(box: LocalBox, rounds: int) -> None:
    """Every latency, one after the other."""
    report("box start (host, bubblewrap, self-test)", [milliseconds(lambda: box.start(0).close())])
    report("new interpreter", [milliseconds(lambda: box.start(0).close()) for _ in range(rounds)])
    with contextlib.closing(box.start(0)) as parent:
        parent.run("x = 1", 5.0)
        report("warm cell", [milliseconds(lambda: parent.run("x + 1", 5.0)) for _ in range(rounds)], "target 1")
        forks, answers = fork_times(parent, rounds)
        report("fork, small state", forks, "target 5")
        report("fork to the child's first answer", answers, "target 8")
        parent.run("for i in range(100):\n    open(f'f{i}', 'wb').write(b'0' * 10_000)", 5.0)
        report("fork with 100 files, 1 MB", fork_times(parent, rounds)[0])
        parent.run("import os\nfor i in range(100):\n    os.remove(f'f{i}')", 5.0)
        parent.run("big = bytearray(b'1') * (100 << 20)", 20.0)
        report("fork with 100 MB live", fork_times(parent, rounds)[0], "target 15")
        parent.run("del big\nobjects = [(i, str(i)) for i in range(500_000)]", 20.0)
        report("fork with 500,000 small objects", fork_times(parent, rounds)[0])


def open_descriptors(process: int) -> int:
    """How many descriptors a process has."""
    return len(os.listdir(f"/proc/{process}/fd"))


def resident_megabytes(process: int) -> float:
    """Memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def processes_below(process: int) -> int:
    """How many processes a process has below it, zombies included."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rsplit(") ", 1)[1].split()[1])
    below = {process}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return len(below) - 1


def leaks(box: LocalBox, forks: int) -> None:
    """Fork, run a cell that writes a file, close; count what is left."""
    with contextlib.closing(box.start(0)) as parent:
        parent.run("x = 1", 5.0)
        fork_times(parent, 20)
        assert box._host is not None
        assert box._host.host is not None
        host = box._host.host.process.pid

        def counts() -> tuple[int, int, int]:
            return processes_below(host), open_descriptors(host), open_descriptors(os.getpid())

        before, memory, begun = counts(), resident_megabytes(host), time.perf_counter()
        for _ in range(forks):
            with contextlib.closing(parent.fork(rng="split", seed=1)) as child:
                child.run("n = open('f', 'w').write('x')", 5.0)
        took = time.perf_counter() - begun
        time.sleep(0.2)
        after = counts()
        files = parent.run("import os; len(os.listdir('.'))", 5.0).output.strip()
    print(f"{forks:,} forks with a cell each in {took:.1f} s ({took / forks * 1000:.2f} ms each)")
    for name, old, new in zip(("processes", "host's descriptors", "our descriptors"), before, after, strict=True):
        print(f"    {name:<20}{old} before, {new} after{'' if old == new else '   LEAK'}")
    print(f"    {'files':<20}{files} in the parent's directory")
    print(f"    {'host memory':<20}{memory:.1f} MB before, {resident_megabytes(host):.1f} MB after")
    if before != after or files != "0":
        raise SystemExit("something leaked")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forks", type=int, default=10_000, help="forks of the leak count; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=300, help="measurements of each latency")
    parser.add_argument("--packages", nargs="*", default=["numpy"], help="packages imported in the box beforehand")
    choices = parser.parse_args()
    with contextlib.closing(LocalBox(BoxLimits(), tuple(choices.packages))) as box:
        latencies(box, choices.rounds)
        if choices.forks:
            leaks(box, choices.forks)


if __name__ == "__main__":
    main()
