"""How fast the gym is: steps with an instant tool, and calls and forks of a live interpreter.

    python -m benchmarks.speed.gym [--steps 20000] [--rounds 300] [--forks 10000]

Everything is wall time, medians with their range: leave the machine alone meanwhile. A step reads a thought and one
call, runs the tool, and writes the record and the observation. The interpreter's figures (`benchmarks.speed.sandbox`)
need a box, and are left out, saying so, without one.
"""

import argparse
import contextlib
import statistics
import time
from typing import Any

import gymnasium

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode, Limits
from aepo_env.rewards.reward import Score
from aepo_env.sandbox.interpreter import SandboxUnavailable
from aepo_env.tasks import Task
from aepo_env.tools.python import PythonTool
from aepo_env.tools.tool import CallContext, Tool, ToolResult

ID = "aepo_env_benchmarks/Instant-v0"
TURN = "<think>I should look for the second of the two names first.</think><search>the second name</search>"
TURNS = 30  # of one episode
RUNS = 10


class InstantTool(Tool):
    """Does nothing, so that what is measured is the gym."""

    name = "search"
    description = "answers at once"

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        """Always the same."""
        return ToolResult("a result", state)


def no_reward(episode: Episode) -> Score:
    """Nothing."""
    return Score(0.0, {})


def make_instant() -> ToolEnv:
    """An environment that costs what the gym costs."""
    limits = Limits(turns=TURNS + 2, tool_calls=TURNS + 1)
    return ToolEnv([Task("task", "Who?", ("me",))], [InstantTool()], no_reward, limits=limits)


def steps_per_second(env: gymnasium.Env[Any, Any], steps: int) -> list[float]:
    """Steps per second of wall time in each of several runs, resets not counted."""
    rates = []
    for _ in range(RUNS):
        seconds = 0.0
        episodes = max(1, steps // TURNS)
        for _ in range(episodes):
            env.reset(seed=0)
            begun = time.perf_counter()
            for _ in range(TURNS):
                env.step(TURN)
            seconds += time.perf_counter() - begun
        rates.append(episodes * TURNS / seconds)
    return rates


def forks_per_second(env: ToolEnv, forks: int) -> list[float]:
    """Forks per second of an episode of ten turns, without a live interpreter, in each of several runs."""
    env.reset(seed=0)
    for _ in range(10):
        env.step(TURN)
    rates = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        env.fork(forks)
        rates.append(forks / (time.perf_counter() - begun))
    return rates


def python_calls(rounds: int) -> list[float]:
    """Milliseconds of wall time of warm calls through the python tool in the box.

    Raises:
        SandboxUnavailable: there is no box.
    """
    tool = PythonTool()
    state: Any = tool.start(0)
    times = []
    try:
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            result = tool.call(state, "1 + 1", CallContext())
            times.append((time.perf_counter() - begun) * 1000)
            state = result.state
            if result.fault is not None:
                raise SandboxUnavailable(result.text)
    finally:
        tool.release(state)
    return times[1:]  # the first call starts the interpreter


def rate(name: str, rates: list[float], target: str = "") -> None:
    """One line of the table: the median of the runs, their range, and what was aimed at."""
    value = f"{statistics.median(rates):>11,.0f} /s   ({min(rates):,.0f} to {max(rates):,.0f}, n={len(rates)})"
    print(f"{name:<42}{value:<48}{target}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000, help="steps of each of the ten runs")
    parser.add_argument("--rounds", type=int, default=300, help="measurements of each of the interpreter's latencies")
    parser.add_argument(
        "--forks", type=int, default=10_000, help="forks of a live interpreter after which leaks are counted; 0: none"
    )
    choices = parser.parse_args()
    gymnasium.register(ID, lambda **_: make_instant())
    rate("steps through gymnasium.make", steps_per_second(gymnasium.make(ID), choices.steps), "target 50,000")
    rate("steps, unwrapped", steps_per_second(make_instant(), choices.steps), "target 100,000")
    rate("forks without a live interpreter", forks_per_second(make_instant(), 300))
    try:
        interpreter_times(choices.rounds, choices.forks)
    except SandboxUnavailable as error:
        print(f"No box here, so nothing about the interpreter: {error}")


def interpreter_times(rounds: int, forks: int) -> None:
    """The live interpreter's latencies, and the leak count if asked for."""
    from aepo_env.sandbox import BoxLimits, LocalBox
    from benchmarks.speed import sandbox

    with contextlib.closing(LocalBox(BoxLimits())) as box:
        sandbox.latencies(box, rounds)  # first: its first line is the start of a host that the tool would share
        sandbox.report("python call, warm", python_calls(rounds), "target 1")
        if forks:
            sandbox.leaks(box, forks)


if __name__ == "__main__":
    main()
