"""Checkpoints: what a run goes on from, whole or not at all.

    checkpoints = Checkpoints("runs/mine/checkpoints")
    checkpoints.save(policy, trainer.state(), step=12)         # runs/mine/checkpoints/step_000012/
    newest = checkpoints.newest(say)                           # the newest whose checksums hold; it says what was wrong
    policy, state = load_policy(newest.folder), newest.state()

A checkpoint is a folder: the policy in Hugging Face format, `trainer.pt` (the trainer's state, the optimiser's in it)
and `SHA256SUMS`, as `sha256sum -c` reads it. It is written aside, forced to the disk and renamed, so that neither a
killed process nor a power failure leaves half of one; should the disk spoil one, the one before it is still there.

Left out: when to save (`Trainer`), and what else is in a run's folder (`RunDirectory`).
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from aepo_env.files import SUMS, digest, write_sums
from algorithms.policy.loading import Policy

KEPT = 2
STATE = "trainer.pt"

_NAME = re.compile(r"step_(\d+)")


class Checkpoint(NamedTuple):
    """step: how many were done."""

    step: int
    folder: Path

    def state(self) -> dict[str, Any]:
        """What `Checkpoints.save` was given."""
        state: dict[str, Any] = torch.load(self.folder / STATE, map_location="cpu", weights_only=True)
        return state


class Checkpoints:
    """The checkpoints of one run, in a folder that need not exist yet."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def save(self, policy: Policy, state: Mapping[str, Any], step: int, beside: Iterable[Path] = ()) -> Path:
        """Write a checkpoint and remove all but the newest `KEPT`; its folder.

        beside: files that it speaks of and that must be as safe when it is there. Raises OSError, or what torch and
        safetensors make of one; the checkpoints before are then untouched.
        """
        self.folder.mkdir(exist_ok=True)
        folder = self.folder / f"step_{step:06d}"
        aside = self.folder / f".{folder.name}.new"
        _remove(aside)
        try:
            aside.mkdir()
            policy.save(aside)
            torch.save(dict(state), aside / STATE)
            files = write_sums(aside)
            for file in files:  # safetensors lets nobody else read what it writes
                file.chmod((aside / SUMS).stat().st_mode)
            to_disk([*files, aside / SUMS, *beside])
            to_disk([aside])
            _remove(folder)
            aside.rename(folder)
            to_disk([self.folder])
        finally:
            _remove(aside)
        for old in self.all()[KEPT:]:
            self.forget(old)
        return folder

    def all(self) -> list[Checkpoint]:
        """Newest first, looked at by their names alone."""
        found = [(_NAME.fullmatch(entry.name), entry) for entry in self.folder.glob("step_*")]
        return sorted((Checkpoint(int(name[1]), entry) for name, entry in found if name), reverse=True)

    def newest(self, say: Callable[[str], None], *, policy_only: bool = False) -> Checkpoint | None:
        """The newest that is as it was written; None where there is none at all.

        Args:
            say: hears of every damaged one that is passed over.
            policy_only: look at the policy's files alone.

        Raises:
            ValueError: all are damaged.
        """
        there = self.all()
        for one in there:
            fault = damage(one.folder, ignored=(STATE,) if policy_only else ())
            if fault is None:
                return one
            say(f"WARNING  the checkpoint {one.folder} is damaged ({fault}) and passed over")
        if there:
            raise ValueError(
                f"No checkpoint in {self.folder} is as it was written: put one back from a copy, or remove the folder "
                "to begin that run again."
            )
        return None

    def forget(self, one: Checkpoint) -> None:
        """Remove a checkpoint; killed meanwhile, it is gone all the same."""
        gone = self.folder / f".{one.folder.name}.old"
        _remove(gone)
        one.folder.rename(gone)
        _remove(gone)

    def rewind(self, step: int) -> None:
        """Remove those after `step`, and what a killed process left half-written or half-removed."""
        for one in self.all():
            if one.step > step:
                self.forget(one)
        for left in self.folder.glob(".step_*"):
            _remove(left)


def damage(folder: Path, ignored: Iterable[str] = ()) -> str | None:
    """What is wrong with a checkpoint's folder, in a few words; None if nothing is."""
    try:
        lines = (folder / SUMS).read_text("utf-8").splitlines()
        for line in lines:
            expected, name = line.split("  ", 1)
            if name not in ignored and digest(folder / name) != expected:
                return f"{name} has changed"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError) as error:
        return f"{error}"
    return None if lines else f"{SUMS} is empty"


def to_disk(paths: Iterable[Path]) -> None:
    """Wait until files, or the names in a folder, would outlive a power failure. At once for all: they share a wait."""

    def wait(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(max_workers=8) as threads:
        list(threads.map(wait, paths))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
