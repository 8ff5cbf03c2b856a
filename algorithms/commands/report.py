"""report: a run as one page to open in a browser: curves, before and after, rollout trees. Also of a run still going.

python -m algorithms.run report runs/aepo-web-seed0         # writes runs/aepo-web-seed0/report.html
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from algorithms.commands.lines import say

HELP = "write report.html: a run's curves, gains and rollout trees as one page"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("run", help="a run's directory")
    parser.add_argument(
        "--to", metavar="FILE", help="where the page goes (default: report.html in the run's directory)"
    )


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Write the page and say where it is and what it says first; the exit code."""
    from algorithms.report import page
    from algorithms.report.run_files import RunFiles
    from algorithms.report.summary import headline, summary

    files = RunFiles.read(options.run)
    written = page.write(files.path, None if options.to is None else Path(options.to))
    for sentence in headline(summary(files)):
        say(sentence)
    if files.done < files.steps:
        say(f"{files.done} of {files.steps} steps so far: say the same again to refresh the page")
    say(f"open {written} in a browser ({written.stat().st_size / 1e6:.1f} MB)")
    return 0


def closing(path: Path) -> None:
    """At the end of a run: its page, and in words whether each part of the algorithm was seen to act.

    What keeps the page from being written is said and stops nothing: the run itself is complete.
    """
    from algorithms.report import page
    from algorithms.report.run_files import RunFiles
    from algorithms.report.summary import failures_in_words, part_lines, parts_in_words, summary

    found = summary(RunFiles.read(path))
    failures, lost = failures_in_words(found), found["lost"]["dropped"]
    if failures or lost:
        failures.append(f"{lost} trajectories were lost to faults and left out.")
    for sentence in failures:
        say(f"WARNING  while training, {sentence}")
    parts = parts_in_words(found)
    if parts:
        say("was each part seen to act?")
    for told in part_lines(parts):
        say(f"  {told}")
    try:
        say(f"  the report   {page.write(path)} (open it in a browser)")
    except ValueError as error:
        say(f"WARNING  no report was written: {error}")
