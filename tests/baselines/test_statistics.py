"""The statistics: against SciPy's own and hand-made cases, and by what they find in data of a known truth."""

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats", reason="needs the extra 'compare'")

from baselines.statistics import holm, improvement, interquartile_mean, mean, paired, pooled  # noqa: E402

FAMILIES = ["a"] * 80 + ["b"] * 60 + ["c"] * 60


def draws(rng: np.random.Generator, seeds: int, shift: float, deviation: float) -> np.ndarray:
    """Of one contender: questions differ in difficulty, trainings by `deviation`, taste for questions is its own."""
    hard = np.random.default_rng(5).normal(0, 0.2, 200)
    share = 0.45 + shift + hard + rng.normal(0, 0.1, 200) + rng.normal(0, deviation, (seeds, 1))
    return (rng.random((seeds, 200)) < share).astype(float)


def test_a_mean_lies_in_its_interval_and_weighs_questions_alike() -> None:
    scores = draws(np.random.default_rng(1), 5, 0.0, 0.03)
    found = mean(scores, FAMILIES)
    assert found.value == pytest.approx(scores.mean())
    assert found.low < found.value < found.high
    assert mean(scores, FAMILIES) == found


def test_the_interval_of_one_seed_is_that_of_its_questions() -> None:
    scores = draws(np.random.default_rng(1), 1, 0.0, 0.0)
    found = mean(scores, ["a"] * 200)
    deviation = float(scores.std(ddof=1)) / np.sqrt(200)
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.08)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = np.tile(draws(np.random.default_rng(1), 1, 0.0, 0.0), (5, 1))
    apart = alike.copy()
    apart[0], apart[1] = 0, 1
    narrow, wide = mean(alike, FAMILIES), mean(apart, FAMILIES)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_interquartile_mean_leaves_out_a_failed_training() -> None:
    scores = np.ones((8, 200)) * (np.arange(200) % 2)
    scores[0] = 0
    assert interquartile_mean(scores, FAMILIES).value == pytest.approx(0.5)
    assert mean(scores, FAMILIES).value < 0.45


def test_improvement_counts_pairs_of_seeds_and_ties_half() -> None:
    ours, theirs = np.zeros((2, 200)), np.zeros((2, 200))
    assert improvement(ours, theirs, FAMILIES).value == 0.5
    ours[0] = 1
    assert improvement(ours, theirs, FAMILIES).value == 0.75
    by_rank = stats.mannwhitneyu(ours.mean(axis=1), theirs.mean(axis=1)).statistic / 4
    assert improvement(ours, theirs, ["a"] * 200).value == by_rank


def test_of_one_training_each_with_one_question_of_a_kind_nothing_is_resampled() -> None:
    found = mean(np.array([[1.0, 0.0]]), ["a", "b"])
    assert found == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("seeds", "deviation"), [(2, 0.1), (3, 0.1), (5, 0.03)])
def test_equals_are_seldom_told_apart(seeds: int, deviation: float) -> None:
    rng = np.random.default_rng(seeds)
    tries = 150
    false = sum(paired(draws(rng, seeds, 0, deviation), draws(rng, seeds, 0, deviation)).p < 0.05 for _ in range(tries))
    # 5 % and three standard errors of 150 tries.
    assert false / tries < 0.05 + 3 * np.sqrt(0.05 * 0.95 / tries)


@pytest.mark.parametrize("deviations", [(0.03, 0.03, 0.03, 0.03), (0.02, 0.02, 0.02, 0.1)])
def test_equals_are_seldom_told_apart_where_all_say_how_much_trainings_differ(deviations: tuple[float, ...]) -> None:
    rng = np.random.default_rng(9)
    told = []
    for _ in range(80):
        all_scores = [draws(rng, 3, 0, one) for one in deviations]
        trainings = pooled(all_scores)
        told += [paired(one, all_scores[0], 3, trainings).p < 0.05 for one in all_scores[1:]]
    assert np.mean(told) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)  # tests of one reference hang together


def test_all_contenders_together_see_smaller_differences() -> None:
    rng = np.random.default_rng(10)
    alone, together = [], []
    for _ in range(30):
        all_scores = [draws(rng, 3, 0, 0.03) for _ in range(6)]
        alone.append(paired(all_scores[1], all_scores[0], 5).detectable)
        together.append(paired(all_scores[1], all_scores[0], 5, pooled(all_scores)).detectable)
    assert np.median(together) < 0.75 * np.median(alone)


def test_how_much_trainings_differ_leaves_out_what_seeds_and_contenders_are_worth() -> None:
    scores = [np.tile(np.array([[0.1], [0.5], [0.9]]), (1, 50)) * 0.5 + shift for shift in (0, 0.3)]
    found = pooled(scores)
    assert found is not None
    assert (found.variance, found.freedom) == (pytest.approx(0), 2)
    assert pooled([one[:1] for one in scores]) is None


def test_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(7)
    found = [paired(draws(rng, 5, 0.1, 0.03), draws(rng, 5, 0, 0.03)) for _ in range(100)]
    assert np.mean([one.low <= 0.1 <= one.high for one in found]) > 0.9


def test_what_is_said_to_be_detectable_is_detected_as_often_as_said() -> None:
    rng = np.random.default_rng(8)
    at = float(np.median([paired(draws(rng, 5, 0, 0.03), draws(rng, 5, 0, 0.03)).detectable for _ in range(30)]))
    assert 0.03 < at < 0.12
    found = [paired(draws(rng, 5, at, 0.03), draws(rng, 5, 0, 0.03)).p < 0.05 for _ in range(80)]
    assert 0.7 < np.mean(found) < 0.97


def test_with_one_seed_the_test_is_the_paired_t_test_over_questions() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = draws(rng, 1, 0.1, 0), draws(rng, 1, 0, 0)
    found = paired(ours, theirs)
    assert not found.over_seeds
    assert found.p == pytest.approx(stats.ttest_rel(ours[0], theirs[0]).pvalue)


def test_one_lucky_training_is_no_difference() -> None:
    theirs = draws(np.random.default_rng(3), 5, 0, 0)
    ours = theirs.copy()
    ours[0] = 1
    found = paired(ours, theirs)
    assert found.difference > 0.1
    assert found.p > 0.1


def test_the_same_answers_are_no_difference_with_certainty() -> None:
    ours = draws(np.random.default_rng(4), 3, 0, 0)
    found = paired(ours, ours.copy())
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_more_comparisons_ask_for_larger_differences() -> None:
    rng = np.random.default_rng(6)
    ours, theirs = draws(rng, 5, 0, 0.03), draws(rng, 5, 0, 0.03)
    assert paired(ours, theirs, 7).detectable > paired(ours, theirs).detectable


def test_scores_that_are_not_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="the same seeds"):
        paired(np.zeros((2, 10)), np.zeros((3, 10)))


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
