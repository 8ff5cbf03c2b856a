"""Reward: reads a finished episode, gives a total and its named parts.

    reward = combine({"answer": paper_reward(), "exact": exact_match_reward}, weights={"exact": 0.0})
    score = reward(episode)          # Score(total=1.0, parts={"answer": 1.0, ..., "exact": 1.0})
    scores = rescore(stored_episodes, reward)

A reward is a pure function of the episode: calling it twice gives the same score, and it can be called years later on a
stored episode. Anything with the few attributes of `FinishedEpisode` can be scored, also transcripts made elsewhere.

Left out on purpose: rewards of single steps (no published rule of this family has them) and rewards that compare
members of a group (advantage estimators do that).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from aepo_env.tasks import Task
from aepo_env.tools.tool import Fault


class Score(NamedTuple):
    """What a reward gives. total: the number to train on. parts: named numbers that explain it, for reports."""

    total: float
    parts: Mapping[str, float]


class FinishedCall(Protocol):
    """One tool call. fault: set when it failed for a reason outside the policy. refused: why it was not run, or ""."""

    @property
    def tool(self) -> str: ...

    @property
    def fault(self) -> Fault | None: ...

    @property
    def refused(self) -> str: ...


class FinishedTurn(Protocol):
    """One turn. text: as the policy wrote it. malformed: why the protocol could not read it, "" when it could."""

    @property
    def text(self) -> str: ...

    @property
    def calls(self) -> Sequence[FinishedCall]: ...

    @property
    def malformed(self) -> str: ...


class FinishedEpisode(Protocol):
    """The part of an episode that rewards read.

    answer: content of the final answer as the protocol extracted it, boxes unwrapped; None when none was given.
    response(): the flat transcript after the prompt: policy turns and tool results as the policy saw them.
    """

    @property
    def task(self) -> Task: ...

    @property
    def answer(self) -> str | None: ...

    @property
    def turns(self) -> Sequence[FinishedTurn]: ...

    def response(self) -> str: ...


Reward = Callable[[FinishedEpisode], Score]
Metric = Callable[[str, Sequence[str]], float]


def answer_reward(name: str, metric: Metric) -> Reward:
    """A reward out of a metric on (prediction, accepted answers); an episode without an answer gets 0."""

    def reward(episode: FinishedEpisode) -> Score:
        value = 0.0 if episode.answer is None else metric(episode.answer, episode.task.answers)
        return Score(value, {name: value})

    return reward


def combine(rewards: Mapping[str, Reward], weights: Mapping[str, float] | None = None) -> Reward:
    """The weighted sum of named rewards; a name without a weight counts 1, a weight of 0 only reports.

    Parts: each reward's total under its name, and its own parts under "name/part".
    Raises ValueError for a weight whose name is no reward, or a reward named "total" (that is the sum's name).
    """
    weights = dict(weights or {})
    unknown = sorted(set(weights) - set(rewards))
    if "total" in rewards:
        raise ValueError('a reward cannot be named "total", the name of the sum: rename it')
    if unknown:
        raise ValueError(f"weights for {unknown}, but the rewards are {sorted(rewards)}; use the same names")

    def combined(episode: FinishedEpisode) -> Score:
        total, parts = 0.0, {}
        for name, reward in rewards.items():
            score = reward(episode)
            total += weights.get(name, 1.0) * score.total
            parts[name] = score.total
            parts.update({f"{name}/{part}": value for part, value in score.parts.items()})
        return Score(total, parts)

    return combined


def rescore(episodes: Iterable[FinishedEpisode], reward: Reward) -> list[Score]:
    """Scores of stored episodes under a reward, in order."""
    return [reward(episode) for episode in episodes]
