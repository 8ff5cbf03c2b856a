"""The package's own commands.

python -m aepo_env doctor                 # what works on this machine, and what to do about the rest
python -m aepo_env play --env web         # a person plays an episode in the terminal
python -m aepo_env play --env web --oracle    # watch the scripted oracle play one
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when all is well, 1 when something does not work, 2 for a mistake in the command."""
    parser = argparse.ArgumentParser(prog="python -m aepo_env", description="Commands of the aepo environments.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="check what works on this machine, and say what to do about the rest")
    player = commands.add_parser("play", help="play an episode in the terminal")
    player.add_argument("--env", default="web", choices=("web", "search", "code"), help="which environment")
    player.add_argument("--corpus", default=None, help='"generated", "factbook" or a folder (web and search)')
    player.add_argument("--split", default=None, help="train, dev or test")
    player.add_argument("--difficulty", default=None, help="tiny, easy, medium or hard")
    player.add_argument("--seed", type=_seed, default=None, help="which episode; drawn if not given")
    player.add_argument("--oracle", action="store_true", help="let the scripted oracle play")
    given = parser.parse_args(arguments)
    if given.command == "play" and given.env == "code" and given.corpus is not None:
        player.error("argument --corpus: code puzzles have no pages; leave it out, or take --env web")
    try:
        code = _doctor() if given.command == "doctor" else _play(given)
        sys.stdout.flush()  # what cannot be written must be noticed here, not by Python on its way out
    except OSError as error:  # a disk is full, or whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains again when it writes out the rest
        if not isinstance(error, BrokenPipeError):
            print(f"error: {error}", file=sys.stderr)
        return 1
    return code


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 on, got {text!r}")
    return int(text)


def _doctor() -> int:
    from aepo_env.doctor import report

    return report()


def _play(given: argparse.Namespace) -> int:
    import gymnasium

    from aepo_env.search.store import CorpusError
    from aepo_env.terminal import play_in_terminal

    settings: dict[str, Any] = {
        name: value for name in ("corpus", "split", "difficulty") if (value := getattr(given, name)) is not None
    }
    logging.basicConfig(format="%(message)s")
    logging.getLogger("aepo_env").setLevel(logging.INFO)  # so that nobody waits for an index without a word
    env = None
    try:
        env = gymnasium.make(f"aepo_env/{given.env.capitalize()}-v0", **settings)
        play_in_terminal(env, seed=given.seed, oracle=given.oracle)
    except (ValueError, ImportError, CorpusError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, EOFError):
        print("\nStopped.")
    finally:
        if env is not None:
            env.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
