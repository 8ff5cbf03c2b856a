"""What a model learns from a file of demonstrations before its run: `--demonstrations FILE`.

    policy = demonstrated_policy(config, say)        # config.demonstrations names the file

The tiny model is made from nothing on them, tokenizer included, and kept in the cache folder. A pre-trained one is
trained on them gently (`PRETRAINED`) and kept with the run's checkpoints alone.
"""

import itertools
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from algorithms.policy.loading import Policy, resolved_device
from algorithms.training.cold_start import ColdStart, ColdStartSettings, of_like_length
from algorithms.training.config import RunConfig
from algorithms.training.demonstrations import Transcript, encoded, read_transcripts
from algorithms.training.tiny_start import Say, loaded_policy, tiny_start

EPOCHS = 3
"""How often a pre-trained model sees each demonstration, as in the cold start of the ARPO and AEPO papers."""

PRETRAINED = ColdStartSettings(tokens=4_096, learning_rate=2e-5, cooldown=0.9, weight_decay=0.0, observation_weight=0.0)
"""For a model that can read already: small steps, and no loss on what pages say. steps and warmup follow the file."""


def demonstrated_policy(config: RunConfig, say: Say) -> Policy:
    """The policy after learning from the run's demonstrations. Raises ValueError for a mistake in the file."""
    assert config.demonstrations is not None
    shown = read_transcripts(config.demonstrations)
    if config.model == "tiny":
        policy = tiny_start(config.environment.name, say=say, shown=shown)
        return Policy(policy.model.to(resolved_device(config.device)), policy.tokenizer)
    policy = loaded_policy(config, say)
    learn(policy, shown, say)
    return policy


def learn(
    policy: Policy,
    shown: Sequence[Transcript],
    say: Say,
    settings: ColdStartSettings = PRETRAINED,
    *,
    epochs: int = EPOCHS,
    log: Path | None = None,
) -> None:
    """Train a pre-trained policy on transcripts, in place: `epochs` times each.

    log: a file that gets a line a step.
    """
    rows = [encoded(one, policy.codec, observation_weight=settings.observation_weight) for one in shown]
    longest, positions = max(len(row.tokens) for row in rows), policy.model.config.max_position_embeddings
    if longest > positions:
        raise ValueError(f"A demonstration has {longest} tokens and the model reads {positions}: leave it out.")
    steps = epochs * len(of_like_length(rows, settings.tokens))
    cold = ColdStart(policy.model, policy.codec, replace(settings, steps=steps, warmup=ceil(steps / 10)))
    say(f"learning from {len(shown)} demonstrations: {steps} steps")
    began = time.perf_counter()
    with open(log or os.devnull, "w", encoding="utf-8") as file:
        for report in cold.learn(itertools.repeat(shown)):
            seconds = time.perf_counter() - began
            file.write(json.dumps({**report._asdict(), "seconds": seconds}) + "\n")
            if report.step % max(1, steps // 10) == 0 or report.step == steps:
                say(
                    f"learning from demonstrations: step {report.step}/{steps}, loss on actions "
                    f"{report.action_loss:.2f}, {seconds:.0f} s"
                )
