"""aepo, arpo, grpo: train an agent: cold start, before, reinforcement learning, after.

    python -m algorithms.run aepo --env web --set rollout.rule.penalty=0 --seed 1

`options.command` names the algorithm.
"""

import argparse
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from algorithms.commands.lines import STARTED, again, command, in_words, say

HELP = "train an agent with this algorithm"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the algorithm's name."""
    parser.add_argument("--env", default="web", help="web, search or code (default: web)")
    parser.add_argument("--preset", default="default", help="smoke, default or paper (default: default)")
    parser.add_argument("--variant", default="paper", help="paper (every published part on) or official (as shipped)")
    parser.add_argument("--model", help="tiny, a folder, or a Hugging Face name (default: the preset's)")
    parser.add_argument("--reward", help="a name in aepo_env.rewards (default: the preset's)")
    parser.add_argument("--seed", type=int, default=0, help="of the run (default: 0)")
    parser.add_argument("--steps", type=int, help="rollout batches")
    parser.add_argument("--questions", type=int, help="a rollout batch")
    parser.add_argument("--budget", type=int, help="trajectories a question")
    parser.add_argument("--updates", type=int, help="optimiser steps a rollout batch")
    parser.add_argument("--lr", type=float, help="learning rate")
    parser.add_argument("--temperature", type=float, help="of sampling while training")
    parser.add_argument("--eval-every", type=int, help="steps between greedy evaluations while training")
    parser.add_argument("--eval-questions", type=int, help="questions of the dev split")
    parser.add_argument("--threads", type=int, help="of torch; 0: one a core")
    parser.add_argument("--run-dir", help="where results go (default: runs/ALGORITHM-ENV-seedN)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the algorithm, e.g. loss.high=0.28",
    )
    parser.add_argument("--shuffled-rewards", action="store_true", help="a control that must not learn")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Train from the beginning; the exit code."""
    given = shlex.join(["python", "-m", "algorithms.run", *line])
    where = options.run_dir or f"runs/{options.command}-{options.env}-seed{options.seed}"
    where = where if options.run_dir else _free(where)
    say(f"aepo: {options.command} on {options.env}, seed {options.seed}; results go to {where}")
    config = _config(options)
    from algorithms.training.questions import make_environment
    from algorithms.training.run_directory import RunDirectory
    from algorithms.training.tiny_start import starting_policy
    from algorithms.training.trainer import Trainer, algorithm_of

    algorithm_of(config)  # mistakes in settings, before anything is made
    make_environment(config.environment, "dev").close()
    directory = RunDirectory.create(where, config, given)
    try:
        policy = starting_policy(config, say)
    except BaseException:
        directory.discard()
        raise
    trainer = Trainer(config, policy, directory, say)
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
    say("go on with")
    say(f"  {command(['eval', where])}")
    say(f"  {command(again(line, seed=options.seed + 1))}")
    say(f"  {command(again(line, algorithm='aepo' if options.command == 'grpo' else 'grpo'))}")
    return 0


def _config(options: argparse.Namespace) -> Any:
    """The run's configuration from the preset and the line."""
    from algorithms.training.config import preset

    config = preset(options.preset, options.env)
    settings = dict(config.settings)
    if options.variant == "official":  # as shipped: of the preset's settings only the size of the budget counts
        settings = {name: value for name, value in settings.items() if name == "rollout.budget"}
    for given in options.set:
        name, equals, value = given.partition("=")
        if not equals:
            raise ValueError(f"--set wants NAME=VALUE; got {given!r}.")
        settings[name] = value
    for option, name in (("budget", "rollout.budget"), ("updates", "updates")):
        if (value := getattr(options, option)) is not None:
            settings[name] = value
    changes = {name: getattr(options, name) for name in ("model", "steps", "questions", "temperature", "threads")}
    config = replace(
        config,
        algorithm=options.command,
        variant=options.variant,
        seed=options.seed,
        settings=settings,
        shuffled_rewards=options.shuffled_rewards,
        **{name: value for name, value in changes.items() if value is not None},
    )
    if options.lr is not None:
        config = replace(config, optimiser=replace(config.optimiser, lr=options.lr))
    if options.reward is not None:
        arguments = {**config.environment.arguments, "reward": options.reward}
        config = replace(config, environment=replace(config.environment, arguments=arguments))
    evaluation = {"every": options.eval_every, "questions": options.eval_questions}
    given_evaluation = {name: value for name, value in evaluation.items() if value is not None}
    return replace(config, evaluation=replace(config.evaluation, **given_evaluation))


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
