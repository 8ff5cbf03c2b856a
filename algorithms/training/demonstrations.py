"""Demonstrations: episodes that an oracle played, as tokens with a weight each, for a supervised cold start.

    played, failed = transcripts(env, range(500))   # the first 500 questions of the environment's world
    rows = [encoded(one, codec, observation_weight=0.5) for one in played]
    played = read_transcripts("mine.jsonl")         # or transcripts of one's own, {"messages": [...]} a line

Text is cut into tokens here as rollouts cut it: prompt, turns and observations each by themselves. Every demonstration
is checked: an episode that the oracle did not solve is left out, and counted. Those of a file are taken as they are.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aepo_env.agent import Oracle
from aepo_env.env import ToolEnv
from aepo_env.worlds.folder.pages import FolderError, json_lines
from algorithms.training.measures import solved

_ROLES = ("system", "user", "assistant", "tool")


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


def read_transcripts(path: str | os.PathLike[str]) -> list[Transcript]:
    """Transcripts of a JSON-lines file: {"messages": [{"role": ..., "content": ...}, ...], "id": optional} a line.

    What comes before the first message of the role assistant is the prompt; each assistant's content is a turn of the
    policy, calls and tags and all, and what a user or tool says behind it is the observation, word for word as the
    environment gives it ("<result>...").

    Raises:
        ValueError: a mistake, with its line.
    """
    file = Path(path)
    found = [_transcript(record, place) for place, record in json_lines(file)]
    if not found:
        raise FolderError(f"{file}: expected one transcript a line, found an empty file; put demonstrations in.")
    return found


def _transcript(record: Mapping[str, Any], place: str) -> Transcript:
    given = record.get("messages")
    messages = given if isinstance(given, list) else []
    fit = [
        isinstance(one, dict) and one.get("role") in _ROLES and isinstance(one.get("content"), str) for one in messages
    ]
    if not messages or not all(fit):
        wrong = messages[fit.index(False)] if messages else given
        raise FolderError(
            f'{place}: expected "messages", each with a role of {", ".join(_ROLES)} and a content of text, found '
            f"{wrong!r:.80}; correct the line."
        )
    said = [place for place, one in enumerate(messages) if one["role"] == "assistant"]
    if not said or said[0] == 0:
        raise FolderError(f"{place}: expected a question and, behind it, a message of the assistant; correct the line.")
    turns: list[tuple[str, str]] = []
    for one in messages[said[0] :]:
        if one["role"] == "assistant":
            turns.append((one["content"], ""))
        else:
            turns[-1] = (turns[-1][0], turns[-1][1] + one["content"])
    return Transcript(str(record.get("id", place)), tuple(messages[: said[0]]), tuple(turns))


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
