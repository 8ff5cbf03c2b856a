"""What the command does: from its options to episodes, lines for a person, and a line of results.jsonl.

    options = parser().parse_args(["react", "--policy", "tiny"])        # baselines.agents.options
    code = run(options)

A user's mistake is a ValueError of one sentence.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aepo_env.files import write_whole
from aepo_env.stored import to_plain
from algorithms.commands.configuration import add_options, configuration, read_file
from algorithms.commands.lines import say
from algorithms.policy.sampling import Sampling
from algorithms.rollout.inputs import TokenLimits
from algorithms.training.config import RunConfig
from algorithms.training.questions import make_environment
from algorithms.training.run_directory import RunDirectory
from algorithms.training.tiny_start import loaded_policy
from baselines.agents.episodes import Played, play_all
from baselines.agents.known import known_agent, maker
from baselines.agents.local import LocalBackend
from baselines.agents.results import append, in_words, record_of, scores_of
from baselines.agents.server import ServerBackend
from baselines.agents.writer import Backend

_OF_THE_LINE = ("env", "preset", "corpus", "tasks", "tools", "reward", "seed", "device", "threads")
_TURN, _TOTAL = 1_024, 8_192  # tokens, for models that are neither tiny nor of a run


def run(options: argparse.Namespace) -> int:
    """Let the agent play, print and write what came of it; the exit code."""
    known = known_agent(options.agent)
    config, is_run = _configuration(options)
    learned = _learned(options, config.model == "tiny" or is_run)
    env = make_environment(config.environment, options.split)
    backend: Backend | None = None
    try:
        tasks = env.unwrapped.tasks[: options.questions]
        make = maker(options.agent, learned=learned, seed=config.seed)
        if known.writes:
            backend = _backend(options, config)
        name = options.agent if backend is None else f"{options.agent} with {backend.label}"
        drawn = f", {_drawn(options)}" if known.writes else ""
        say(f"{name} on {config.environment.name}, {options.split}: {len(tasks)} questions{drawn}")
        if known.instructed and config.model == "tiny" and not options.server:
            say("the tiny model follows no instructions, which this agent works by: expect nothing of it")
        append(Path(options.results))
        began = time.perf_counter()
        played = play_all(
            env, tasks, make, backend,
            samples=options.samples, seed=config.seed, say=say,
            at_once=options.at_once or (8 if options.server else 64),
        )  # fmt: skip
        seconds = time.perf_counter() - began
    finally:
        if backend is not None:
            backend.close()
        env.close()
    about = {
        "agent": options.agent,
        "model": None if backend is None else backend.label,
        "prompt": "environment" if learned else "own",
        "environment": {"name": config.environment.name, **config.environment.arguments},
        "split": options.split,
        "seed": config.seed,
        "samples": options.samples,
        "temperature": options.temperature,
    }
    _tell(options, played, about, seconds)
    return 0


def _tell(options: argparse.Namespace, played: Sequence[Played], about: dict[str, Any], seconds: float) -> None:
    """Print and write."""
    scores = scores_of(played, options.samples)
    if options.verbose:
        say(played[0].task.question + "\n" + played[0].episode.response())
    for line in in_words(played, scores):
        say(line)
    say(f"{seconds:.1f} s")
    if options.episodes:
        _write_episodes(Path(options.episodes), played)
    append(Path(options.results), json.dumps(record_of(played, scores, about, seconds)) + "\n")
    say(f"added to {options.results}")


def _write_episodes(file: Path, played: Sequence[Played]) -> None:
    """Every episode, a line each."""
    try:
        write_whole(file, "".join(json.dumps(to_plain(one.episode)) + "\n" for one in played))
    except OSError as error:
        raise ValueError(f"{file} cannot be written ({error.strerror}): choose another --episodes.") from error


def _configuration(options: argparse.Namespace) -> tuple[RunConfig, bool]:
    """Environment, model and limits; and whether the policy is a run's."""
    reader = argparse.ArgumentParser()
    add_options(reader)
    given = reader.parse_args([])
    for name in _OF_THE_LINE:
        setattr(given, name, getattr(options, name))
    given.command, given.config = "grpo", options.config  # any algorithm: nothing of it is used
    is_run = bool(options.policy) and (Path(options.policy) / "config.yaml").is_file()
    if not is_run:
        given.model = options.policy
        return configuration(given, read_file(options.config)), False
    if options.config is not None or options.preset is not None:
        raise ValueError(f"{options.policy} is a run, which has its configuration: leave --config and --preset out.")
    directory = RunDirectory(options.policy)
    found = directory.config()
    given.command, given.config, given.variant = found.algorithm, options.policy, found.variant
    config = configuration(given, found.to_plain())
    return replace(config, model=str(directory.latest_policy(say))), True


def _learned(options: argparse.Namespace, knows: bool) -> bool:
    """Whether the agent gives the environment's messages instead of instructions."""
    if options.prompt is None:
        return knows and not options.server
    if options.server and options.prompt == "environment" and options.agent != "react":
        raise ValueError(
            f"--prompt environment begins the turns of {options.agent}, which no server goes on with: take own."
        )
    return bool(options.prompt == "environment")


def _backend(options: argparse.Namespace, config: RunConfig) -> Backend:
    """What the agent writes with."""
    knows = config.model == "tiny" or (Path(options.policy or "") / "config.yaml").is_file()
    turn = options.turn_tokens or (config.turn_tokens if knows else max(config.turn_tokens, _TURN))
    total = options.total_tokens or (config.total_tokens if knows else max(config.total_tokens, _TOTAL))
    if options.server:
        key = os.environ.get(options.key_variable) or None
        server = ServerBackend(
            options.server, options.served_model, key=key,
            turn_tokens=options.turn_tokens or max(config.turn_tokens, _TURN),
            temperature=options.temperature, top_p=options.top_p,
        )  # fmt: skip
        server.check()
        return server
    policy = loaded_policy(config, say)
    sampling = Sampling(temperature=options.temperature, top_p=options.top_p)
    return LocalBackend(policy, TokenLimits(turn, total), sampling, seed=config.seed, label=options.policy)


def _drawn(options: argparse.Namespace) -> str:
    """How texts are drawn, in words."""
    one = "greedy" if options.temperature == 0 else f"temperature {options.temperature:g}"
    return one if options.samples == 1 else f"{options.samples} samples each, {one}"
