"""The command: train an agent, evaluate a run and look at it, make a cold start.

    python -m algorithms.run aepo --env web                     # train; also grpo, dapo, ... (algorithms.names)
    python -m algorithms.run aepo --env web --set rollout.rule.penalty=0 --seed 1
    python -m algorithms.run resume runs/aepo-web-seed0         # go on with a run that was stopped
    python -m algorithms.run eval runs/aepo-web-seed0
    python -m algorithms.run report runs/aepo-web-seed0
    python -m algorithms.run trace runs/aepo-web-seed0 --step 12 --question 3
    python -m algorithms.run export runs/aepo-web-seed0 my-agent
    python -m algorithms.run coldstart --env web
    python -m algorithms.run list

This file reads the command line; a module of `algorithms.commands` does what it says. A mistake on the line gets one
sentence and exit code 2.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Protocol

from aepo_env.text import did_you_mean
from algorithms.commands import cold_start, evaluate, export, listing, report, resume, trace, train
from algorithms.commands.ending import Parser, ended, lacking
from algorithms.commands.lines import Stopped
from algorithms.names import NAMES


class Command(Protocol):
    """A module of `algorithms.commands`. Its top loads nothing heavy.

    options: adds what may follow the command's name. run: does it and returns the exit code; `options.command` is the
    command's name, `line` all words of the command line. A user's mistake is a ValueError of one sentence.
    """

    HELP: str

    def options(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace, line: Sequence[str]) -> int: ...


COMMANDS: dict[str, Command] = {
    **dict.fromkeys(NAMES, train),
    "resume": resume,
    "eval": evaluate,
    "report": report,
    "trace": trace,
    "export": export,
    "coldstart": cold_start,
    "list": listing,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _read(given)
        return COMMANDS[options.command].run(options, given)
    except ValueError as error:
        return ended("error", error, 2)
    except ImportError as error:
        return ended("error", lacking(error, _NEEDS), 2)
    except (FloatingPointError, Stopped) as error:
        return ended("stopped", error, 1)
    except KeyboardInterrupt as stopped:
        by, number = (str(stopped), signal.SIGTERM) if stopped.args else ("Ctrl-C", signal.SIGINT)
        print(f"stopped by {by}", file=sys.stderr)
        return 128 + number
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # nobody reads on: keep the interpreter's exit quiet
        return 128 + signal.SIGPIPE


_NEEDS = "this command needs the extra train, pip install -e '.[train]', or make setup-train."


def _read(given: Sequence[str]) -> argparse.Namespace:
    """The line's options. Raises ValueError for what cannot be read."""
    parser = Parser("python -m algorithms.run", description="Train and evaluate agents.", allow_abbrev=False)
    places = parser.add_subparsers(dest="command", metavar="command")
    parsers = {}
    for name, command in COMMANDS.items():
        parsers[name] = places.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.options(parsers[name])
    if not given:
        raise ValueError(f"Say what to do: {', '.join(COMMANDS)}; see {parser.prog} --help.")
    if given[0] not in COMMANDS and not given[0].startswith("-"):
        raise ValueError(
            f"There is no command {given[0]!r}{did_you_mean(given[0], COMMANDS)} There are {', '.join(COMMANDS)}."
        )
    options, unread = parser.parse_known_args(given)
    if unread:
        if options.command is None or not unread[0].startswith("-"):
            raise ValueError(f"{unread[0]!r} is more than {options.command or parser.prog} takes; see --help.")
        known = [name for action in parsers[options.command]._actions for name in action.option_strings]
        option = unread[0].partition("=")[0]
        hint = did_you_mean(option, known)
        raise ValueError(f"{options.command} has no option {option}{hint} See {parsers[options.command].prog} --help.")
    return options


if __name__ == "__main__":
    sys.exit(main())
