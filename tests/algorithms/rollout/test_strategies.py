"""Where trajectories start and where they fork, foretold exactly over a scripted engine."""

import math
from typing import Any

import pytest

from algorithms.rollout.aepo import EntropyBalanced
from algorithms.rollout.arpo import EntropyBranching
from algorithms.rollout.branching import ForkRule, RunningDeviation
from algorithms.rollout.independent import Independent
from algorithms.rollout.inputs import TokenLimits
from algorithms.rollout.paths import Deviations
from algorithms.rollout.records import summary
from algorithms.tree import Kind
from tests.algorithms.rollout.scripted import forked, play, searches, text_of
from tests.fakes import TASKS, EchoTool, make_env

IF_RISEN = ForkRule(base=0.5, weight=1.0, penalty=0.0, mode="threshold", threshold=0.5)
ALWAYS = ForkRule(base=1.0, weight=0.0, penalty=0.0)
NEVER = ForkRule(base=0.0, weight=0.0, penalty=0.0)


def arpo(budget: int, initial: int, rule: ForkRule = IF_RISEN, look_ahead: int = 4) -> EntropyBranching:
    return EntropyBranching(budget, initial, rule, look_ahead, "mean")


def aepo(budget: int, **options: Any) -> EntropyBalanced:
    return EntropyBalanced(budget, **{"rule": IF_RISEN, "look_ahead": 4, "scale": "mean", **options})


# --------------------------------------------------------------------------------------------------------- independent


def test_independent_paths_all_start_at_the_prompt_and_never_share() -> None:
    grown, _ = play(Independent(budget=5), searches(2), make_env())
    (tree,), (report,) = grown.trees, grown.reports
    assert [(leaf.path, leaf.origin, leaf.turns) for leaf in report.leaves] == [(i, 0, 3) for i in range(5)]
    assert [leaf.rewards["total"] for leaf in tree.leaves] == [1.0] * 5
    assert [leaf.stop_reason for leaf in tree.leaves] == ["answered"] * 5
    assert len(tree.nodes[tree.root].children) == 5
    assert report.forks == []
    assert report.calls == {"search": 10}


def test_leaves_hold_what_was_asked_said_and_answered() -> None:
    grown, _ = play(Independent(budget=2), searches(1), make_env())
    assert text_of(grown.trees[0], 1) == (
        "What is 0 and 0?<search>path 1 turn 0</search><result>\npath 1 turn 0\n</result><answer>0</answer>"
    )


# ---------------------------------------------------------------------------------------------------------------- ARPO


def test_forks_fill_the_budget_exactly_and_no_leaf_occurs_twice() -> None:
    grown, _ = play(arpo(budget=6, initial=2), searches(3), make_env())
    (tree,), (report,) = grown.trees, grown.reports
    assert [record.round for record in report.forks] == [1, 1, 2, 2, 2, 2]
    assert [record.outcome for record in report.forks] == ["forked"] * 4 + ["budget"] * 2
    assert len(tree.leaves) == len({leaf.node for leaf in tree.leaves}) == 6
    assert len({text_of(tree, leaf) for leaf in range(6)}) == 6


def test_a_child_is_the_originals_sibling_at_the_observation_and_writes_its_own_first_tokens() -> None:
    grown, _ = play(arpo(budget=2, initial=1), searches(2), make_env())
    (tree,), (report,) = grown.trees, grown.reports
    (record,) = report.forks
    child = report.leaves[1]
    assert (child.parent, child.origin) == (0, record.node)
    node = tree.nodes[record.node]
    assert node.kind == Kind.OBSERVATION
    texts = [bytes(tree.nodes[below].tokens).decode() for below in node.children]
    assert sorted(texts) == ["<search>path 0 turn 1</search>", "<search>path 1 turn 1</search>"]
    assert all(tree.nodes[below].kind == Kind.POLICY for below in node.children)


@pytest.mark.parametrize("look_ahead", [1, 7, 25, 500])
def test_the_look_ahead_changes_nothing_of_what_is_written(look_ahead: int) -> None:
    grown, _ = play(arpo(6, 2, look_ahead=look_ahead), searches(3), make_env())
    reference, _ = play(arpo(6, 2), searches(3), make_env())
    # Node numbers go by when turns were finished, which a long look-ahead changes.
    assert [text_of(grown.trees[0], i) for i in range(6)] == [text_of(reference.trees[0], i) for i in range(6)]
    assert [record[:1] + record[3:] for record in grown.reports[0].forks] == [
        record[:1] + record[3:] for record in reference.reports[0].forks
    ]


@pytest.mark.parametrize(("look_ahead", "decided"), [(4, 30 + 4), (29, 30 + 29), (500, 30 + 30)])
def test_the_decision_falls_at_the_last_look_ahead_token_or_the_turns_end(look_ahead: int, decided: int) -> None:
    _, engine = play(arpo(2, 1, look_ahead=look_ahead), searches(2), make_env())  # turns of 30 tokens
    assert engine.started[0, 0, "task-0", 1, 0] == decided


def test_left_over_budget_starts_at_the_prompt_all_at_once_and_does_not_fork() -> None:
    grown, engine = play(arpo(budget=6, initial=2), searches(2, entropies=(2.0, 1.0)), make_env())
    (report,) = grown.reports
    assert [record.outcome for record in report.forks] == ["draw"] * 4, "the two initial paths alone are asked"
    assert [leaf.origin for leaf in report.leaves] == [0] * 6
    starts = {key[3]: step for key, step in engine.started.items() if len(key) == 5}
    assert len({starts[path] for path in range(2, 6)}) == 1
    assert starts[2] > max(step for step, key in engine.log if key[3] < 2) - 1


def test_without_a_fork_all_initial_paths_and_the_rest_are_still_the_budget() -> None:
    grown, _ = play(arpo(7, 3, NEVER), searches(2), make_env())
    assert len(grown.trees[0].leaves) == 7


def test_every_fork_decision_is_recorded_with_what_it_was_taken_on() -> None:
    rule = ForkRule(base=0.5, weight=1.0, penalty=0.0)
    grown, _ = play(arpo(32, 4, rule), searches(3, entropies=(1.0, 2.0, 0.5, 3.0)), make_env())
    records = grown.reports[0].forks
    assert len(set(forked(records))) == 2
    for record in records:
        after = {1: 2.0, 2: 0.5, 3: 3.0}[record.round] / math.log(256)
        assert record.start_level == pytest.approx(1.0 / math.log(256), rel=1e-12)
        assert record.level == pytest.approx(after, rel=1e-12)
        assert record.rise == record.difference
        assert record.probability == pytest.approx(0.5 + record.rise, rel=1e-12)
        assert (record.outcome == "forked") == (record.draw < record.probability)


def test_a_childs_start_level_is_its_parents() -> None:
    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        text, _ = searches(3)(key, before)
        return text, 1.0 + key[3] + before.count("</result>")  # each path has its own level

    grown, _ = play(arpo(4, 1), write, make_env())
    starts = {record.path: record.start_level for record in grown.reports[0].forks}
    assert len(starts) > 1
    assert set(starts.values()) == {1.0 / math.log(256)}


def test_standardised_rises_use_the_deviation_of_earlier_batches_only() -> None:
    strategy = EntropyBranching(8, 2, ForkRule(base=0.5, weight=0.2, penalty=0.0), 4, "standardised")
    first, _ = play(strategy, searches(3), make_env())
    assert {record.rise for record in first.reports[0].forks} == {0.0}, "nobody knows the unit yet"
    assert first.deviations.forks.seen == len(first.reports[0].forks)
    known = Deviations(forks=RunningDeviation(100.0, 0.0, 100.0 * 0.1**2))
    second, _ = play(strategy, searches(3), make_env(), deviations=known)
    for record in second.reports[0].forks:
        assert record.rise == pytest.approx(record.difference / 0.1, rel=1e-9)
    assert second.deviations.forks.seen == 90 + len(second.reports[0].forks), "a tenth of the past fades"
    differences = [record.difference for record in second.reports[0].forks]
    assert second.deviations.forks.total == pytest.approx(math.fsum(differences), rel=1e-12)


# ---------------------------------------------------------------------------------------------------------------- AEPO


@pytest.mark.parametrize(("root", "tool"), [(1.0, 5.0), (3.0, 3.0), (5.0, 1.0)])
@pytest.mark.parametrize("keep_probe", [True, False])
def test_the_probe_splits_the_budget(root: float, tool: float, keep_probe: bool) -> None:
    strategy = aepo(12, rule=NEVER, sensitivity=3.0, keep_probe=keep_probe)
    grown, engine = play(strategy, searches(2, entropies=(root, tool)), make_env())
    (report,) = grown.reports
    expected = round(12 / (1 + math.exp(-3.0 * (root - tool) / math.log(256))))
    assert report.roots == expected
    assert report.gap == pytest.approx((root - tool) / math.log(256), rel=1e-12)
    starts = sorted(step for key, step in engine.started.items() if len(key) == 5)
    assert starts.count(starts[0]) == 1, "the probe runs alone"
    others = max(1, expected - keep_probe)  # with none, nothing could fork
    assert starts.count(starts[1]) == others
    assert {record.path for record in report.forks} == set(range(1, others + 1))
    assert [leaf.path for leaf in report.leaves] == list(range(not keep_probe, 12 + (not keep_probe)))
    assert len(grown.trees[0].leaves) == 12


def test_the_three_splits_differ() -> None:
    found = []
    for root, tool in [(1.0, 5.0), (3.0, 3.0), (5.0, 1.0)]:
        grown, _ = play(aepo(12, sensitivity=3.0), searches(2, entropies=(root, tool)), make_env())
        found.append(grown.reports[0].roots)
    assert found == [1, 6, 11]


def test_the_probe_never_forks_even_where_entropy_rises() -> None:
    grown, _ = play(aepo(6, rule=ALWAYS), searches(2), make_env())
    (report,) = grown.reports
    assert report.leaves[0].path == 0
    assert 0 not in {record.path for record in report.forks}
    assert 0 not in {leaf.parent for leaf in report.leaves}


def test_a_probe_that_calls_no_tool_splits_the_budget_evenly() -> None:
    grown, _ = play(aepo(8, sensitivity=100.0), searches(0), make_env())
    assert grown.reports[0].roots == 4
    assert grown.reports[0].gap is None
    assert grown.deviations.roots.seen == 0


@pytest.mark.parametrize("keep_probe", [True, False])
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_small_budgets_are_kept_to(budget: int, keep_probe: bool) -> None:
    for root, tool in [(1.0, 5.0), (5.0, 1.0)]:
        strategy = aepo(budget, rule=ALWAYS, sensitivity=10.0, keep_probe=keep_probe)
        grown, _ = play(strategy, searches(2, entropies=(root, tool)), make_env())
        assert len(grown.trees[0].leaves) == budget


def test_each_fork_in_a_row_costs_the_path_and_its_child_and_a_pause_forgives() -> None:
    rule = ForkRule(base=1.0, weight=0.0, penalty=0.3, mode="threshold", threshold=0.5)  # scores 1, 0.7, 0.4, 1, ...
    grown, _ = play(aepo(64, rule=rule, premonitor=False, initial=1), searches(5), make_env())
    (report,) = grown.reports
    of_path = {number: [r for r in report.forks if r.path == number] for number in {r.path for r in report.forks}}
    assert forked(of_path[0]) == [True, True, False, True, True]
    assert [record.streak for record in of_path[0]] == [0, 1, 2, 0, 1]
    assert [record.penalty for record in of_path[0]] == pytest.approx([0.0, 0.3, 0.6, 0.0, 0.3])
    first_child = next(leaf for leaf in report.leaves if leaf.parent == 0)
    assert forked(of_path[first_child.path]) == [True, False, True, True]


def test_without_pre_monitoring_half_of_the_budget_starts_at_the_prompt() -> None:
    grown, engine = play(aepo(8, premonitor=False, rule=NEVER), searches(1), make_env())
    assert grown.reports[0].roots == 4
    assert sum(step == 0 for key, step in engine.started.items() if len(key) == 5) == 4


# ------------------------------------------------------------------------------------------------- time, company, seeds


def uneven(key: tuple[Any, ...], before: str) -> tuple[str, float]:
    """Paths of very different speed and number of turns."""
    turn, path = before.count("</result>"), key[3]
    if turn >= 2 + path % 3:
        return "<answer>0</answer>", 2.0
    return f"<search>path {path} {'slow ' * (7 * path % 5)}turn {turn}</search>", 1.0 + turn


COIN = ForkRule(base=0.5, weight=0.2, penalty=0.05)


def test_decisions_fall_round_by_round_however_fast_the_paths_are() -> None:
    grown, _ = play(arpo(24, 5, COIN), uneven, make_env())
    rounds = [record.round for record in grown.reports[0].forks]
    assert rounds == sorted(rounds)
    assert len(set(rounds)) > 2


def test_the_order_of_decisions_in_a_round_is_drawn() -> None:
    grown, _ = play(arpo(24, 8, NEVER), searches(4), make_env())
    records = grown.reports[0].forks
    orders = [[record.path for record in records if record.round == turn] for turn in range(1, 5)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_between_questions_nothing_waits() -> None:
    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        text, entropy = uneven(key, before)
        return (text.replace("path", "path" * 200) if key[2] == "task-0" else text), entropy

    _, engine = play(arpo(6, 3, COIN), write, make_env(), TASKS[:2], limits=TokenLimits(2_000, 20_000))
    first_of_slow = min(step for step, key in engine.log if key[2] == "task-0" and len(key) == 5 and step > 10)
    last_of_quick = max(step for step, key in engine.log if key[2] == "task-1")
    assert last_of_quick < first_of_slow


@pytest.mark.parametrize("strategy", [arpo(8, 3, COIN), aepo(8, rule=COIN)], ids=["arpo", "aepo"])
def test_a_question_grows_the_same_in_any_company(strategy: Any) -> None:
    alone, _ = play(strategy, uneven, make_env(), TASKS[3:4])
    for company in (TASKS[:5], (TASKS[5], TASKS[3]), (TASKS[3], TASKS[4])):
        together, _ = play(strategy, uneven, make_env(), company)
        place = company.index(TASKS[3])
        assert together.trees[place].to_plain() == alone.trees[0].to_plain()
        assert together.reports[place] == alone.reports[0]


def test_equal_seeds_give_equal_trees_and_others_other_decisions() -> None:
    grown = [
        play(arpo(8, 3, COIN), uneven, make_env(), TASKS[:3], seed=seed, step=step)[0]
        for seed, step in ((1, 2), (1, 2), (2, 2), (1, 3))
    ]
    plain = [[tree.to_plain() for tree in one.trees] for one in grown]
    assert plain[0] == plain[1]
    assert grown[0].reports == grown[1].reports
    draws = [[record.draw for report in one.reports for record in report.forks] for one in grown]
    assert draws[0] != draws[2] != draws[3] != draws[0]


def test_a_task_given_twice_is_two_questions() -> None:
    grown, _ = play(arpo(8, 3, COIN), uneven, make_env(), (TASKS[0], TASKS[0]))
    assert [tree.question for tree in grown.trees] == ["task-0", "task-0#2"]
    draws = [[record.draw for record in report.forks] for report in grown.reports]
    assert draws[0] != draws[1]


def test_the_summary_counts_what_happened() -> None:
    grown, _ = play(arpo(6, 2), searches(3), make_env([EchoTool()]), TASKS[:2])
    found = summary(grown.reports)
    assert found["fork_decisions"] == 12
    assert found["forks"] == 8
    assert found["not_forked"] == {"budget": 4}
    assert found["questions_forked"] == 2
    assert found["leaves"] == 12
    assert found["stop_reasons"] == {"answered": 12}
    # Shared turns are played once: 2 + 4 + 6 searches and 6 answers a question.
    assert found["tool_calls"] == {"search": 24}
    assert found["steps"] == 36


def test_strategies_refuse_settings_that_make_no_sense() -> None:
    for make in (
        lambda: Independent(budget=0),
        lambda: EntropyBranching(budget=4, initial=5),
        lambda: EntropyBalanced(budget=0),
        lambda: EntropyBalanced(initial=3),
        lambda: EntropyBalanced(look_ahead=0),
    ):
        with pytest.raises(ValueError, match=r"Expected|initial is for"):
            make()
