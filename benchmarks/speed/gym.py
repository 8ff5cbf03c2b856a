"""How fast the gym is: steps with an instant tool, and calls and forks of a live interpreter.

    python -m benchmarks.speed.gym [--steps 20000] [--rounds 300] [--forks 0]

Steps are counted in processor time of this process, best of ten runs, so that a busy machine disturbs them little; a
step reads a thought and one call, runs the tool, and writes the record and the observation. The interpreter's figures
are wall time (`benchmarks.speed.sandbox` measures them); they need a box, and are left out, saying so, without one.
"""

import argparse
import contextlib
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


def steps_per_second(env: gymnasium.Env[Any, Any], steps: int) -> float:
    """Steps per second of processor time, resets not counted; the best of several runs."""
    env.reset(seed=0)
    best = 0.0
    for _ in range(RUNS):
        seconds = 0.0
        for _ in range(max(1, steps // TURNS)):
            env.reset()
            begun = time.process_time()
            for _ in range(TURNS):
                env.step(TURN)
            seconds += time.process_time() - begun
        best = max(best, max(1, steps // TURNS) * TURNS / seconds)
    return best


def forks_per_second(env: ToolEnv, forks: int) -> float:
    """Forks of an episode of ten turns, without a live interpreter; the best of several runs."""
    env.reset(seed=0)
    for _ in range(10):
        env.step(TURN)
    best = 0.0
    for _ in range(RUNS):
        begun = time.process_time()
        env.fork(forks)
        best = max(best, forks / (time.process_time() - begun))
    return best


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


def line(name: str, value: str, target: str = "") -> None:
    """One line of the table."""
    print(f"{name:<42}{value:<44}{target}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000, help="steps of each of the ten runs")
    parser.add_argument("--rounds", type=int, default=300, help="measurements of each of the interpreter's latencies")
    parser.add_argument("--forks", type=int, default=0, help="forks of the interpreter to count leaks after; 10000")
    choices = parser.parse_args()
    gymnasium.register(ID, make_instant)
    line(
        "steps through gymnasium.make",
        f"{steps_per_second(gymnasium.make(ID), choices.steps):>11,.0f} /s",
        "target 50,000",
    )
    line("steps, unwrapped", f"{steps_per_second(make_instant(), choices.steps):>11,.0f} /s", "target 100,000")
    line("forks without a live interpreter", f"{forks_per_second(make_instant(), 300):>11,.0f} /s")
    try:
        interpreter_times(choices.rounds, choices.forks)
    except SandboxUnavailable as error:
        print(f"No box here, so nothing about the interpreter: {error}")


def interpreter_times(rounds: int, forks: int) -> None:
    """The live interpreter's latencies, and the leak count if asked for."""
    from aepo_env.sandbox import BoxLimits, LocalBox
    from benchmarks.speed import sandbox

    sandbox.report("python call, warm", python_calls(rounds), "target 1")
    with contextlib.closing(LocalBox(BoxLimits())) as box:
        sandbox.latencies(box, rounds)
        if forks:
            sandbox.leaks(box, forks)


if __name__ == "__main__":
    main()
