"""eval: success of a run's newest policy on unseen questions.

python -m algorithms.run eval runs/aepo-web-seed0
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from algorithms.commands.lines import Stopped, say

HELP = "success of a run's newest policy on unseen questions"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("run", help="a run's directory")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto, a GPU where there is one)")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Evaluate and print; the exit code."""
    from algorithms.rollout.faults import ToolsFailed
    from algorithms.rollout.inputs import TokenLimits
    from algorithms.training.evaluation import evaluate, in_words
    from algorithms.training.questions import make_environment
    from algorithms.training.run_directory import RunDirectory

    directory = RunDirectory(options.run)
    config = replace(directory.config(), model=str(directory.latest_policy(say)), device=options.device)
    say(f"evaluating {config.model} on {config.evaluation.questions} questions")
    from algorithms.training.tiny_start import loaded_policy

    policy = loaded_policy(config, say)
    env = make_environment(config.environment, "dev")
    limits = TokenLimits(config.turn_tokens, config.total_tokens)
    try:
        tasks = env.unwrapped.tasks[: config.evaluation.questions]
        found = evaluate(policy, env, tasks, config.evaluation, limits, seed=config.seed, say=say)
    except ToolsFailed as error:
        raise Stopped(str(error)) from error
    finally:
        env.close()
    say(in_words(found))
    say(json.dumps({name: part["mean"] for name, part in found.to_plain().items()}))
    return 0
