"""aepo, arpo, grpo: train an agent: cold start, before, reinforcement learning, after.

    python -m algorithms.run aepo --env web --set rollout.rule.penalty=0 --seed 1

`options.command` names the algorithm.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from algorithms.commands.configuration import add_options, configuration, named, read_file
from algorithms.commands.going import go_on
from algorithms.commands.lines import say

if TYPE_CHECKING:
    from algorithms.training.config import RunConfig

HELP = "train an agent with this algorithm"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the algorithm's name."""
    add_options(parser)
    around = parser.add_argument_group("around the run")
    around.add_argument("--run-dir", help="where results go (default: runs/ALGORITHM-ENV-seedN)")
    around.add_argument("--before", metavar="RUN", help="take the evaluation before training from a run of equal start")
    around.add_argument("--dry-run", action="store_true", help="print the configuration and what it will take; no more")
    around.add_argument("--profile", action="store_true", help="where the time goes, printed and in profile.txt")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Train from the beginning; the exit code."""
    if options.profile and options.dry_run:
        raise ValueError("--profile looks at a run and --dry-run makes none: leave one out.")
    file = read_file(options.config)
    environment, seed = named(options, file)
    where = options.run_dir or _free(f"runs/{options.command}-{environment}-seed{seed}")
    # The configuration of a dry run goes to stdout, for other programs; what is said about it does not.
    tell = _aside if options.dry_run else say
    tell(f"aepo: {options.command} on {environment}, seed {seed}; results {'would ' * options.dry_run}go to {where}")
    config = configuration(options, file)
    if options.profile and config.steps < 2:
        raise ValueError(f"--profile looks at the second step of a run: give it 2 --steps or more, not {config.steps}.")
    config = checked(config)
    if options.dry_run:
        return _dry_run(config)
    from algorithms.training.run_directory import RunDirectory
    from algorithms.training.starts import evaluation_of_start

    before = None if options.before is None else evaluation_of_start(config, RunDirectory(options.before))
    directory = RunDirectory.create(where, config, shlex.join(["python", "-m", "algorithms.run", *line]))
    try:
        if before is not None:
            directory.give_before(before)
        return go_on(directory, profile=options.profile)
    except ValueError:
        directory.discard()
        raise


def checked(config: "RunConfig") -> "RunConfig":
    """The configuration with its device resolved. Mistakes are found here, before anything is made."""
    from algorithms.policy.loading import resolved_device
    from algorithms.policy.lora import require_peft
    from algorithms.training.demonstrations import read_transcripts
    from algorithms.training.questions import make_environment
    from algorithms.training.tiny_start import model_folder
    from algorithms.training.tracking import require_tracker
    from algorithms.training.trainer import algorithm_of

    config = replace(config, device=resolved_device(config.device))
    algorithm_of(config)
    for split in ("train", "dev"):
        make_environment(config.environment, split).close()
    if config.model != "tiny":
        model_folder(config.model)
    if config.demonstrations is not None:
        read_transcripts(config.demonstrations)
    require_tracker(config)
    require_peft(config.lora)
    return config


def _dry_run(config: "RunConfig") -> int:
    import yaml

    from algorithms.settings import settings_of
    from algorithms.training.estimate import estimate
    from algorithms.training.trainer import algorithm_of

    algorithm = algorithm_of(config)
    settings = settings_of(algorithm)
    listed = {name: value for name, value in settings.items() if name not in ("name", "paper", "summary")}
    say(yaml.safe_dump({**config.to_plain(), "settings": listed}, sort_keys=False).rstrip())
    for line in estimate(config, algorithm):
        _aside(line)
    return 0


def _aside(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _free(folder: str) -> str:
    """The folder, or with a number behind it the first that holds no run."""
    number, free = 1, folder
    while (Path(free) / "config.yaml").exists():
        number += 1
        free = f"{folder}-{number}"
    return free
