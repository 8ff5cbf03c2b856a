"""What training tests share: a model that is cold-started in a few seconds, a config of few questions, weights."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from algorithms.policy.codec import ChatCodec
from algorithms.policy.loading import Policy, load_policy
from algorithms.policy.tiny import TinyShape, tiny_model, tiny_tokenizer
from algorithms.training.cold_start import ColdStart, ColdStartSettings
from algorithms.training.config import TINY_ENVIRONMENT, EnvironmentSettings, EvaluationSettings, RunConfig
from algorithms.training.demonstrations import Transcript, texts, transcripts
from algorithms.training.measures import without_timings
from algorithms.training.questions import COLD_START_WORLDS, TOKENIZER_WORLDS, make_environment
from algorithms.training.trainer import Trainer

torch.set_num_threads(1)

# The paper's reward has more values than exact match: more questions tell trajectories apart.
TINY = {name: value for name, value in TINY_ENVIRONMENT["web"].items() if name != "reward"}
WEB = EnvironmentSettings("web", TINY)
SHORT = EnvironmentSettings("web", {**TINY, "families": ["web/1-hop", "web/arithmetic"]})
SHAPE = TinyShape(width=32, layers=2, heads=2, inner=48)


@cache
def demonstrations(world: int, count: int) -> tuple[Transcript, ...]:
    """What the oracle does in a training world of the tiny web."""
    env = make_environment(WEB, "train", world)
    played, failed = transcripts(env, range(count))
    env.close()
    assert failed == 0
    return tuple(played)


@cache
def tokenizer() -> Any:
    """Of 512 tokens, from few questions of a few worlds."""
    return tiny_tokenizer(
        [text for world in range(4) for text in texts(demonstrations(TOKENIZER_WORLDS + world, 40))], 512
    )


def untrained(seed: int = 0) -> Policy:
    return Policy(tiny_model(len(tokenizer()), seed, SHAPE), tokenizer())


@cache
def _cold_started() -> Any:
    model = tiny_model(len(tokenizer()), 0, TinyShape(width=64, layers=2, heads=2, inner=96))
    settings = ColdStartSettings(steps=240, questions=100, warmup=20)
    for _ in ColdStart(model, ChatCodec(tokenizer()), settings).train(
        lambda world: make_environment(SHORT, "train", COLD_START_WORLDS + world)
    ):
        pass
    return model


def policy() -> Policy:
    """A copy of a policy that calls tools and answers, rightly now and then: some trajectories are worth more."""
    return Policy(deepcopy(_cold_started()), tokenizer())


def config(*, algorithm: str = "aepo", settings: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    """Two steps of four questions with four trajectories each. Cool, so that many turns are well-formed."""
    made = RunConfig(
        algorithm=algorithm,
        settings={"rollout.budget": 4, "rollout.look_ahead": 6, "updates": 2, **(settings or {})},
        environment=SHORT,
        steps=2,
        questions=4,
        turn_tokens=40,
        total_tokens=400,
        temperature=0.6,
        evaluation=EvaluationSettings(questions=6, samples=2),
        threads=1,
    )
    return replace(made, **changes)


def silent(_: str) -> None:
    """Says nothing."""


def trainer(wanted: RunConfig, start: Policy | None = None, directory: Any = None, say: Any = silent) -> Trainer:
    return Trainer(wanted, policy() if start is None else start, directory, say)


def weights(model: Any) -> torch.Tensor:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


def words(found: Sequence[Transcript]) -> list[str]:
    """All text of some episodes, the system prompt left out."""
    return texts(found)


def gone_on(wanted: RunConfig, folder: Path, count: int) -> tuple[Trainer, list[Any]]:
    """A run that was put away after its first step and taken up again: its trainer, metrics of `count` more steps."""
    first = trainer(wanted)
    first.step()
    torch.save(first.state(), folder / "state")
    first.policy.save(folder / "policy")
    first.close()
    second = Trainer(wanted, load_policy(folder / "policy"), None, silent)
    second.load_state(torch.load(folder / "state", weights_only=True))
    return second, [without_timings(second.step()) for _ in range(count)]
