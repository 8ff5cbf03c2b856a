"""resume: go on with a run that was stopped, killed or crashed, as if it had not been.

python -m algorithms.run resume runs/aepo-web-seed0
python -m algorithms.run resume runs/aepo-web-seed0 --steps 200
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from algorithms.commands.going import closing, go_on
from algorithms.commands.lines import say, whole, without

if TYPE_CHECKING:
    from algorithms.training.run_directory import RunDirectory

HELP = "go on with a run that was stopped or killed, as if it had not been"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("run", help="a run's directory")
    parser.add_argument("--steps", type=whole, help="rollout batches in all, to make the run longer")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Go on; the exit code."""
    from algorithms.training.run_directory import RunDirectory

    directory = RunDirectory(options.run)
    config = directory.config()
    steps = config.steps if options.steps is None else options.steps
    say(f"aepo: {config.algorithm} on {config.environment.name}, seed {config.seed}; the run in {directory.path}")
    if steps != config.steps:
        _lengthen(directory, steps)
    elif directory.is_finished():
        say(f"it is finished: all its {steps} steps are taken and its last policy is evaluated")
        closing(directory)
        return 0
    return go_on(directory)


def _lengthen(directory: "RunDirectory", steps: int) -> None:
    """Change the number of steps, where the steps that were taken would have been the same."""
    config = directory.config()
    if config.cooldown:
        raise ValueError(
            f"The learning rate of this run falls over the last {100 * config.cooldown:.0f} % of its {config.steps} "
            f"steps, so that with {steps} its steps would have been others: begin a new run, with --model "
            f"{directory.latest_policy(say)} if it shall start from this one's policy."
        )
    with directory.locked():
        taken = next((one.step for one in directory.checkpoints.all()), 0)
        if steps < taken:
            raise ValueError(f"The run has taken {taken} steps already; got --steps {steps}.")
        directory.change_line([*without(directory.line(), "--steps"), "--steps", str(steps)])
        directory.change_config(replace(config, steps=steps))
