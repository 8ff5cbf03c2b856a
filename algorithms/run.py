"""The command: train an agent, evaluate a run, make a cold start.

    python -m algorithms.run aepo --env web                     # train; also arpo, grpo
    python -m algorithms.run aepo --env web --set rollout.rule.penalty=0 --seed 1
    python -m algorithms.run eval runs/aepo-web-seed0
    python -m algorithms.run cold-start --env web

This file reads the command line and says what happens; `algorithms.training` does it. A mistake on the line gets one
sentence and exit code 2.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

_STARTED = time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    try:
        done: int = options.action(options, given)
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
    return done


def say(text: str) -> None:
    """Print a line at once, however the output is buffered."""
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m algorithms.run", description="Train and evaluate agents.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name in ("aepo", "arpo", "grpo"):
        train = commands.add_parser(name, help=f"train with {name.upper()}")
        train.set_defaults(action=_train, algorithm=name)
        _training_options(train)
    evaluation = commands.add_parser("eval", help="success of a run's newest policy on unseen questions")
    evaluation.set_defaults(action=_evaluate)
    evaluation.add_argument("run", help="a run's directory")
    cold = commands.add_parser("cold-start", help="make the tiny model's cold start, or say where it is")
    cold.set_defaults(action=_cold_start)
    cold.add_argument("--env", default="web", help="web, search or code (default: web)")
    cold.add_argument("--threads", type=int, default=0, help="of torch; 0: one a core")
    return parser


def _training_options(parser: argparse.ArgumentParser) -> None:
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
        algorithm=options.algorithm,
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


def _train(options: argparse.Namespace, line: Sequence[str]) -> int:
    command = shlex.join(["python", "-m", "algorithms.run", *line])
    where = options.run_dir or f"runs/{options.algorithm}-{options.env}-seed{options.seed}"
    where = where if options.run_dir else _free(where)
    say(f"aepo: {options.algorithm} on {options.env}, seed {options.seed}; results go to {where}")
    config = _config(options)
    from algorithms.training.questions import make_environment
    from algorithms.training.run_directory import RunDirectory
    from algorithms.training.tiny_start import starting_policy
    from algorithms.training.trainer import Trainer, algorithm_of

    algorithm_of(config)  # mistakes in settings, before anything is made
    make_environment(config.environment, "dev").close()
    directory = RunDirectory.create(where, config, command)
    try:
        policy = starting_policy(config, say)
    except BaseException:
        directory.discard()
        raise
    trainer = Trainer(config, policy, directory, say)
    try:
        before = trainer.evaluate("before")
        say(f"before   {_words(before)}")
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
        say(f"after    {_words(after)}")
    finally:
        trainer.close()
    _closing(config, before, after, where, saved, seconds)
    say("go on with")
    say(f"  {_command(['eval', where])}")
    say(f"  {_command(_again(line, seed=options.seed + 1))}")
    say(f"  {_command(_again(line, algorithm='aepo' if options.algorithm == 'grpo' else 'grpo'))}")
    return 0


def _command(line: Sequence[str]) -> str:
    """A line to type in the folder the command was given in: with the Python that ran it."""
    python = sys.executable
    if Path(python).is_relative_to(Path.cwd()):
        python = str(Path(python).relative_to(Path.cwd()))
    return shlex.join([python, "-m", "algorithms.run", *line])


def _again(line: Sequence[str], *, algorithm: str | None = None, seed: int | None = None) -> list[str]:
    """The given line with another algorithm or seed, in a run directory of its own."""
    kept, changed = [], ("--run-dir",) if seed is None else ("--run-dir", "--seed")
    words = iter(line[1:])
    for word in words:
        if word in changed:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in changed)):
            kept.append(word)
    return [algorithm or line[0], *kept, *([] if seed is None else ["--seed", str(seed)])]


def _free(folder: str) -> str:
    """The folder, or with a number behind it the first that holds no run."""
    number, free = 1, folder
    while (Path(free) / "config.yaml").exists():
        number += 1
        free = f"{folder}-{number}"
    return free


def _words(found: Any) -> str:
    mean, low, high = found.greedy.interval()
    text = f"greedy {100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    if found.sampled is not None:
        mean, low, high = found.sampled.interval()
        text += f", pass@1 sampled {100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    families = (found.sampled or found.greedy).by_family()
    return f"{text}; " + ", ".join(f"{name.rpartition('/')[2]} {100 * score:.0f}" for name, score in families.items())


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
    total = time.perf_counter() - _STARTED
    say(f"training took {seconds / 60:.1f} minutes, everything {total / 60:.1f}; results are in {where}")
    say(f"  metrics      {where}/metrics.jsonl, eval.jsonl; the first batch in words: {where}/first_batch.txt")
    say(f"  the policy   {saved} (Hugging Face format)")


def _evaluate(options: argparse.Namespace, line: Sequence[str]) -> int:
    from algorithms.training.run_directory import RunDirectory

    directory = RunDirectory(options.run)
    config = replace(directory.config(), model=str(directory.latest_policy()))
    say(f"evaluating {config.model} on {config.evaluation.questions} questions")
    from algorithms.training.tiny_start import starting_policy
    from algorithms.training.trainer import Trainer

    trainer = Trainer(config, starting_policy(config, say), None, say)
    try:
        found = trainer.evaluate("eval")
    finally:
        trainer.close()
    say(_words(found))
    say(json.dumps({name: part["mean"] for name, part in found.to_plain().items()}))
    return 0


def _cold_start(options: argparse.Namespace, line: Sequence[str]) -> int:
    from algorithms.training.config import preset
    from algorithms.training.tiny_start import starting_policy

    config = replace(preset("default", options.env), threads=options.threads)
    starting_policy(config, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
