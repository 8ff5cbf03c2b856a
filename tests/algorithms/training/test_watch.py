"""Watch: each warning is said once, for its own reason, and a healthy run hears nothing."""

from copy import deepcopy
from typing import Any

import pytest

from algorithms.training.watch import PATIENCE, Watch

PARTS = ("branching", "premonitor", "balanced", "entropy_weight", "steps")
HEALTHY: dict[str, Any] = {
    "questions": 10,
    "dead_questions": 3,
    "entropy": 1.0,
    "entropy_deviation": 1.0,
    "rollout": {
        "dropped": 0,
        "tool_calls": {"search": 5, "python": 1},
        "forks": 4,
        "roots": [(3, 4), (4, 6)],
    },
    "update": {"kept_gradient": 0.1},
    "steps": {"grouped": 0.5},
    "wanted_questions": 10,
    "rounds": 1,
}


def steps(count: int = 3 * PATIENCE, **changes: Any) -> list[dict[str, Any]]:
    """Metrics of some steps; changes by dotted name with __ for the dot."""
    made = deepcopy(HEALTHY)
    for name, value in changes.items():
        *above, last = name.split("__")
        place = made
        for part in above:
            place = place[part]
        place[last] = value
    return [made] * count


def heard(given: list[dict[str, Any]], parts: tuple[str, ...] = PARTS) -> list[tuple[int, str]]:
    watch = Watch(["search", "python"], parts)
    return [(number, words) for number, one in enumerate(given, 1) for words in watch.look(one)]


def test_a_healthy_run_hears_nothing() -> None:
    assert heard(steps()) == []


@pytest.mark.parametrize(
    ("changes", "words", "step"),
    [
        ({"rollout__dropped": 2}, "2 trajectories were lost", 1),
        ({"dead_questions": 10}, "100% of the questions", PATIENCE),
        ({"rollout__tool_calls": {"search": 5}}, "'python' was never called", PATIENCE),
        ({"rollout__tool_calls": {"search": 5, "python": 0}}, "'python' was never called", PATIENCE),
        ({"rollout__forks": 0}, "branching never acted", PATIENCE),
        ({"rollout__roots": [(4, 10)]}, "same number of roots", PATIENCE),
        ({"update__kept_gradient": 0.0}, "balanced clip gave back no gradient", PATIENCE),
        ({"entropy_deviation": 0.0}, "same entropy", PATIENCE),
    ],
)
def test_a_warning_comes_once_for_its_reason_alone(changes: dict[str, Any], words: str, step: int) -> None:
    ((when, said),) = heard(steps(**changes))
    assert when == step
    assert words in said


def fault(count: int) -> dict[str, Any]:
    return {"search": {"kinds": {"timeout": count - 1, "network": 1}, "words": "no route"}}


def test_a_tool_that_fails_is_told_at_once_where_calls_are_many_and_later_where_they_are_few() -> None:
    ((when, said),) = heard(steps(rollout__tool_calls={"search": 9, "python": 1}, rollout__faults=fault(5)))
    assert when == 1
    assert "5 of 9 calls of the tool 'search' failed in this step (no route)" in said
    few = steps(rollout__tool_calls={"search": 3, "python": 1}, rollout__faults=fault(2))
    ((when, said),) = heard(few)
    assert when == 3
    assert "6 of 9 calls of the tool 'search' failed in the last 3 steps" in said


def test_a_tool_that_fails_now_and_then_is_not_told() -> None:
    assert heard(steps(rollout__tool_calls={"search": 10, "python": 1}, rollout__faults=fault(5))) == []
    one_bad = steps(1, rollout__tool_calls={"search": 7, "python": 1}, rollout__faults=fault(7))
    assert heard([*steps(9), *one_bad, *steps(9)]) == []


def test_a_tool_that_dies_late_is_told_in_that_step() -> None:
    dead = steps(3, rollout__tool_calls={"search": 8, "python": 1}, rollout__faults=fault(8))
    ((when, _),) = heard([*steps(30), *dead])
    assert when == 31


def test_interpreters_that_end_or_are_stopped_at_most_calls_are_told() -> None:
    many = {"search": 5, "python": 10}
    ((when, said),) = heard(steps(rollout__tool_calls=many, interpreters={"ended": 4, "stopped": 2}))
    assert when == 1
    assert "Of 10 calls of the tool 'python' in this step, 4 ended the interpreter and 2 were stopped" in said
    assert heard(steps(rollout__tool_calls=many, interpreters={"ended": 3, "stopped": 2})) == []


def test_what_was_lost_says_why() -> None:
    ((_, said),) = heard(
        steps(rollout__dropped=2, rollout__tool_calls={"search": 9, "python": 1}, rollout__faults=fault(3))
    )
    assert "search, 3 times (no route)" in said


def test_both_tools_are_named_when_neither_is_called() -> None:
    said = [words for _, words in heard(steps(rollout__tool_calls={}))]
    assert ["'search'" in said[0], "'python'" in said[1], len(said)] == [True, True, 2]


def test_a_fall_of_entropy_is_told_from_a_low_entropy() -> None:
    assert heard(steps(entropy=0.01)) == []
    ((when, said),) = heard(steps(PATIENCE + 2) + steps(5, entropy=0.05))
    assert when == PATIENCE + 3
    assert "from 1 to 0.05 nats" in said
    assert heard(steps(PATIENCE + 2) + steps(5, entropy=0.2)) == []


def test_something_that_happened_once_is_not_idle() -> None:
    idle = steps(rollout__forks=0, rollout__roots=[(4, 10)], update__kept_gradient=0.0, entropy_deviation=0.0)
    once = [*idle[:4], *steps(1), *idle[5:]]
    assert heard(once) == []


def test_parts_an_algorithm_does_not_have_are_not_missed() -> None:
    idle = steps(rollout__forks=0, rollout__roots=[(4, 10)], update__kept_gradient=0.0, entropy_deviation=0.0)
    assert heard(idle, ()) == []
    assert len(heard(idle, ("balanced",))) == 1
    assert len(heard(idle)) == 4


def test_dead_questions_are_counted_over_the_last_steps() -> None:
    assert heard(steps(20) + steps(5, dead_questions=10)) == []
    ((when, _),) = heard(steps(20) + steps(20, dead_questions=10))
    assert 20 + PATIENCE // 2 < when <= 20 + PATIENCE
    assert heard(steps(dead_questions=9)) == []


def test_a_batch_that_could_not_be_filled_is_said_at_once() -> None:
    ((number, words),) = heard(steps(questions=7, rounds=10))
    assert number == 1
    assert "After 10 rounds of growing, 7 of 10 questions" in words
    assert heard(steps(questions=7, rounds=1)) == []  # a world's end, or trajectories lost to faults


def test_steps_that_are_never_compared_are_said() -> None:
    ((number, words),) = heard(steps(steps__grouped=0.0))
    assert number == PATIENCE
    assert "comparing steps never acted" in words
    assert heard(steps(steps__grouped=0.0), ()) == []
