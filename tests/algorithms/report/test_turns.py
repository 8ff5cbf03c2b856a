"""Turns: a trace as a person reads it, nothing lost, nothing twice, and forks in words that hold."""

import pytest

from algorithms.report.traces import texts
from algorithms.report.turns import compared, fork_in_words, turns
from tests.algorithms.report.made import fork, trace


def test_nodes_without_a_parting_are_one_turn_and_each_is_in_exactly_one() -> None:
    made = trace()
    found = turns(made)
    nodes = [node for turn in found for segment in turn.segments for node in segment.nodes]
    assert sorted(nodes) == list(range(len(made["tree"]["nodes"])))
    assert [(turn.parent, turn.children, turn.leaves) for turn in found] == [
        (-1, [1, 2], []),
        (0, [], [0]),
        (0, [3, 4], []),
        (2, [], [1]),
        (2, [], [2]),
    ]
    # Cut nodes are joined again, policy before observation.
    words = ["".join(text for node in segment.nodes for text in texts(made, node)) for segment in found[2].segments]
    assert words == ["<search>cats</search>", "<result>a page</result>"]


def test_the_turn_before_a_parting_holds_the_decision_and_the_child_says_which_path_starts() -> None:
    found = turns(trace())
    assert found[2].fork == fork()
    assert all(turn.fork is None for turn in found if turn.number != 2)
    assert [(turn.path, turn.forked) for turn in found] == [
        (None, False),
        (0, False),
        (1, False),
        (None, False),
        (2, True),
    ]
    assert [turn.through for turn in found] == [[0, 1, 2], [0], [1, 2], [1], [2]]


def test_what_no_leaf_passes_is_left_out() -> None:
    made = trace()
    made["tree"]["leaves"] = made["tree"]["leaves"][:1]
    made["report"]["leaves"] = made["report"]["leaves"][:1]
    assert [[segment.nodes for segment in turn.segments] for turn in turns(made)] == [[(0,)], [(1,)]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "Forked here. Since the start of path 1 the level of the policy's entropy rose from 0.100 to 0.300",
        ),
        ({}, "P(fork) = 0.80. The draw 0.25 was below it."),
        ({"outcome": "draw", "draw": 0.9}, "Did not fork here."),
        ({"outcome": "draw", "draw": 0.9}, "The draw 0.90 was not below it."),
        ({"outcome": "budget"}, "Would have forked here, but no budget was left."),
        ({"outcome": "environment"}, "could not be forked"),
        ({"level": 0.05, "rise": -0.4}, "fell from 0.100 to 0.050, by 0.40 units"),
        ({"rise": 0.0}, "counted as no change"),
        ({"level": 0.1, "rise": 0.0}, "stayed at 0.100"),
        ({"penalty": 0.1, "streak": 2}, "after 10 % was taken off for 2 forks in a row"),
        ({"penalty": 0.05, "streak": 1}, "for 1 fork in a row"),
    ],
)
def test_a_decision_is_said_with_its_numbers(changes: dict[str, object], words: str) -> None:
    assert words in fork_in_words(fork(**changes))


def test_a_close_draw_is_told_from_its_probability() -> None:
    assert compared(fork(draw=0.5161, probability=0.5174)) == ("0.516", "0.517")
    assert compared(fork(draw=0.5, probability=0.8)) == ("0.50", "0.80")
    assert len(set(compared(fork(draw=0.51231, probability=0.51232)))) == 2
