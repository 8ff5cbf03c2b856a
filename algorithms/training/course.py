"""The course of a run, taken up wherever its directory stands: start, before, training, after.

    directory = RunDirectory.create("runs/mine", config, command)
    with directory.locked():
        take_course(directory, say=print)

Killed at any moment and called again, it ends with the metrics, evaluations (timings aside) and weights of a run that
was not: what was written after the newest checkpoint is forgotten and done again.

Left out: what a command prints around it (`algorithms.commands`).
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from safetensors import SafetensorError

from algorithms.report.summary import percent
from algorithms.training.config import RunConfig
from algorithms.training.evaluation import in_words
from algorithms.training.run_directory import RunDirectory
from algorithms.training.tiny_start import Say, loaded_policy, starting_policy
from algorithms.training.trainer import Trainer

_NO_ROOM = 1_000_000  # bytes: with less, what could not be written is put down to the full disk
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


class NotWritten(Exception):
    """Files of a run can no longer be written. What was whole before is whole still."""


def take_course(directory: RunDirectory, say: Say) -> None:
    """Do what the run still lacks, which may be nothing. The caller holds the directory's lock.

    Raises:
        ValueError: there is no such model, no run, or no checkpoint that is whole. NotWritten: the disk is full.
    """
    trainer = _taken_up(directory, say)
    try:
        with _writing(directory):
            _go(trainer, directory, say)
    except NotWritten:
        raise
    except BaseException:  # stopped or crashed: the last whole step may not have been due for a checkpoint yet
        with _writing(directory):
            trainer.save()
        raise
    finally:
        trainer.close()


def _taken_up(directory: RunDirectory, say: Say) -> Trainer:
    """A trainer that stands where the directory does."""
    config = directory.config()
    newest = directory.checkpoints.newest(say)
    with _writing(directory):
        directory.rewind(-1 if newest is None else newest.step)
    if newest is None:
        return Trainer(config, starting_policy(config, say), directory, say)
    say(f"going on after step {newest.step}, from {newest.folder}")
    for words in _unlike(directory, config):
        say(f"WARNING  {words}: figures may differ from those of a run that was not stopped")
    trainer = Trainer(config, loaded_policy(replace(config, model=str(newest.folder)), say), directory, say)
    trainer.load_state(newest.state())
    return trainer


def _unlike(directory: RunDirectory, config: RunConfig) -> list[str]:
    """What makes the rest of the run unlike its beginning."""
    there = len(os.sched_getaffinity(0))
    few = [f"the run has {config.threads} threads, this machine {there} cores"] if there < config.threads else []
    return [*few, *directory.differences()]


def _go(trainer: Trainer, directory: RunDirectory, say: Say) -> None:
    if directory.evaluation("before") is None:
        say(f"before   {_before(trainer, directory)}")
    trainer.save_if_due()
    trainer.train()
    trainer.save()
    if directory.evaluation("after", trainer.done) is None:
        say(f"after    {in_words(trainer.evaluate('after'))}")


def _before(trainer: Trainer, directory: RunDirectory) -> str:
    """Evaluate before training, or take what another run of the same start measured; in words."""
    given = directory.given_before()
    if given is None:
        return in_words(trainer.evaluate("before"))
    directory.append("eval.jsonl", given)
    means = ", ".join(f"{kind} {percent(given[kind]['mean'])} %" for kind in ("greedy", "sampled") if kind in given)
    return f"{means}: as {given['taken_from']}, which has the same start, measured it"


@contextmanager
def _writing(directory: RunDirectory) -> Iterator[None]:
    """Say in a sentence that the disk is full, or can no longer be written."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        number = error.errno if isinstance(error, OSError) else None
        full = number is None and shutil.disk_usage(directory.path).free < _NO_ROOM  # torch and safetensors give none
        if not full and number not in _DISK:
            raise
        reason = os.strerror(number or errno.ENOSPC)
        kept = directory.checkpoints.all()
        raise NotWritten(
            f"{getattr(error, 'filename', None) or directory.path} cannot be written ({reason}): "
            + (f"the run is kept as it was after step {kept[0].step}" if kept else "the run has no checkpoint yet")
            + "; make room, then resume it."
        ) from error
