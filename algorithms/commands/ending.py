"""Ending: how every command here reads its line and says, in one sentence, why it ends.

    parser = Parser("python -m algorithms.run")
    except ValueError as error:
        return ended("error", error, 2)
    except ImportError as error:
        return ended("error", lacking(error, "pip install -e '.[train]'."), 2)

Loads nothing heavy.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from aepo_env.errors import MissingExtra

_OF_TRAIN = ("torch", "transformers", "tokenizers", "yaml")


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, as every other."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def ended(what: str, why: object, code: int) -> int:
    """Say in one line why a command ends; the exit code given."""
    print(f"{what}: {' '.join(str(why).split())}", file=sys.stderr)
    return code


def lacking(error: ImportError, needs: str) -> str:
    """What is not installed, and what the command `needs`. Raises the error where it is no package of an extra."""
    if isinstance(error, MissingExtra):
        return str(error)
    if error.name not in _OF_TRAIN:
        raise error
    return f"{error.name} is not installed: {needs}"


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, with the signal's name."""

    def stop(number: int, _: Any) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
