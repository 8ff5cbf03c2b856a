"""Fork rules and root budgets: published tables, limits, and that state survives a checkpoint. Needs no torch."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.rollout.branching import (
    FEWEST_OBSERVATIONS,
    EntropyUnits,
    ForkRule,
    RunningDeviation,
    entropy_level,
    next_streak,
    probe_difference,
    root_budget,
)

quick = settings(max_examples=100, deadline=None, derandomize=True)
finite = st.floats(-50, 50)

# The official AEPO rule with base 0.5 and weight 0.2: streak -> P(fork) at these rises of entropy.
RISES = [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
OFFICIAL = {
    0: [0.300, 0.400, 0.500, 0.600, 0.700, 0.900],
    1: [0.274, 0.374, 0.474, 0.574, 0.674, 0.874],
    3: [0.212, 0.312, 0.412, 0.512, 0.612, 0.812],
    5: [0.133, 0.233, 0.333, 0.433, 0.533, 0.733],
    10: [0, 0, 0, 0.100, 0.200, 0.400],
    20: [0, 0, 0, 0, 0, 0],
}


@pytest.mark.parametrize("streak", OFFICIAL)
def test_official_fork_probabilities(streak: int) -> None:
    rule = ForkRule(form="official")
    found = [rule.decide(rise, streak, 0.5).probability for rise in RISES]
    assert found == pytest.approx(OFFICIAL[streak], abs=5e-4)


@quick
@given(rise=finite, streak=st.integers(0, 25), draw=st.floats(0, 1, exclude_max=True))
def test_the_official_form_decides_as_the_published_comparison(rise: float, streak: int, draw: float) -> None:
    """There a uniform u forks if clip((u + w dH) pen, 0, 1) >= p0; 1 - u is the draw here."""
    penalty = max(0.0, 1 - 0.05 * streak)
    score = min(max(((1 - draw) + 0.2 * rise) * penalty, 0.0), 1.0)
    decision = ForkRule(form="official").decide(rise, streak, draw)
    if abs(score - 0.5) > 1e-9:
        assert decision.forked is (score >= 0.5)


@quick
@given(rise=finite, draw=st.floats(0, 1, exclude_max=True))
def test_without_a_penalty_the_rule_is_arpos(rise: float, draw: float) -> None:
    """ARPO's code forks if clip(u - w dH, 0, 1) <= p0."""
    decision = ForkRule(base=0.4, penalty=0).decide(rise, 7, draw)
    score = min(max(draw - 0.2 * rise, 0.0), 1.0)
    assert decision.probability == pytest.approx(min(max(0.4 + 0.2 * rise, 0.0), 1.0), abs=1e-12)
    if abs(score - 0.4) > 1e-9:
        assert decision.forked is (score <= 0.4)


def test_the_papers_penalty_multiplies_the_whole_score() -> None:
    rule = ForkRule(base=0.5, weight=0.2, penalty=0.25)
    found = [rule.decide(1.0, streak, 0.0) for streak in (0, 1, 3, 4, 9)]
    assert [decision.probability for decision in found] == pytest.approx([0.7, 0.525, 0.175, 0, 0])
    assert [decision.penalty for decision in found] == pytest.approx([0, 0.25, 0.75, 1, 1])
    assert [decision.forked for decision in found] == [True, True, True, False, False]


@pytest.mark.parametrize(("rise", "forked"), [(-0.01, False), (0.0, False), (0.01, True)])
def test_a_threshold_equal_to_the_base_forks_where_entropy_rose(rise: float, forked: bool) -> None:
    decision = ForkRule(mode="threshold", penalty=0).decide(rise, 0, 0.999)
    assert (decision.forked, decision.probability) == (forked, float(forked))


def test_a_streak_brings_a_score_below_the_threshold() -> None:
    rule = ForkRule(mode="threshold", threshold=0.4, penalty=0.1)
    assert [rule.decide(0.0, streak, 0.5).forked for streak in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("form", ["paper", "official"])
def test_draws_fork_as_often_as_the_probability_says(form: str) -> None:
    rule, stream = ForkRule(form=form), random.Random(0)
    forks = sum(rule.decide(0.7, 2, stream.random()).forked for _ in range(20_000))
    probability = rule.decide(0.7, 2, 0.0).probability
    assert abs(forks / 20_000 - probability) < 4 * math.sqrt(probability * (1 - probability) / 20_000)


def test_certain_and_impossible_forks_ignore_the_draw() -> None:
    rule = ForkRule()
    assert not rule.decide(-100.0, 0, 0.0).forked
    assert rule.decide(100.0, 0, math.nextafter(1, 0)).forked


@quick
@given(rises=st.lists(finite, min_size=2, max_size=2), streaks=st.lists(st.integers(0, 30), min_size=2, max_size=2))
def test_more_entropy_never_forks_less_and_a_longer_streak_never_more(rises: list[float], streaks: list[int]) -> None:
    for form in ("paper", "official"):
        rule = ForkRule(form=form)
        by_rise = [rule.decide(rise, 3, 0.5).probability for rise in sorted(rises)]
        by_streak = [rule.decide(0.5, streak, 0.5).probability for streak in sorted(streaks)]
        assert by_rise == sorted(by_rise)
        assert by_streak == sorted(by_streak, reverse=True)


@pytest.mark.parametrize(
    ("budget", "differences", "expected"),
    [
        (16, [-4, -2, -1, -0.5, 0, 0.5, 1, 2, 4], [2, 5, 7, 8, 9, 9, 10, 12, 15]),
        (12, [-4, -2, -1, 0, 1, 2, 4], [2, 4, 5, 7, 8, 9, 11]),
    ],
)
def test_official_root_budgets(budget: int, differences: list[float], expected: list[int]) -> None:
    assert [root_budget(d, budget, sensitivity=0.5, form="official") for d in differences] == expected


@quick
@given(difference=finite, budget=st.integers(1, 64))
def test_the_papers_root_budget_is_the_rounded_formula(difference: float, budget: int) -> None:
    found = root_budget(difference, budget, sensitivity=1.0)
    exact = budget / (1 + math.exp(-difference))
    assert 1 <= found <= budget
    assert abs(found - exact) <= 0.5 + 1e-9 or found == 1


def test_equal_entropies_split_the_budget_evenly() -> None:
    assert [root_budget(0.0, budget, sensitivity=2.0) for budget in (1, 2, 5, 16)] == [1, 1, 3, 8]


@pytest.mark.parametrize("form", ["paper", "official"])
def test_enormous_differences_do_not_overflow(form: str) -> None:
    found = [root_budget(d, 16, sensitivity=1.0, form=form) for d in (-1e308, -800.0, 800.0, 1e308)]
    assert found == [1, 1, 16, 16]


def test_entropy_levels() -> None:
    assert entropy_level([1.0, 3.0], "mean", vocabulary=100) == pytest.approx(2 / math.log(100))
    assert entropy_level([1.0, 3.0], "standardised", vocabulary=100) == pytest.approx(2 / math.log(100))
    assert entropy_level([1.0] * 30, "sum20", vocabulary=100) == pytest.approx(20 / math.log(100))
    assert entropy_level([math.log(7)], "mean", vocabulary=7) == pytest.approx(1.0)


def test_a_probe_compares_its_root_with_the_mean_after_tools() -> None:
    assert probe_difference(0.5, [0.1, 0.5]) == pytest.approx(0.2)
    assert probe_difference(0.5, []) == 0.0
    with pytest.raises(ValueError, match="finite"):
        probe_difference(0.5, [math.nan])


def test_rounding_below_zero_is_no_entropy() -> None:
    assert entropy_level([-1e-4, 0.0], "mean", vocabulary=100) == 0.0


def test_only_the_standardised_scale_needs_a_deviation() -> None:
    differences = [0.1, -0.1] * FEWEST_OBSERVATIONS
    measured = RunningDeviation().updated(differences)
    assert EntropyUnits("mean", measured).scaled(0.3) == 0.3
    assert EntropyUnits("sum20").scaled(0.3) == 0.3
    assert EntropyUnits("standardised", measured).scaled(0.3) == pytest.approx(3.0)


@pytest.mark.parametrize("seen", [[], [0.1, -0.2] * (FEWEST_OBSERVATIONS // 2 - 1), [0.0] * 100])
def test_an_unknown_deviation_makes_every_difference_neutral(seen: list[float]) -> None:
    units = EntropyUnits("standardised", RunningDeviation().updated(seen))
    assert units.scaled(5.0) == 0.0
    assert root_budget(units.scaled(5.0), 16, sensitivity=1.0) == 8
    assert ForkRule().decide(units.scaled(-5.0), 0, 0.5).probability == 0.5


@quick
@given(value=finite, batches=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_equal_differences_have_no_deviation_whatever_rounding_leaves(value: float, batches: list[int]) -> None:
    state = RunningDeviation()
    for size in batches:
        state = state.updated([value] * size, keep=0.9)
    assert state.value() is None


@quick
@given(values=st.lists(finite, min_size=FEWEST_OBSERVATIONS, max_size=40), scale=st.floats(0.01, 100))
def test_standardised_differences_do_not_depend_on_their_unit(values: list[float], scale: float) -> None:
    deviation = RunningDeviation().updated(values).value()
    scaled = RunningDeviation().updated([scale * value for value in values]).value()
    if deviation is not None and deviation > 1e-3 * max(map(abs, values)):
        assert scaled == pytest.approx(scale * deviation, rel=1e-6)


@quick
@given(values=st.lists(finite, max_size=40), seed=st.integers(0, 100))
def test_order_inside_a_batch_does_not_change_a_bit(values: list[float], seed: int) -> None:
    shuffled = random.Random(seed).sample(values, len(values))
    start = RunningDeviation(3.0, 0.1, 0.7)
    assert start.updated(shuffled, keep=0.9) == start.updated(values, keep=0.9)


def test_the_state_survives_a_checkpoint_exactly() -> None:
    state = RunningDeviation().updated([0.1, 0.7, -1 / 3], keep=0.9).updated([1e-9, 2.5] * 7, keep=0.9)
    restored = RunningDeviation(*json.loads(json.dumps(state)))
    assert restored == state
    assert restored.updated([0.3], keep=0.9) == state.updated([0.3], keep=0.9)


def test_old_batches_fade() -> None:
    wide, narrow = [1.0, -1.0] * 10, [0.1, -0.1] * 10
    kept, faded = RunningDeviation().updated(wide), RunningDeviation().updated(wide)
    for _ in range(30):
        kept, faded = kept.updated(narrow), faded.updated(narrow, keep=0.5)
    assert faded.value() == pytest.approx(0.1, rel=1e-3)
    assert kept.value() == pytest.approx(math.sqrt((1 + 30 * 0.01) / 31), rel=1e-9)


def test_streaks_count_consecutive_forks_only() -> None:
    streak, seen = 0, []
    for forked in (True, True, False, True):
        streak = next_streak(streak, forked)
        seen.append(streak)
    assert seen == [1, 2, 0, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: entropy_level([], "mean", 10),
        lambda: entropy_level([math.nan], "mean", 10),
        lambda: entropy_level([-0.1], "mean", 10),
        lambda: entropy_level([1.0], "mean", 1),
        lambda: entropy_level([1.0], "nats", 10),
        lambda: RunningDeviation().updated([math.inf]),
        lambda: RunningDeviation().updated([0.0], keep=1.5),
        lambda: EntropyUnits("mean").scaled(math.nan),
        lambda: root_budget(math.nan, 16, sensitivity=1.0),
        lambda: root_budget(0.0, 0, sensitivity=1.0),
        lambda: root_budget(0.0, 16, sensitivity=1.0, form="floor"),
        lambda: ForkRule(base=1.5),
        lambda: ForkRule(penalty=-0.1),
        lambda: ForkRule(mode="greedy"),
        lambda: ForkRule(form="official", mode="threshold"),
        lambda: ForkRule().decide(math.inf, 0, 0.5),
        lambda: ForkRule().decide(0.0, -1, 0.5),
        lambda: ForkRule().decide(0.0, 0, 1.0),
        lambda: ForkRule(streaks="worker"),
    ],
)
def test_wrong_calls_are_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError):  # noqa: PT011 - one property: nothing wrong passes in silence
        call()
