"""Starts: the evaluation before training, which runs of one start share.

    start_digest(config)                       # equal where the policy and how it is evaluated are
    record = evaluation_of_start(config, RunDirectory("runs/other"))    # of the other's eval.jsonl

It depends on the first policy, the questions, the limits and the seed alone: nothing has been trained yet, and every
draw is keyed by seed, question and sample. So of several algorithms compared from one start only the first measures it,
to the bit what the others would have measured on the same machine.
"""

import hashlib
import json
import os
from typing import Any

from algorithms.report.summary import lost
from algorithms.training.config import RunConfig
from algorithms.training.run_directory import RunDirectory

_OF_TRAINING = {
    "algorithm", "variant", "settings", "steps", "questions", "temperature", "optimiser", "cooldown", "token_budget",
    "audited", "traces", "schedule", "tool_threads", "shuffled_rewards", "log", "checkpoint_minutes",
}  # fmt: skip
"""What takes no part before training; whatever else there is, or will be, decides."""
_OF_TRAINING_WITHIN = {"environment": {"world_questions"}, "evaluation": {"every"}}


def start_digest(config: RunConfig) -> str:
    """A digest of all that decides the evaluation before training, the algorithm not among it."""
    plain = {name: value for name, value in config.to_plain().items() if name not in _OF_TRAINING}
    for section, names in _OF_TRAINING_WITHIN.items():
        plain[section] = {name: value for name, value in plain[section].items() if name not in names}
    plain["threads"] = plain["threads"] or len(os.sched_getaffinity(0))
    plain["made_here"] = start_made_here(config)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def start_made_here(config: RunConfig) -> str | None:
    """A digest of how the tiny model and its cold start are made, which no configuration says; None of other models."""
    if config.model != "tiny":
        return None
    from algorithms.training.tiny_start import start_of  # with torch and transformers

    return start_of(config.environment.name).digest()


def evaluation_of_start(config: RunConfig, other: RunDirectory) -> dict[str, Any]:
    """The other run's evaluation before training, as a record of eval.jsonl for a run with this configuration.

    Its "seconds" are 0, for nothing is spent again; "taken_from" names the run that measured it.

    Raises:
        ValueError: the other run starts otherwise or on another machine, was not evaluated yet, or while tools failed.
    """
    theirs = other.config()
    if start_digest(theirs) != start_digest(config):
        raise ValueError(
            f"The run in {other.path} begins or is evaluated otherwise (model, environment, limits, evaluation, seed, "
            "threads or device): its evaluation before training is not this one's."
        )
    if unlike := other.differences():
        raise ValueError(
            f"The run in {other.path} was made elsewhere ({unlike[0]}), where figures may differ: leave --before out."
        )
    record = other.evaluation("before")
    if record is None:
        raise ValueError(f"The run in {other.path} has not been evaluated before training yet.")
    if taken := lost(record):
        raise ValueError(
            f"Faults of tools took {taken} episodes from the evaluation before training of the run in {other.path}, "
            "which is not measured well enough to be shared: leave --before out."
        )
    return {"taken_from": other.path.resolve().name, **record, "seconds": 0.0}
