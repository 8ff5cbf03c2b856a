"""aepo, arpo, grpo: train an agent: cold start, before, reinforcement learning, after.

    python -m algorithms.run aepo --env web --set rollout.rule.penalty=0 --seed 1

`options.command` names the algorithm.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from algorithms.commands import report
from algorithms.commands.configuration import add_options, configuration, named, read_file
from algorithms.commands.lines import STARTED, again, command, in_words, say

if TYPE_CHECKING:
    from algorithms.training.config import RunConfig

HELP = "train an agent with this algorithm"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the algorithm's name."""
    add_options(parser)
    around = parser.add_argument_group("around the run")
    around.add_argument("--run-dir", help="where results go (default: runs/ALGORITHM-ENV-seedN)")
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
    config = _checked(config)
    if options.dry_run:
        return _dry_run(config)
    return _train(config, options, where, line)


def _checked(config: "RunConfig") -> "RunConfig":
    """The configuration with its device resolved. Mistakes are found here, before anything is made."""
    from algorithms.policy.loading import resolved_device
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
    return config


def _dry_run(config: "RunConfig") -> int:
    import yaml

    from algorithms.settings import settings_of
    from algorithms.training.estimate import estimate
    from algorithms.training.trainer import algorithm_of

    settings = settings_of(algorithm_of(config))
    listed = {name: value for name, value in settings.items() if name not in ("name", "paper", "summary")}
    say(yaml.safe_dump({**config.to_plain(), "settings": listed}, sort_keys=False).rstrip())
    for line in estimate(config, settings["rollout.budget"], settings["updates"], settings["epochs"]):
        _aside(line)
    return 0


def _aside(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _train(config: "RunConfig", options: argparse.Namespace, where: str, line: Sequence[str]) -> int:
    from algorithms.training.profiling import profiled
    from algorithms.training.run_directory import RunDirectory
    from algorithms.training.tiny_start import starting_policy
    from algorithms.training.tracking import tracked
    from algorithms.training.trainer import Trainer

    directory = RunDirectory.create(where, config, shlex.join(["python", "-m", "algorithms.run", *line]))
    try:
        policy = starting_policy(config, say)
    except BaseException:
        directory.discard()
        raise
    trainer = Trainer(config, policy, directory, say)
    with tracked(directory, config, say), profiled(directory, say) if options.profile else nullcontext():
        try:
            before = trainer.evaluate("before")
            say(f"before   {in_words(before)}")
            trained = time.perf_counter()
            try:
                trainer.train()
            except (KeyboardInterrupt, FloatingPointError):
                kept = directory.save_policy(policy, trainer.done)
                say(f"the policy as it stands after step {trainer.done} is in {kept}")
                raise
            seconds = time.perf_counter() - trained
            saved = directory.save_policy(policy, trainer.done)
            after = trainer.evaluate("after")
            say(f"after    {in_words(after)}")
        finally:
            trainer.close()
    _closing(config, before, after, where, saved, seconds)
    report.closing(Path(where))
    say("go on with")
    say(f"  {command(['eval', where])}")
    say(f"  {command(again(line, seed=config.seed + 1))}")
    say(f"  {command(again(line, algorithm='aepo' if options.command == 'grpo' else 'grpo'))}")
    return 0


def _free(folder: str) -> str:
    """The folder, or with a number behind it the first that holds no run."""
    number, free = 1, folder
    while (Path(free) / "config.yaml").exists():
        number += 1
        free = f"{folder}-{number}"
    return free


def _closing(config: Any, before: Any, after: Any, where: str, saved: Any, seconds: float) -> None:
    from algorithms.training.evaluation import paired_gain

    say("")
    evaluation = config.evaluation
    rows = [("greedy", before.greedy, after.greedy)]
    if before.sampled is not None and after.sampled is not None:
        rows.append((f"pass@1 at temperature {evaluation.temperature:g}", before.sampled, after.sampled))
    for name, first, second in rows:
        gain = paired_gain(first, second)
        say(
            f"{name}: {100 * first.mean:.1f} % before, {100 * second.mean:.1f} % after training: "
            f"{100 * gain.mean:+.1f} points (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}, "
            f"{evaluation.questions} unseen questions)"
        )
    total = time.perf_counter() - STARTED
    say(f"training took {seconds / 60:.1f} minutes, everything {total / 60:.1f}; results are in {where}")
    say(f"  metrics      {where}/metrics.jsonl, eval.jsonl; the first batch in words: {where}/first_batch.txt")
    say(f"  the policy   {saved} (Hugging Face format)")
