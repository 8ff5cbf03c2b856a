"""trace: a rollout tree of a run, drawn in the terminal.

    python -m algorithms.run trace runs/aepo-web-seed0                           # which steps have traces
    python -m algorithms.run trace runs/aepo-web-seed0 --step 12                 # the questions of a step
    python -m algorithms.run trace runs/aepo-web-seed0 --step 12 --question 3    # one tree; --full: all its text

Colours are written to a terminal alone, and none where NO_COLOR is set.
"""

import argparse
import io
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from algorithms.commands.lines import command, say

HELP = "draw a rollout tree of a run in the terminal"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("run", help="a run's directory")
    parser.add_argument("--step", type=int, help="which step, from 1 (default: list the steps)")
    parser.add_argument("--question", type=int, help="which question of the step, from 0 (default: list them)")
    parser.add_argument("--full", action="store_true", help="whole texts instead of their beginnings")
    parser.add_argument("--width", type=int, help="columns (default: the terminal's)")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Draw, or list; the exit code."""
    from algorithms.report.run_files import RunFiles
    from algorithms.report.terminal import Look, step_lines, tree_lines
    from algorithms.report.traces import read

    if options.question is not None and options.step is None:
        raise ValueError(f"--question {options.question} is a question of a step: say --step too.")
    if options.width is not None and options.width < 40:
        raise ValueError(f"A tree needs at least 40 columns; got --width {options.width}.")
    files = RunFiles.read(options.run)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign shows "?" instead
    if options.step is None:
        return _list_steps(files.path, files.metrics)
    look = Look(options.width or shutil.get_terminal_size((100, 24)).columns, _may_colour(), options.full)
    traces = read(files.path, options.step)
    if options.question is None:
        lines = step_lines(traces, look)
    else:
        chosen = [trace for trace in traces if trace["question"] == options.question]
        if not chosen:
            there = ", ".join(str(trace["question"]) for trace in traces)
            raise ValueError(f"There is no trace of question {options.question} of step {options.step}: say {there}.")
        lines = tree_lines(chosen[0], look)
    for text in lines:
        print(text)
    if options.question is None and traces:
        say(f"draw one with  {command([*line, '--question', str(traces[0]['question'])])}")
    return 0


def _may_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def tree_to_see(path: Path) -> str | None:
    """The line that draws the tree to look at first; None where there is none."""
    from algorithms.report.worth import worth_seeing

    found = worth_seeing(path)
    if found is None:
        return None
    step, question = found
    return command(["trace", str(path), "--step", str(step), "--question", str(question)])


def _list_steps(path: Path, metrics: Sequence[dict[str, object]]) -> int:
    """Which steps there are, each with what it came to."""
    from algorithms.report.series import step_success
    from algorithms.report.traces import traced_steps

    steps = traced_steps(path)
    if not steps:
        raise ValueError(f"The run in {path} has no traces: it took no step yet, or was told to keep none (traces: 0).")
    known = {one["step"]: one for one in metrics}
    say("step  success  forks")
    for step in steps:
        one = known.get(step)
        forks = one["rollout"]["forks"] if one is not None else None  # type: ignore[index]
        say(f"{step:>4}" + ("" if one is None else f"  {100 * step_success(one):>5.1f} %  {forks:>5d}"))
    say(f"list the questions of one with  {command(['trace', str(path), '--step', str(steps[-1])])}")
    if tree := tree_to_see(path):
        say(f"a tree worth seeing:             {tree}")
    return 0
