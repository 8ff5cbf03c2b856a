"""What a comparison says: honest about nothing, right about something, at one budget, over the seeds both have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy.stats", reason="needs the extra 'compare'")

from baselines.findings import findings, point
from baselines.records import cells_of
from baselines.table import table
from baselines.untrained import untrained
from tests.baselines.made import FAMILIES, cell, comparison, record


def test_an_algorithm_against_itself_is_no_difference() -> None:
    cells, records = comparison({"grpo": 0.5, "again": 0.5}, seeds=5)
    found = findings(cells, records)
    versus = found["contenders"][1]["versus"]
    assert (versus["verdict"], versus["identical"]) == ("no difference", False)
    assert found["conclusions"][0] == "No difference between grpo and any other contender could be shown."
    assert "again and grpo: no difference shown" in found["conclusions"][1]


def test_of_many_pairs_of_equals_hardly_any_is_called_different() -> None:
    names = {f"same{number}": 0.5 for number in range(6)}
    told = []
    for start in range(0, 18, 6):
        cells, records = comparison(names, streams={one: 100 + start + place for place, one in enumerate(names)})
        told += [one["versus"]["verdict"] for one in findings(cells, records)["contenders"][1:]]
    assert len(told) == 15
    assert told.count("no difference") >= 14  # Holm: of three families of five tests, one false one is rare


def test_a_planted_effect_of_ten_points_is_found() -> None:
    cells, records = comparison({"grpo": 0.4, "aepo": 0.5, "same": 0.4})
    better, same = findings(cells, records)["contenders"][1:]
    assert better["versus"]["verdict"] == "better"
    assert better["versus"]["low"] < 0.1 < better["versus"]["high"]
    assert better["versus"]["improvement"][0] > 0.9
    assert same["versus"]["verdict"] == "no difference"
    said = findings(cells, records)["conclusions"][0]
    assert said == "aepo is better than grpo; no other difference could be shown."
    turned = findings(cells, records, reference="aepo")
    assert [one["label"] for one in turned["contenders"]] == ["grpo", "aepo", "same"]
    assert turned["contenders"][0]["versus"]["verdict"] == "worse"
    assert "grpo is worse than aepo: \u2212" in " ".join(turned["conclusions"])


def test_the_same_scores_are_told_to_be_identical() -> None:
    cells, records = comparison({"one": 0.5, "other": 0.5}, seeds=1, streams={"one": 1, "other": 1})
    assert "they answered every question alike" in " ".join(findings(cells, records)["conclusions"])


def test_one_seed_proves_nothing_however_large_the_difference() -> None:
    cells, records = comparison({"grpo": 0.3, "aepo": 0.7}, seeds=1)
    found = findings(cells, records)
    assert found["contenders"][1]["versus"]["verdict"] == "one seed"
    assert found["conclusions"][0].startswith("With one seed a contender, nothing can be said")


def test_runs_are_compared_at_the_largest_budget_that_all_have_reached() -> None:
    cells = [cell(label, seed) for seed in range(2) for label in ("plain", "greedy-for-rollouts")]
    used = {"plain": 100, "greedy-for-rollouts": 150}
    records = {
        one.name: record(one, 0.6, place, used=used[one.contender.label]) for place, one in enumerate(cells, start=1)
    }
    found = findings(cells, records)
    plain, hungry = found["contenders"]
    assert found["budget"] == 400
    assert (plain["at_steps"], hungry["at_steps"]) == ([4, 4], [2, 2])
    assert hungry["at"]["rollouts"] == 300
    assert hungry["score"][0] == pytest.approx(
        sum(sum(records[one.name]["curve"][2]["greedy"]) for one in cells[1::2]) / 2 / len(FAMILIES)
    )
    said = " ".join(found["limits"])
    assert "400 rollouts" in said
    assert "75 % of it or more" in said
    assert "greedy-for-rollouts (step 2 of 4, 75 % of the budget)" in said


def test_who_was_evaluated_before_training_alone_within_the_budget_is_not_compared() -> None:
    cells = [cell(label, seed) for seed in range(3) for label in ("plain", "other", "hungry")]
    used = {"plain": 100, "other": 100, "hungry": 500}  # at the first of its four evaluations after the start
    records = {one.name: record(one, 0.6, place, used=used[one.contender.label]) for place, one in enumerate(cells)}
    found = findings(cells, records)
    hungry = found["contenders"][2]
    assert (found["budget"], hungry["at_steps"]) == (400, [0, 0, 0])
    assert hungry["versus"] is None
    assert hungry["gain"] is None
    assert found["conclusions"][0] == "No difference between plain and any other contender could be shown."
    assert not any("hungry" in one for one in found["conclusions"])
    assert any(one.startswith("Not compared") and ": hungry. " in one for one in found["limits"])
    assert hungry["since_start"]["greedy"]["after"] > 0.5  # whole runs are told of all the same
    without = findings([one for one in cells if one.contender.label != "hungry"], records)
    assert without["contenders"][1]["versus"] == found["contenders"][1]["versus"]  # it weighs on no other's test
    turned = findings(cells, records, reference="hungry")
    assert [one["versus"] for one in turned["contenders"]] == [None] * 3
    assert not any("better" in one or "worse" in one for one in turned["conclusions"])


def test_where_no_training_was_evaluated_within_the_budget_nothing_is_said_of_it() -> None:
    cells = [cell("only", seed) for seed in range(2)]
    records = {one.name: record(one, 0.6, place, used=100 + place, points=1) for place, one in enumerate(cells)}
    found = findings(cells, records)  # the seed that used more has its start alone within what the other used
    assert found["contenders"][0]["at_steps"] == [1, 0]
    assert found["conclusions"][-1].startswith("Whether anything was learned within the budget is not known")
    assert any(one.startswith("Not compared") and ": only. " in one for one in found["limits"])


def test_nothing_trained_has_learned_nothing() -> None:
    cells = [cell(label, seed) for seed in range(2) for label in ("a", "b")]
    cells = [one._replace(steps=0) for one in cells]
    records = {one.name: record(one, 0.6, place, used=0, points=0) for place, one in enumerate(cells)}
    assert findings(cells, records)["conclusions"][-1] == "Nothing was trained."


def test_the_unit_decides_the_point() -> None:
    cells, records = comparison({"slow": 0.5, "fast": 0.5}, seeds=2)
    for one in cells:
        if one.contender.label == "slow":
            for at in [*records[one.name]["curve"], records[one.name]["used"]]:
                at["seconds"] *= 4
    assert findings(cells, records, unit="rollouts")["contenders"][0]["at_steps"] == [4, 4]
    found = findings(cells, records, unit="seconds")
    assert [one["at_steps"] for one in found["contenders"]] == [[1, 1], [4, 4]]


def test_an_agent_that_does_not_train_counts_as_it_is_and_sets_no_budget() -> None:
    cells, records = comparison({"grpo": 0.5, "agent": 0.5}, seeds=2)
    for one in cells:
        if one.contender.label == "agent":
            records[one.name] = record(one, 0.6, 5, used=0, points=0)
    found = findings(cells, records)
    assert found["budget"] == 400
    assert found["contenders"][1]["versus"] is not None


def test_results_of_agents_stand_beside_every_seed(tmp_path: Path) -> None:
    cells, records = comparison({"grpo": 0.3, "aepo": 0.5}, seeds=3)
    scores = {"scores": [1.0] * 190 + [0.0] * 10, "family_of": FAMILIES}
    file = tmp_path / "agents.jsonl"
    file.write_text(json.dumps({"agent": "oracle", "environment": {"name": "web"}, "greedy": scores}) + "\n")
    known: dict[str, Any] = {"seeds": range(3), "environment": "web", "out": tmp_path}
    more, theirs = untrained(file, families=FAMILIES, **known)
    found = findings([*cells, *more], {**records, **theirs})
    oracle = found["contenders"][2]
    assert (oracle["label"], oracle["score"][0], oracle["seeds"]) == ("oracle", 0.95, [0, 1, 2])
    assert oracle["versus"]["verdict"] == "better"
    assert "oracle" not in found["conclusions"][-1]
    assert found["budget"] == 400
    assert "| oracle |" in table(found)
    with pytest.raises(ValueError, match=r"oracle in .* played 200 questions of web, not those"):
        untrained(file, families=FAMILIES[:-1], **known)
    file.write_text("{}\n")
    with pytest.raises(ValueError, match=r"is no file of baselines.agents' results"):
        untrained(file, families=FAMILIES, **known)


def test_contenders_are_compared_over_the_seeds_both_have() -> None:
    cells, records = comparison({"grpo": 0.4, "aepo": 0.5}, seeds=5)
    del records[cells[0].name], records[cells[3].name]  # seed 0 of grpo, seed 1 of aepo
    found = findings(cells, records, failed={cells[0].name: "error: <b>disk</b> full"})
    assert found["contenders"][1]["versus"]["seeds"] == 3
    assert "Not all seeds are finished of grpo, aepo" in " ".join(found["limits"])
    assert "- grpo, seed 0: error:" in table(found)


def test_whom_nothing_is_finished_of_is_named() -> None:
    cells, records = comparison({"grpo": 0.4, "aepo": 0.5}, seeds=2)
    found = findings(cells, {name: one for name, one in records.items() if one["label"] == "grpo"})
    assert "no run of theirs is finished: aepo" in " ".join(found["limits"])
    with pytest.raises(ValueError, match="No cell is finished"):
        findings(cells, {})


def test_other_questions_are_not_compared() -> None:
    cells, records = comparison({"grpo": 0.4, "aepo": 0.5}, seeds=2)
    records[cells[1].name]["families"] = FAMILIES[::-1]
    with pytest.raises(ValueError, match="different questions"):
        findings(cells, records)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environment": "search"}, r"differ in their environment \(search, web\)"),
        ({"model": "smollm2"}, r"differ in their model \(smollm2, tiny\)"),
        ({"steps": 5}, r"called grpo differ in their steps \(4 and 5\)"),
        ({"settings": {"updates": "2"}}, r"called grpo differ in their settings"),
        ({"variant": "official"}, r"called grpo differ in their variants"),
        ({"seed": 0}, r"grpo, seed 0 is there twice"),
    ],
)
def test_records_of_unlike_runs_are_no_seeds_of_one_contender(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    _, records = comparison({"grpo": 0.4, "aepo": 0.5}, seeds=2)
    findings(cells_of(records, tmp_path), records)
    records[cell("grpo", 1).name] |= change
    with pytest.raises(ValueError, match=words):
        findings(cells_of(records, tmp_path), records)


def test_what_cannot_be_seen_is_said_in_points() -> None:
    cells, records = comparison({"a": 0.5, "b": 0.5, "c": 0.5}, seeds=3)
    found = findings(cells, records)
    said = re.search(r"With 3 seeds and 200 questions, true differences below about (\d+)", " ".join(found["limits"]))
    assert said is not None
    assert 4 <= int(said[1]) <= 25
    assert any("Five seeds or more" in one for one in found["limits"])
    assert any("Holm" in one for one in found["limits"])


def test_contenders_that_learned_nothing_are_told_of() -> None:
    cells, records = comparison({"a": 0.3, "b": 0.3}, seeds=3)
    assert "No contender was shown to have learned" in findings(cells, records)["conclusions"][-1]
    cells, records = comparison({"a": 0.6, "b": 0.6}, seeds=3)
    assert "All contenders learned" in findings(cells, records)["conclusions"][-1]


def test_curves_have_a_point_for_each_evaluation_against_every_unit() -> None:
    cells, records = comparison({"a": 0.6}, seeds=3)
    curve = findings(cells, records)["contenders"][0]["curve"]
    assert [one["step"] for one in curve] == [0, 1, 2, 3, 4]
    assert [one["tokens"] for one in curve] == [0, 900, 1800, 2700, 3600]
    assert all(one["low"] <= one["value"] <= one["high"] for one in curve)
    assert point(records[cells[0].name], "tokens", 1799)["step"] == 1


def test_the_table_has_a_line_a_contender_and_no_broken_cell() -> None:
    cells, records = comparison({"a": 0.5, "b|x": 0.6}, seeds=2)
    text = table(findings(cells, records))
    rows = [line for line in text.splitlines() if line.startswith("| b")]
    assert len(rows) == 4
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    json.dumps(findings(cells, records), allow_nan=False)


@pytest.mark.parametrize(("seeds", "over"), [(1, "questions alone"), (5, "seeds and questions")])
def test_each_is_held_against_its_own_start(seeds: int, over: str) -> None:
    cells, records = comparison({"up": 0.6, "still": 0.3, "down": 0.05}, seeds=seeds)
    for one in cells:  # a training that changed nothing
        if one.contender.label == "still":
            records[one.name]["curve"][-1] = {**records[one.name]["curve"][0], "step": 4, "rollouts": 400.0}
    found = findings(cells, records)
    verdicts = {one["label"]: one["since_start"]["verdict"] for one in found["contenders"]}
    assert verdicts == {"up": "improved", "still": "no change shown", "down": "below"}
    assert found["starts"][:3] == [
        "Improved on its start, beyond the interval: up.",
        "No change shown: still.",
        "Ended below its start, beyond the interval: down.",
    ]
    assert over in found["starts"][3]
    assert "up to 10 in a hundred" in found["starts"][3]  # greedy or sampled: two tests of 5 each
    up = found["contenders"][0]["since_start"]["greedy"]
    assert up["after"] - up["before"] == pytest.approx(up["gain"][0])
    text = table(found)
    assert "| | start, greedy % | end % | gained | start, sampled % | end % | gained | verdict |" in text.replace(
        "|  |", "| |"
    )


def test_a_start_is_judged_by_greedy_and_sampled_answers() -> None:
    cells, records = comparison({"one": 0.6}, seeds=1)
    (record,) = records.values()
    record["curve"][-1]["sampled"] = [0] * len(record["families"])
    assert findings(cells, records)["contenders"][0]["since_start"]["verdict"] == "mixed"
    record["curve"][-1]["greedy"] = record["curve"][0]["greedy"]
    assert findings(cells, records)["contenders"][0]["since_start"]["verdict"] == "below"
    record["curve"][0]["sampled"] = None
    found = findings(cells, records)
    assert found["contenders"][0]["since_start"]["verdict"] == "no change shown"


def test_other_machines_and_lost_episodes_are_told() -> None:
    cells, records = comparison({"a": 0.5, "b": 0.5}, seeds=2)
    assert not any("machines" in one or "Faults" in one for one in findings(cells, records)["limits"])
    records[cells[0].name] |= {"versions": {"torch": "2", "processor": "x"}, "lost": 3}
    records[cells[1].name] |= {"versions": {"torch": "3", "processor": "x"}}
    limits = findings(cells, records)["limits"]
    assert any("machines that differ (torch)" in one for one in limits)
    assert any("Faults of tools took 3 episodes" in one for one in limits)


def test_records_alone_are_compared_in_the_order_of_the_suite(tmp_path: Path) -> None:
    _, records = comparison({"rloo": 0.5, "aepo-without-all": 0.4, "aepo": 0.5, "grpo": 0.5}, seeds=2)
    for one in records.values():
        one["algorithm"] = one["label"].partition("-")[0]
    found = cells_of(records, tmp_path)
    assert [one.contender.label for one in found] == ["aepo", "aepo-without-all", "grpo", "rloo"] * 2
    assert [one.seed for one in found] == [0] * 4 + [1] * 4
    assert {one.name for one in found} == set(records)
    assert findings(found, records)["reference"] == "aepo"
