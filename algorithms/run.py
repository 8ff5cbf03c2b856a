"""The command: train an agent, evaluate a run, make a cold start.

    python -m algorithms.run aepo --env web                     # train; also arpo, grpo
    python -m algorithms.run aepo --env web --set rollout.rule.penalty=0 --seed 1
    python -m algorithms.run eval runs/aepo-web-seed0
    python -m algorithms.run coldstart --env web

This file reads the command line; a module of `algorithms.commands` does what it says. A mistake on the line gets one
sentence and exit code 2.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol

from algorithms.commands import cold_start, evaluate, train


class Command(Protocol):
    """A module of `algorithms.commands`. Its top loads nothing heavy.

    options: adds what may follow the command's name. run: does it and returns the exit code; `options.command` is the
    command's name, `line` all words of the command line. A user's mistake is a ValueError of one sentence.
    """

    HELP: str

    def options(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace, line: Sequence[str]) -> int: ...


COMMANDS: dict[str, Command] = {
    "aepo": train,
    "arpo": train,
    "grpo": train,
    "eval": evaluate,
    "coldstart": cold_start,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(given)
        return COMMANDS[options.command].run(options, given)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # nobody reads on: keep the interpreter's exit quiet
        return 128 + signal.SIGPIPE


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, as every other."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("python -m algorithms.run", description="Train and evaluate agents.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, command in COMMANDS.items():
        command.options(commands.add_parser(name, help=command.HELP))
    return parser


if __name__ == "__main__":
    sys.exit(main())
