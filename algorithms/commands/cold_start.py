"""coldstart: make the tiny model's cold start, which every run of an environment begins with, or say where it is.

python -m algorithms.run coldstart --env web
"""

import argparse
from collections.abc import Sequence

from algorithms.commands.lines import Stopped, say

HELP = "make the tiny model's cold start, or say where it is"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("--env", default="web", help="web, search or code (default: web)")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Make it; the exit code."""
    from algorithms.rollout.faults import ToolsFailed
    from algorithms.training.config import preset
    from algorithms.training.tiny_start import starting_policy

    try:
        starting_policy(preset("default", options.env), say)
    except ToolsFailed as error:
        raise Stopped(str(error)) from error
    return 0
