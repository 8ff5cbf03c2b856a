"""Demonstrations: episodes that an oracle played, as tokens with a weight each, for a supervised cold start.

    played, failed = transcripts(env, range(500))   # the first 500 questions of the environment's world
    rows = [encoded(one, codec, observation_weight=0.5) for one in played]

Text is cut into tokens here as rollouts cut it: prompt, turns and observations each by themselves. Every demonstration
is checked: an episode that the oracle did not solve is left out, and counted.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aepo_env.agent import Oracle
from aepo_env.env import ToolEnv
from algorithms.training.measures import solved


class Transcript(NamedTuple):
    """One solved episode. messages: what it started with; turns: the policy's text and what came back, if anything."""

    task_id: str
    messages: tuple[dict[str, Any], ...]
    turns: tuple[tuple[str, str], ...]


class Row(NamedTuple):
    """Token ids and the loss weight of predicting each: [T] and [T]."""

    tokens: list[int]
    weights: list[float]


def transcripts(env: Any, indices: Iterable[int]) -> tuple[list[Transcript], int]:
    """What the oracle of an environment's world does on these tasks, and on how many it failed."""
    inner = env.unwrapped
    if not isinstance(inner, ToolEnv):
        raise TypeError(f"An environment of aepo_env is needed; got {type(inner).__name__}.")
    oracle = Oracle(env)
    played: list[Transcript] = []
    failed = 0
    for index in indices:
        observation, info = env.reset(seed=index, options={"task": inner.tasks[index]})
        messages, ended = tuple(info["messages"]), False
        while not ended:
            observation, _, terminated, truncated, info = env.step(oracle.act(observation, info))
            ended = terminated or truncated
        episode = inner.episode
        if episode.rewards is None or not solved(episode.rewards):
            failed += 1
            continue
        turns = tuple((turn.text, turn.observation) for turn in episode.turns)
        played.append(Transcript(episode.task.id, messages, turns))
    return played, failed


def encoded(transcript: Transcript, codec: Any, *, observation_weight: float) -> Row:
    """A transcript as tokens: weight 1 on the policy's, `observation_weight` on observations, 0 on the prompt."""
    tokens = codec.prompt(transcript.messages)
    weights = [0.0] * len(tokens)
    for text, observation in transcript.turns:
        turn = codec.tokenizer.encode(text, add_special_tokens=False)
        said = codec.observation(observation) if observation else []
        tokens, weights = tokens + turn + said, weights + [1.0] * len(turn) + [observation_weight] * len(said)
    return Row(tokens, weights)


def texts(played: Sequence[Transcript]) -> list[str]:
    """All that was said, for training a tokenizer."""
    out = []
    for transcript in played:
        out += [message["content"] for message in transcript.messages if message["role"] == "user"]
        out += [part for turn in transcript.turns for part in turn if part]
    return out
