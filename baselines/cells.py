"""Cells: one contender with one seed each, which is an ordinary run in a directory of its own.

    cells = all_cells(found, seeds=3, shared=["--env", "web", "--preset", "quick"], out=Path("runs/compare"))
    cells[0].line             # the words behind `python -m algorithms.run`
    cells[0].folder           # runs/compare/cells/aepo-seed0-1f0c2a9b

A cell's identity is a digest of every setting that decides its result: the run's configuration and the algorithm's own
settings, defaults included, and how the tiny model's start is made. So whatever is changed, an old cell is never taken
for a new one. What the code itself does is not among it: after a change of the code, give another --out.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from algorithms.commands.configuration import add_options, configuration, read_file
from baselines.contenders import Contender

if TYPE_CHECKING:
    from algorithms.training.config import RunConfig

_VERSION = 1  # raise it when the same settings give another result
_NOT_DECIDING = ("settings", "traces", "log", "checkpoint_minutes")  # the algorithm's settings count resolved


class Cell(NamedTuple):
    """line: of `algorithms.run`, without the run directory. digest: of all that decides the result.

    steps: of the run. environment, model: their names. folder: where the run is or will be.
    start: a digest of what decides the evaluation before training, which cells of one start share.
    grows_more: whether it grows others in place of questions that teach nothing, about twice as many rollouts.
    """

    contender: Contender
    seed: int
    line: tuple[str, ...]
    digest: str
    steps: int
    environment: str
    model: str
    folder: Path
    start: str = ""
    grows_more: bool = False

    @property
    def name(self) -> str:
        """Its own among all cells."""
        return self.folder.name

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.contender.label}, seed {self.seed}"


def longest_first(cells: Sequence[Cell]) -> list[Cell]:
    """Seed by seed as they were, and of each seed those first that take longest: else one core waits for the last."""
    return sorted(cells, key=lambda cell: (cell.seed, not cell.grows_more))


def all_cells(found: Sequence[Contender], *, seeds: int, shared: Sequence[str], out: Path) -> list[Cell]:
    """Every contender with seeds 0 to `seeds` - 1, seed by seed, so that an early stop leaves whole comparisons.

    shared: options of `algorithms.run` for all.

    Raises:
        ValueError: what a training command would refuse of a contender's line, before anything is trained.
    """
    from algorithms.commands.train import checked
    from algorithms.training.starts import start_digest
    from algorithms.training.trainer import algorithm_of

    lines = [(*one.words, *shared) for one in found]
    configs = [_configuration(one, line) for one, line in zip(found, lines, strict=True)]
    device = checked(configs[0]).device  # the environment is the same for all
    made = []
    for seed in range(seeds):
        for one, config, words in zip(found, configs, lines, strict=True):
            config = replace(config, seed=seed, device=device)
            digest = identity(config)
            name = f"{re.sub(r'[^A-Za-z0-9+.=-]', '_', one.label)}-seed{seed}-{digest[:8]}"
            line = (*words, "--seed", str(seed))
            folder = out / "cells" / name
            names = config.environment.name, config.model
            grows_more = algorithm_of(config).filter.asks_again(0, 1, 1)
            made.append(Cell(one, seed, line, digest, config.steps, *names, folder, start_digest(config), grows_more))
    return made


def identity(config: "RunConfig") -> str:
    """The digest of all that decides a run's result."""
    from algorithms.settings import settings_of
    from algorithms.training.starts import start_made_here
    from algorithms.training.trainer import algorithm_of

    plain = {name: value for name, value in config.to_plain().items() if name not in _NOT_DECIDING}
    decides = [_VERSION, plain, settings_of(algorithm_of(config))]
    if made_here := start_made_here(config):
        decides.append(made_here)
    text = json.dumps(decides, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _configuration(one: Contender, line: Sequence[str]) -> "RunConfig":
    """What `algorithms.run` makes of the line. A mistake is told with the contender's name."""
    from algorithms.training.trainer import algorithm_of

    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_options(parser)
    options = parser.parse_args(line[1:])
    options.command = line[0]
    try:
        config = configuration(options, read_file(options.config))
        algorithm_of(config)
    except ValueError as error:
        raise ValueError(f"{one.label}: {error}") from error
    return config


def measured_start(cell: Cell, cells: Sequence[Cell]) -> Path | None:
    """A run of these cells that has measured what this one would before training, on this machine; None without one.

    One that lost episodes to faults of tools is nothing to share.
    """
    from algorithms.report.summary import lost
    from algorithms.training.run_directory import RunDirectory

    for other in cells:
        if other.start == cell.start and other.folder != cell.folder and (other.folder / "config.yaml").is_file():
            run = RunDirectory(other.folder)
            before = run.evaluation("before")
            if before is not None and not lost(before) and not run.differences():
                return other.folder
    return None
