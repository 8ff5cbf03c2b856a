"""Sizes and environments for smollm2, which reads and writes a few hundred tokens a second on two cores.

    preset("default", "search", "smollm2", "factbook")          # `training.config` asks here

So there are few questions, few trajectories and short pages. The order is the papers': a cold start on demonstrations
of the environment's oracle, then reinforcement learning. docs/real-run.md has commands.

Left out: the limits of the papers, which `--preset paper` has for any model.
"""

from dataclasses import replace
from typing import Any

from algorithms.training.config import EvaluationSettings, RunConfig

_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 2, "questions": 2, "oracle_demonstrations": 8, "evaluation": EvaluationSettings(8, 1)},
    "quick": {"steps": 4, "questions": 4, "oracle_demonstrations": 96, "evaluation": EvaluationSettings(24, 1)},
    # 96: after 320 the trajectories of a question were nearly alike (0.05 nats a token), and taught nothing.
    "default": {"steps": 36, "questions": 8, "oracle_demonstrations": 96, "evaluation": EvaluationSettings(100, 2)},
}

_READING: dict[str, Any] = {
    "tools": ["search", "browse"],
    # Titles alone, and the top of a page: where it says what it is about. A hop is 200 tokens.
    "search": {"limit": 3, "snippet_characters": 0, "addresses": False},
    "browse": {"page_characters": 500, "links": False},
    "limits": {"turns": 8, "tool_calls": 7, "malformed": 1},
}
_SNIPPETS: dict[str, Any] = {
    "tools": ["search"],
    "search": {"limit": 1, "snippet_characters": 500, "addresses": False},
    "limits": {"turns": 6, "tool_calls": 5, "malformed": 1},
}


def for_smollm2(tiny: RunConfig, name: str, corpus: str) -> RunConfig:
    """The tiny model's preset of that name, made fit for smollm2 on these pages.

    Weights move little: a pre-trained model has much to forget, and a step sees 64 trajectories.
    """
    environment = replace(tiny.environment, arguments=_arguments(tiny, corpus))
    updates = min(4, _SIZES[name]["questions"])
    return replace(
        tiny,
        model="smollm2",
        environment=environment,
        # Its turns are 15 to 30 tokens; ten reach from the thought into the call.
        settings={"rollout.budget": 4 if name == "smoke" else 8, "rollout.look_ahead": 10, "updates": updates},
        turn_tokens=128 if environment.name == "code" else 64,
        total_tokens=1_024,
        # At 1e-5 next to no token was clipped, and nothing learned in a dozen steps; at 5e-5 some was unlearned.
        optimiser=replace(tiny.optimiser, lr=3e-5, warmup_steps=2, train_embeddings=False),
        cooldown=0.0,
        token_budget=2_048,  # 2 MB of activations each
        traces=4,
        **_SIZES[name],
    )


def _arguments(tiny: RunConfig, corpus: str) -> dict[str, Any]:
    """Of the environment: with pages of facts or of one's own they are read; the generated web's are as for tiny."""
    if corpus == "generated" or tiny.environment.name == "code":
        return tiny.environment.arguments
    given = {"corpus": corpus, "reward": "exact_match"}
    if corpus == "factbook":
        # Its facts stand in no snippet. With two in a row the model was right too seldom to learn.
        return {**given, **_READING, "families": ["factbook/1-hop"]}
    return {**given, **(_SNIPPETS if tiny.environment.name == "search" else _READING)}
