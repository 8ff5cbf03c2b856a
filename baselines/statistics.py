"""Statistics of a comparison: intervals by bootstrap, and paired tests that take both seeds and questions for samples.

    scores = np.zeros((5, 200))                        # [seeds, questions]: 1 where a question was solved
    mean(scores, families)                             # Estimate(value, low, high), likewise interquartile_mean
    improvement(ours, theirs, families)                # probability that a run of ours scores higher
    found = paired(ours, theirs)                       # same questions, same seeds
    holm([one.p for one in others])                    # corrected for many comparisons

Why seeds and questions: a difference that another training, or other questions, would not show again is none. Numbers
over questions alone (as most papers give) take one lucky training for an algorithm's merit.

Resampling, trimmed means and distributions are SciPy's (the extra `compare`). The variance of `paired` is that of
Clark's quasi-F for two crossed random factors (Journal of Verbal Learning and Verbal Behavior 12, 1973), its degrees of
freedom Satterthwaite's. The stratified bootstrap, interquartile mean and probability of improvement are those of
Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (2021), with kinds of task for
its tasks and the questions resampled within each kind as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aepo_env.errors import MissingExtra

LEVEL = 0.05
"""Of significance; intervals are 95 %."""
POWER = 0.8
"""With which a difference of `Paired.detectable` would be found."""
_DOUBT = 0.3  # p-value below which a pair is taken to differ more between trainings than the others
RESAMPLES = 2_000

Scores = NDArray[np.float64]
Statistic = Callable[..., Any]


class Estimate(NamedTuple):
    """A value with its 95 % interval; without an interval where there is nothing to resample."""

    value: float
    low: float
    high: float


def scipy_stats() -> Any:
    """`scipy.stats`. Raises MissingExtra where it is not installed."""
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtra("Statistics need SciPy: pip install -e '.[compare]'.") from error
    return stats


# ------------------------------------------------------------------------------------------------------- intervals


def mean(scores: Scores, families: Sequence[str], resamples: int = RESAMPLES) -> Estimate:
    """The mean score over seeds and questions, [seeds, questions]."""
    sizes = _sizes(families)
    return _bootstrap([scores], families, lambda by: np.average(by[0].mean(axis=-2), weights=sizes, axis=-1), resamples)


def interquartile_mean(scores: Scores, families: Sequence[str], resamples: int = RESAMPLES) -> Estimate:
    """The mean of the middle half of all (seed, kind of task) scores: outliers among the trainings count less."""
    trim = scipy_stats().trim_mean

    def statistic(by: list[Scores]) -> Any:
        return trim(by[0].reshape(*by[0].shape[:-2], -1), 0.25, axis=-1)

    return _bootstrap([scores], families, statistic, resamples)


def improvement(ours: Scores, theirs: Scores, families: Sequence[str], resamples: int = RESAMPLES) -> Estimate:
    """The probability that a training of ours scores higher than one of theirs, on a kind of task drawn at random.

    All pairs of seeds are compared; a tie counts half.
    """

    def statistic(by: list[Scores]) -> Any:
        above = by[0][..., :, None, :] - by[1][..., None, :, :]
        return ((above > 1e-12) + 0.5 * (abs(above) <= 1e-12)).mean(axis=(-3, -2, -1))

    return _bootstrap([ours, theirs], families, statistic, resamples)


def _sizes(families: Sequence[str]) -> list[int]:
    return [list(families).count(name) for name in sorted(set(families))]


def _bootstrap(
    groups: list[Scores],
    families: Sequence[str],
    statistic: Callable[[list[Scores]], Any],
    resamples: int,
) -> Estimate:
    """Resample seeds (of each group apart) and, within their kinds, questions (the same for all groups).

    statistic: of each group's scores by seed and kind, [..., seeds, kinds].
    """
    strata = [np.flatnonzero([one == name for one in families]) for name in sorted(set(families))]
    numbers = [np.arange(len(scores)) for scores in groups] + strata
    free = [place for place, one in enumerate(numbers) if len(one) > 1]  # one alone cannot be resampled

    def of_numbers(chosen: Sequence[Any]) -> Any:
        seeds, questions = chosen[: len(groups)], chosen[len(groups) :]
        return statistic(
            [
                np.stack([scores[rows[..., None], one[..., None, :]].mean(axis=-1) for one in questions], axis=-1)
                for scores, rows in zip(groups, seeds, strict=True)
            ]
        )

    def of_resampled(*drawn: Any, axis: int) -> Any:  # each [resamples, numbers]
        chosen = [np.broadcast_to(one, (len(drawn[0]), len(one))) for one in numbers]
        for place, one in zip(free, drawn, strict=True):
            chosen[place] = one
        return of_numbers(chosen)

    value = float(of_numbers(numbers))
    if not free:
        return Estimate(value, value, value)
    found = scipy_stats().bootstrap(
        [numbers[place] for place in free],
        of_resampled,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // max(scores.size for scores in groups)),
        vectorized=True,
        axis=-1,
        method="percentile",
        rng=np.random.default_rng(0),  # the same records give the same page
    )
    low, high = map(float, found.confidence_interval)
    return Estimate(value, low, high)


# ----------------------------------------------------------------------------------------------------------- tests


@dataclass(frozen=True)
class Paired:
    """Ours less theirs on the same questions with the same seeds, with its 95 % interval.

    p: two-sided, of no difference. detectable: the smallest true difference that would be found with a probability of
    `POWER`. over_seeds: whether seeds were among the samples, which takes two of them.
    """

    difference: float
    low: float
    high: float
    p: float
    detectable: float
    over_seeds: bool


class Pooled(NamedTuple):
    """How much trainings differ, over all contenders: the variance of a training's mean score, seeds' own merits and
    contenders' apart, with its degrees of freedom."""

    variance: float
    freedom: int


def pooled(scores: Sequence[Scores]) -> Pooled | None:
    """From all contenders' scores, of the same seeds; None where these are too few to tell."""
    means = np.array([one.mean(axis=1) for one in scores])
    freedom = (means.shape[0] - 1) * (means.shape[1] - 1)
    if freedom < 1:
        return None
    rest = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    return Pooled(float((rest**2).sum()) / freedom, freedom)


def paired(ours: Scores, theirs: Scores, comparisons: int = 1, trainings: Pooled | None = None) -> Paired:
    """The difference with its test, which must hold over seeds and questions together and over seeds alone.

    In simulations of equals, 5 % are told apart where trainings of all contenders differ alike, at most 8 % where those
    of one differ five times as much.

    Args:
        ours, theirs: [seeds, questions], the same seeds and questions in the same order.
        comparisons: how many there are, for `detectable`: the strictest level that Holm's correction may ask.
        trainings: of `pooled`. How much trainings differ is then taken from all contenders, as Dunnett's test does,
            unless these two seem to differ more (F test).

    Raises:
        ValueError: the shapes differ, or there is one question.
    """
    if ours.shape != theirs.shape or ours.shape[1] < 2:
        raise ValueError(f"Expected the same seeds and two or more questions, got {ours.shape} and {theirs.shape}.")
    t = scipy_stats().t
    differences = ours - theirs
    value = float(differences.mean())
    p, reach, detectable = float(value == 0), 0.0, 0.0
    for variance, freedom in _variances(differences, trainings):
        error = float(np.sqrt(variance))
        if error:
            p = max(p, float(2 * t.sf(abs(value) / error, freedom)))
        reach = max(reach, float(t.ppf(1 - LEVEL / 2, freedom)) * error)
        strict = float(t.ppf(1 - LEVEL / 2 / max(1, comparisons), freedom) + t.ppf(POWER, freedom))
        detectable = max(detectable, strict * error)
    return Paired(value, value - reach, value + reach, p, detectable, len(ours) > 1)


def _variances(differences: Scores, trainings: Pooled | None) -> list[tuple[float, float]]:
    """Of the mean, over seeds and questions and over seeds alone, each with its degrees of freedom.

    The first is made of the mean squares of seeds and questions less that of the rest, so that what they have in common
    counts once. Where the rest is larger than one of them, which is chance, the larger of the two is taken.
    """
    seeds, questions = differences.shape
    by_question = differences.mean(axis=0)
    if seeds == 1:
        return [(float(by_question.var(ddof=1)) / questions, questions - 1)]
    by_seed = differences.mean(axis=1)
    of_seeds = questions * float(by_seed.var(ddof=1))
    of_questions = seeds * float(by_question.var(ddof=1))
    rest = differences - by_seed[:, None] - by_question[None] + differences.mean()
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (questions - 1))
    count = seeds * questions
    freedom = float(seeds - 1)
    if not differences.any():  # alike in every answer
        return [(0.0, freedom)]
    if trainings is not None and trainings.variance:
        shared = 2 * questions * trainings.variance
        if scipy_stats().f.sf(of_seeds / shared, freedom, trainings.freedom) >= _DOUBT:
            of_seeds, freedom = shared, float(trainings.freedom)
    total = max(of_seeds + of_questions - of_rest, of_seeds, of_questions)
    spread = of_seeds**2 / freedom + of_questions**2 / (questions - 1) + of_rest**2 / ((seeds - 1) * (questions - 1))
    return [(total / count, total**2 / spread), (of_seeds / count, freedom)]


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected so that the chance of any false finding among all of them stays at the level (Holm 1979)."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    found, largest = [1.0] * len(p), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        found[place] = largest
    return found
