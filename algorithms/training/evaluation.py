"""Evaluation: success of a policy on unseen questions, greedy and sampled, with intervals.

    before = evaluate(policy, env, tasks, settings, limits, seed=0)
    after = evaluate(...)
    before.greedy.mean, before.sampled.mean           # shares of questions
    gain = paired_gain(before.sampled.scores, after.sampled.scores)   # mean difference with its 95 % interval

A question counts as solved when its reward's part "accuracy" is 1: the answer is wholly right (with the reward
exact_match: exact match, EM). Beside it stands the token F1 of answers, where `with_f1` made the environment tell it.
Sampled success is pass@1: the mean over the samples of a question, then over questions. Intervals treat questions as
the sample (normal approximation of the mean of per-question scores, exact where all are alike), so that several samples
of one question are not taken for more evidence than they are.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aepo_env.rewards import Reward, Score, token_f1
from aepo_env.rewards.reward import FinishedEpisode
from aepo_env.tasks import Task
from algorithms.policy.loading import Policy
from algorithms.policy.sampling import Sampling
from algorithms.report.summary import difference_interval, percent, share_interval
from algorithms.rollout.grow import grow
from algorithms.rollout.independent import Independent
from algorithms.rollout.inputs import TokenLimits
from algorithms.rollout.records import summary
from algorithms.training.config import EvaluationSettings
from algorithms.training.measures import solved

F1 = "f1"  # a part of the reward, in environments that `with_f1` made tell it
_SAY_SECONDS = 10.0, 60.0  # the first wait, which doubles, and the longest
_AT_ONCE = 400  # trajectories whose keys and values are kept at the same time


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """Per question, in order, the share of its samples that were right; and how the episodes went.

    lost: episodes that faults of tools ended, which count as not solved.
    f1: likewise the mean token F1 of its samples' answers; None where the environment does not tell it.
    """

    scores: NDArray[np.float64]
    families: tuple[str, ...]
    stop_reasons: dict[str, int]
    tool_calls: dict[str, int]
    lost: int = 0
    f1: NDArray[np.float64] | None = None

    @property
    def mean(self) -> float:
        """Share of questions solved."""
        return float(self.scores.mean())

    def interval(self) -> Interval:
        """Of the mean."""
        return mean_share(self.scores)

    def by_family(self) -> dict[str, float]:
        """Means by task family."""
        names = sorted(set(self.families))
        return {name: float(self.scores[[one == name for one in self.families]].mean()) for name in names}

    def to_plain(self) -> dict[str, Any]:
        """For eval.jsonl."""
        told = {}
        if self.f1 is not None:
            mean, *bounds = mean_share(self.f1)
            told = {"f1": mean, "f1_interval": bounds, "f1_scores": self.f1.tolist()}
        return {
            "mean": self.mean,
            "interval": list(self.interval()[1:]),
            "families": self.by_family(),
            "family_of": list(self.families),
            "stop_reasons": self.stop_reasons,
            "tool_calls": self.tool_calls,
            "lost": self.lost,
            "scores": self.scores.tolist(),
            **told,
        }


def mean_share(values: NDArray[np.float64]) -> Interval:
    """Mean and 95 % interval of shares solved, or of F1: within 0 and 1, and with a width if all are 0 or all 1."""
    return Interval(*share_interval(values.tolist()))


def paired_gain(before: ArrayLike, after: ArrayLike) -> Interval:
    """The mean difference of scores over the same questions, with its interval."""
    differences = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    return Interval(*difference_interval(differences.tolist()))


def success(
    policy: Policy,
    env: Any,
    tasks: Sequence[Task],
    sampling: Sampling,
    limits: TokenLimits,
    *,
    samples: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Play every task `samples` times. Draws depend on the seed, the task and the sample alone.

    progress: is told, again and again, how many tasks are done.
    """
    scores: list[float] = []
    overlaps: list[float] = []
    stops: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    at_once = max(1, _AT_ONCE // samples)
    lost = 0
    told = getattr(env.unwrapped.rules.reward, "tells_f1", False)
    for start in range(0, len(tasks), at_once):
        some = tasks[start : start + at_once]
        grown = grow(
            some, env, policy.engine(), policy.codec, Independent(samples), seed=seed, step=0, limits=limits,
            sampling=sampling, progress=progress and _behind(start, progress),
        )  # fmt: skip
        for tree in grown.trees:
            right = [solved(leaf.rewards) for leaf in tree.leaves]
            scores.append(sum(right) / samples)  # an episode lost to a fault counts as not solved
            overlaps += [sum(leaf.rewards[F1] for leaf in tree.leaves) / samples] if told else []
        counted = summary(grown.reports)
        stops.update(counted["stop_reasons"])
        calls.update(counted["tool_calls"])
        lost += counted["dropped"]
    return Scores(
        np.array(scores),
        tuple(task.family for task in tasks),
        dict(sorted(stops.items())),
        dict(sorted(calls.items())),
        lost,
        np.array(overlaps) if told else None,
    )


def _behind(start: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    return lambda done: progress(start + done)


class _WithF1:
    """A reward that also tells the token F1 of the answer; its total is that of `reward`."""

    tells_f1 = True

    def __init__(self, reward: Reward) -> None:
        self._reward = reward

    def __call__(self, episode: FinishedEpisode) -> Score:
        score = self._reward(episode)
        overlap = 0.0 if episode.answer is None else token_f1(episode.answer, episode.task.answers)
        return Score(score.total, {**score.parts, F1: overlap})


def with_f1(env: Any) -> Any:
    """The environment, which from now on tells the token F1 of every answer beside its reward. For evaluation alone."""
    rules = env.unwrapped.rules
    if not isinstance(rules.reward, _WithF1):
        rules.reward = _WithF1(rules.reward)
    return env


@dataclass(frozen=True)
class Evaluation:
    """Of one policy. sampled is None where only the greedy score was asked for."""

    greedy: Scores
    sampled: Scores | None

    def to_plain(self) -> dict[str, Any]:
        """For eval.jsonl."""
        plain = {"greedy": self.greedy.to_plain()}
        return plain if self.sampled is None else {**plain, "sampled": self.sampled.to_plain()}


def in_words(found: Evaluation) -> str:
    """In a line: success with its interval, and by family."""
    text = f"greedy {_in_words(found.greedy)}"
    if found.sampled is not None:
        text += f", pass@1 sampled {_in_words(found.sampled)}"
    families = (found.sampled or found.greedy).by_family()
    return f"{text}; " + ", ".join(f"{name.rpartition('/')[2]} {100 * score:.0f}" for name, score in families.items())


def _in_words(scores: Scores) -> str:
    mean, low, high = scores.interval()
    overlap = "" if scores.f1 is None else f", F1 {percent(float(scores.f1.mean()))} %"
    lost = f", {scores.lost} episodes lost to faults and counted as not solved" if scores.lost else ""
    return f"{percent(mean)} % ({percent(low)} to {percent(high)}){overlap}{lost}"


def evaluate(
    policy: Policy,
    env: Any,
    tasks: Sequence[Task],
    settings: EvaluationSettings,
    limits: TokenLimits,
    *,
    seed: int,
    sampled: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Greedy success and, unless `sampled` is False, success at the settings' temperature.

    say: is told in words, after ten seconds and then less and less often, how far it has come.
    """
    greedy = success(
        policy, env, tasks, Sampling(temperature=0.0), limits, samples=1, seed=seed,
        progress=_Progress("greedy", len(tasks), say),
    )  # fmt: skip
    if not sampled:
        return Evaluation(greedy, None)
    drawn = Sampling(temperature=settings.temperature, top_p=settings.top_p)
    samples = f"{settings.samples} sample{'s' * (settings.samples != 1)} each"
    found = success(
        policy, env, tasks, drawn, limits, samples=settings.samples, seed=seed,
        progress=_Progress(samples, len(tasks), say),
    )  # fmt: skip
    return Evaluation(greedy, found)


class _Progress:
    """Says how many questions are done: soon, then less and less often."""

    def __init__(self, what: str, questions: int, say: Callable[[str], None]) -> None:
        self.what, self.questions, self.say = what, questions, say
        self.began = self.said = time.monotonic()
        self.wait, self.longest = _SAY_SECONDS

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self.said >= self.wait and done < self.questions:
            self.said, self.wait = now, min(2 * self.wait, self.longest)
            self.say(f"evaluating, {self.what}: {done} of {self.questions} questions done, {now - self.began:.0f} s")
