"""How widely a batch explored: on trees and reports small enough to count by hand."""

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from aepo_env.episode import CallRecord, Episode, Turn
from algorithms.rollout.records import ForkRecord, QuestionReport
from algorithms.training.exploration import exploration
from algorithms.training.measures import variety
from algorithms.tree import Kind, TokenTree
from tests.fakes import TASKS

HIGH, LOW = 2.0, 0.1


def turn(tree: TokenTree, parent: int, entropy: float, tokens: int = 3) -> int:
    return tree.add(parent, Kind.POLICY, [1] * tokens, [-1.0] * tokens, [entropy] * tokens)


def path(tree: TokenTree, parent: int, *entropies: float) -> int:
    """Turns with a tool result before each; the last node."""
    for entropy in entropies:
        parent = turn(tree, tree.add(parent, Kind.OBSERVATION, [7]), entropy)
    return parent


def test_uncertain_turns_in_a_row_are_counted_behind_tool_results_alone_and_once() -> None:
    tree = TokenTree("q", [5])
    first = turn(tree, tree.root, HIGH)  # answers the question, no tool result
    shared = path(tree, first, HIGH)
    tree.add_leaf(path(tree, shared, HIGH, LOW, HIGH), "answered")
    tree.add_leaf(path(tree, shared, HIGH), "answered")
    # Behind results: shared (first of its path), HIGH after HIGH twice, LOW, HIGH after LOW.
    assert exploration([tree], [])["uncertain_in_a_row"] == pytest.approx(2 / 3)


def test_a_turn_in_several_nodes_is_one_turn() -> None:
    tree = TokenTree("q", [5])
    start = turn(tree, tree.root, LOW)
    cut = path(tree, start, HIGH, HIGH)
    tree.add_leaf(cut, "answered")
    tree.split(cut, 1)
    tree.add_leaf(path(tree, start, LOW), "answered")
    assert exploration([tree], [])["uncertain_in_a_row"] == 1.0


def test_the_busiest_three_paths_of_each_question() -> None:
    def fork(where: int, outcome: str = "forked") -> ForkRecord:
        return ForkRecord(1, where, 0, 0.0, 0.0, 0.0, 0, 0.5, 0.0, 0.1, outcome)  # type: ignore[arg-type]

    spread = QuestionReport("a", forks=[fork(number) for number in range(5)] + [fork(9, "draw")])
    narrow = QuestionReport("b", forks=[fork(0)] * 5)
    assert exploration([], [spread, narrow])["forks_of_busiest"] == pytest.approx((3 + 5) / 10)


def test_what_differs_between_the_trajectories_of_a_question() -> None:
    report = QuestionReport("a")
    call = CallRecord("search", "moon", (0, 1), "A page.")
    other = call._replace(argument="the moon")
    for calls, answer in (((call,), "1"), ((call, other), "1"), ((other,), None)):
        report.note(Episode(TASKS[0], 0, (Turn("", "", calls),), answer=answer))
    assert exploration([], [report])["different"] == {"calls": 2.0, "results": 1.0, "answers": 1.0}


def test_nothing_to_take_a_share_of() -> None:
    tree = TokenTree("q", [5])
    tree.add_leaf(turn(tree, tree.root, HIGH), "answered")
    found = exploration([tree], [QuestionReport("a")])
    assert found["uncertain_in_a_row"] is None
    assert found["forks_of_busiest"] is None
    assert found["different"]["answers"] == 0.0


def test_variety_counts_shared_tokens_once_and_trajectories_by_what_the_policy_wrote() -> None:
    forked = TokenTree("q", [5])
    first = turn(forked, forked.root, LOW)
    for token, right in ((1, 1.0), (1, 0.0), (2, 0.0)):
        page = forked.add(first, Kind.OBSERVATION, [7])
        forked.add_leaf(forked.add(page, Kind.POLICY, [token], [-1.0], [LOW]), "answered", {"total": right})
    alone = TokenTree("r", [5])
    alone.add_leaf(turn(alone, alone.root, LOW, tokens=4), "answered", {"total": 0.0})
    found = variety([forked, alone])
    assert found == {"policy_tokens": 3 + 3 + 4, "distinct": pytest.approx((2 / 3 + 1) / 2), "mixed": 0.5}
