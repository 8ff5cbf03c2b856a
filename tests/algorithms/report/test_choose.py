"""Which trees a report shows: those worth looking at, of early and late steps, within a budget; long texts are cut."""

import json
from pathlib import Path

from algorithms.report.choose import LONGEST_OBSERVATION, LONGEST_TURN, chosen, in_turn, tree_data, trees
from algorithms.report.traces import Trace, trace_file
from algorithms.tree import Kind, TokenTree
from tests.algorithms.report.made import fork, run, trace

PLENTY = 10_000_000


def marked(question: int, solved: tuple[bool, bool, bool], forks: int = 1, python: int = 0) -> Trace:
    made = trace(question=question)
    for leaf, right in zip(made["leaves"], solved, strict=True):
        leaf["solved"] = right
    made["report"]["forks"] = [fork(node=1)] * forks
    made["report"]["calls"] = {"python": python}
    return made


def test_questions_are_chosen_for_what_there_is_to_see_each_once() -> None:
    given = [
        marked(0, (False, False, False)),
        marked(1, (True, True, True)),
        marked(2, (True, False, False), forks=4),
        marked(3, (False, False, False), python=2),
        marked(4, (True, True, False)),
        marked(5, (False, False, False), forks=3),
    ]
    why = {one["question"]: reasons for one, reasons in chosen(given)}
    assert why == {2: ["most mixed", "most forked"], 1: ["best"], 5: ["worst"], 3: ["python"]}


def test_of_questions_that_are_all_alike_one_is_shown() -> None:
    assert [one["question"] for one, _ in chosen([marked(place, (False,) * 3, forks=0) for place in range(3)])] == [0]
    assert list(chosen([])) == []


def test_steps_are_taken_from_both_ends_inwards_and_no_more_than_asked() -> None:
    assert in_turn([]) == []
    assert in_turn([4]) == [4]
    assert in_turn([1, 2]) == [1, 2]
    assert in_turn(list(range(1, 10))) == [1, 9, 5, 3, 7, 2, 4, 6, 8]
    assert in_turn(list(range(1, 81)), most=5) == [1, 80, 40, 20, 60]


def test_the_budget_holds_and_what_fits_covers_the_run(tmp_path: Path) -> None:
    folder = run(tmp_path, steps=9, planned=9)
    everything = trees(folder, PLENTY)
    assert [one["step"] for one in everything] == [9, *range(1, 9)]  # the one to start with comes first
    budget = int(2.5 * len(json.dumps(everything[0])))
    some = trees(folder, budget)
    assert [one["step"] for one in some] == [9, 1]
    assert len(json.dumps(some)) <= budget + 4


def test_a_file_that_was_cut_short_hides_no_other(tmp_path: Path) -> None:
    folder = run(tmp_path, steps=3, planned=3)
    file = trace_file(folder, 2)
    file.write_bytes(file.read_bytes()[:40])
    assert [one["step"] for one in trees(folder, PLENTY)] == [3, 1]


def test_the_tree_worth_seeing_comes_first_whatever_its_step_and_only_once(tmp_path: Path) -> None:
    late = [trace(step) for step in range(1, 41)] + [trace(38, 1), trace(40, 1)]
    best = late[-2]
    best["report"]["forks"] = [fork(probability=0.1, outcome="draw"), fork()]
    shown = trees(run(tmp_path, steps=40, planned=40, traces=late), PLENTY)
    assert 38 not in in_turn(list(range(1, 41)))  # it is there for being worth it alone
    assert (shown[0]["step"], shown[0]["question"], shown[0]["why"]) == (38, 1, ["start here"])
    assert [one["step"] for one in shown[1:]] == sorted(in_turn(list(range(1, 41))))
    best["step"], late[-1]["step"] = 40, 38  # now of a step that is looked into, and of the questions chosen there
    best["leaves"][0]["solved"] = True
    shown = trees(run(tmp_path / "other", steps=40, planned=40, traces=late), PLENTY)
    assert (shown[0]["step"], shown[0]["question"]) == (40, 1)
    assert shown[0]["why"][0] == "start here"
    assert [(one["step"], one["question"]) for one in shown].count((40, 1)) == 1


def test_a_tree_keeps_its_texts_numbers_and_reasons() -> None:
    data = tree_data(trace())
    policy, page = data["turns"][2]["parts"]
    assert "".join(policy["pieces"]) == "<search>cats</search>"
    assert (policy["surprise"], policy["entropy"]) == ([100, 50, 25], [100, 50, 25])
    assert page == {"kind": "observation", "text": "<result>a page</result>", "tokens": 1}
    assert data["turns"][2]["fork"]["words"].startswith("Forked here.")
    assert data["leaves"][1]["advantages"] == [1300, 1400, 1500, 1400, 1300, 1500]
    assert [leaf["solved"] for leaf in data["leaves"]] == [False, True, False]


def test_long_texts_are_cut_and_say_so() -> None:
    made, long = trace(), TokenTree("long", [1])
    turn = long.add(0, Kind.POLICY, [4] * (LONGEST_TURN + 5), [-0.1] * (LONGEST_TURN + 5), [0.1] * (LONGEST_TURN + 5))
    page = long.add(turn, Kind.OBSERVATION, [8] * 3 * LONGEST_OBSERVATION)
    long.add_leaf(page, "max_turns", {"total": 0.0})
    made["tree"] = long.to_plain()
    made["leaves"], made["report"]["leaves"] = made["leaves"][:1], made["report"]["leaves"][:1]
    policy, observation = tree_data(made)["turns"][1]["parts"]
    assert (len(policy["pieces"]), policy["tokens"], policy["rest"]) == (LONGEST_TURN, LONGEST_TURN + 5, "cats" * 5)
    assert "12,000 characters left out" in observation["text"]
    assert len(observation["text"]) < LONGEST_OBSERVATION + 100
