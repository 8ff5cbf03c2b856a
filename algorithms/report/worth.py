"""Which tree of a run to look at first: one in which there is something to see.

    step, question = worth_seeing(run.path)      # for `trace RUN --step 70 --question 10`, and what the page opens with

In a run's first step every P(fork) is the base one, since the unit of entropy is not known yet, and a question that is
all right or all wrong teaches nothing. So this looks at late steps, for right and wrong trajectories side by side,
forks of different P, and forks that took a live Python interpreter with them.

Left out: which other trees a page holds (`choose`).
"""

import math
from pathlib import Path

from algorithms.report.traces import Trace, read, texts, traced_steps
from algorithms.report.turns import POLICY

_LOOKED_INTO = 12  # steps; reading one takes some hundredths of a second
_ENOUGH_FORKS = 5
_WIDE = 0.5  # between the lowest and the highest P(fork) of a tree
_DEEP = 4  # turns; what is deeper is small on a page


def worth_seeing(run: Path) -> tuple[int, int] | None:
    """The step and question of the tree to look at first, of a few steps of the later half; None without a tree."""
    best, found = -math.inf, None
    for step in _late(traced_steps(run)):
        try:
            traces = read(run, step)
        except ValueError:  # cut short: another step is as good
            continue
        for trace in traces:
            if (score := worth(trace)) > best:
                best, found = score, (step, trace["question"])
    return found


def _late(steps: list[int]) -> list[int]:
    """Steps of the later half, from the last backwards, evenly."""
    late = steps[len(steps) // 2 :][::-1]
    return late[:: -(-len(late) // _LOOKED_INTO)] if late else []


def worth(trace: Trace) -> float:
    """How much there is to see: up to a point each for a mixed outcome, forks, the range of P, and python."""
    share, probabilities = right_share(trace), [record["probability"] for record in trace["report"]["forks"]]
    spread = max(probabilities, default=0.0) - min(probabilities, default=0.0)
    depth = max((leaf["turns"] for leaf in trace["report"]["leaves"]), default=0)
    return (
        4 * share * (1 - share)
        + min(1.0, fork_count(trace) / _ENOUGH_FORKS)
        + min(1.0, spread / _WIDE)
        + (0.5 if trace["report"]["calls"].get("python") else 0.0)
        + (0.5 if _forks_interpreter(trace) else 0.0)
        - 0.1 * max(0, depth - _DEEP)
    )


def right_share(trace: Trace) -> float:
    """The share of right trajectories."""
    solved = [bool(leaf["solved"]) for leaf in trace["leaves"]]
    return sum(solved) / max(1, len(solved))


def fork_count(trace: Trace) -> int:
    """How many forks were taken."""
    return sum(record["outcome"] == "forked" for record in trace["report"]["forks"])


def _forks_interpreter(trace: Trace) -> bool:
    """Whether a path that had called python was forked, by what the policy wrote above the fork."""
    if not trace["report"]["calls"].get("python"):
        return False
    nodes = trace["tree"]["nodes"]
    for record in trace["report"]["forks"]:
        index, above = record["node"] if record["outcome"] == "forked" else -1, ""
        while index >= 0:
            if nodes[index]["kind"] == POLICY:
                above = "".join(texts(trace, index)) + above  # a turn is several nodes where something hangs on it
            index = nodes[index]["parent"]
        if "python" in above:
            return True
    return False
