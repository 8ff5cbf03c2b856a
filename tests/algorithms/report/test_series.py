"""Curves: what is drawn is what was measured, and charts of nothing are left out."""

from pathlib import Path
from typing import Any

import pytest

from algorithms.report.run_files import RunFiles
from algorithms.report.series import charts, families
from tests.algorithms.report.made import evaluation, lines, metrics, run


def drawn(folder: Path, *records: dict[str, Any]) -> dict[str, dict[str, Any]]:
    run(folder, steps=len(records), planned=len(records))
    lines(folder / "metrics.jsonl", list(records))
    return {chart["title"]: chart for chart in charts(RunFiles.read(folder))}


def test_each_chart_has_a_value_a_step_and_says_its_unit(tmp_path: Path) -> None:
    for chart in drawn(tmp_path, metrics(1), metrics(2), metrics(3)).values():
        assert chart["unit"]
        assert all(len(line["values"]) == 3 for line in chart["lines"])


def test_success_has_the_interval_over_questions_within_0_and_100(tmp_path: Path) -> None:
    (line,) = drawn(tmp_path, metrics(1), metrics(2, success=0.01), metrics(3, success_deviation=None))["Success"][
        "lines"
    ]
    assert line["values"] == [25, 1, 25]
    half = 100 * 1.96 * 0.2 / 2
    assert (line["low"][0], line["high"][0]) == pytest.approx((25 - half, 25 + half))
    assert (line["low"][1], line["low"][2]) == (0, None)


def test_where_a_filter_chose_the_interval_is_of_all_that_was_grown(tmp_path: Path) -> None:
    step = metrics(1, grown_success=0.5, grown_success_deviation=0.4, grown_questions=16, success_deviation=0.1)
    (line,) = drawn(tmp_path, step)["Success"]["lines"]
    half = 100 * 1.96 * 0.4 / 4
    assert (line["low"][0], line["high"][0]) == pytest.approx((50 - half, 50 + half))


def test_clipped_tokens_are_told_by_side_after_the_first_step(tmp_path: Path) -> None:
    def step(high: int, low: int) -> dict[str, int]:
        return {"trained_tokens": 200, "clipped_high": high, "clipped_low": low, "clipped_dual": 0}

    records = [metrics(1, update__steps=[step(90, 90), step(4, 0), step(2, 2)], update__clip_share=0.02)]
    records.append(metrics(2, update__steps=[step(90, 90)], update__clip_share=None))
    (whole, *sides) = drawn(tmp_path, *records)["Clipped tokens"]["lines"]
    assert {line["name"]: line["values"] for line in sides} == {"above": [1.5, None], "below": [0.5, None]}
    assert whole["values"] == [2, None]


def test_evaluations_are_points_at_their_step(tmp_path: Path) -> None:
    points = drawn(tmp_path, metrics(1), metrics(2))["Success"]["points"]
    assert [(one["step"], one["value"], one["name"]) for one in points] == [
        (0, 25, "greedy, before"),
        (2, 75, "greedy, after"),
    ]


def test_shares_of_endings_add_up_and_a_kind_that_comes_late_is_0_before(tmp_path: Path) -> None:
    late = metrics(2, rollout__stop_reasons={"answered": 8, "max_turns": 8})
    chart = drawn(tmp_path, metrics(1), late)["How trajectories ended"]
    assert [sum(values) for values in zip(*(line["values"] for line in chart["lines"]), strict=True)] == [100, 100]
    assert {line["name"]: line["values"] for line in chart["lines"]}["max turns"] == [0, 50]


def test_a_chart_of_nothing_is_left_out_and_a_gap_stays_one(tmp_path: Path) -> None:
    never = {"update__kept_gradient": 0.0, "interpreters": {}, "update__clip_share": None}
    titles = drawn(tmp_path / "a", metrics(1, **never))
    assert not {"Gradient given back", "Live interpreters", "Clipped tokens"} & set(titles)
    some = drawn(tmp_path / "b", metrics(1, update__clip_share=None), metrics(2), metrics(3, update__kl=float("nan")))
    assert some["Clipped tokens"]["lines"][0]["values"] == [None, 2, 2]
    assert some["Policy drift"]["lines"][0]["values"] == [0.001, 0.001, None]


def test_no_steps_no_charts(tmp_path: Path) -> None:
    assert charts(RunFiles.read(run(tmp_path, steps=0, traces=[]))) == []


def test_families_come_with_their_own_intervals(tmp_path: Path) -> None:
    greedy, sampled = families(RunFiles.read(run(tmp_path)))
    assert [row["name"] for row in greedy["rows"]] == ["all", "web/1-hop", "web/2-hop"]
    assert [(row["before"][0], row["after"][0]) for row in greedy["rows"]] == [(25, 75), (0, 50), (50, 100)]
    assert [row["gained"] for row in greedy["rows"]] == [50, 50, 50]
    assert greedy["rows"][1]["questions"] == 2
    assert sampled["title"] != greedy["title"]


def test_before_alone_and_older_files_without_families_are_shown_too(tmp_path: Path) -> None:
    folder = run(tmp_path, planned=9)
    old = evaluation("before", [1.0, 0.0])
    for mode in ("greedy", "sampled"):
        del old[mode]["family_of"]
    lines(folder / "eval.jsonl", [old])
    (row,) = families(RunFiles.read(folder))[0]["rows"]
    assert (row["name"], row["before"][0], row["after"], row["gained"]) == ("all", 50, None, None)
