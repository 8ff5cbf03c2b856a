"""The figures of a run: right where they can be worked out by hand, None where there is nothing."""

from pathlib import Path

import numpy as np
import pytest

from algorithms.report import summary as summary_module
from algorithms.report.run_files import RunFiles
from algorithms.report.summary import FEWEST_STEPS, headline, interval, part_lines, parts_in_words, percent, summary
from algorithms.rollout.faults import JUDGE
from tests.algorithms.report.made import lines, metrics, run


def found(folder: Path, *records: dict[str, object]) -> dict[str, object]:
    run(folder, steps=len(records), planned=len(records))
    lines(folder / "metrics.jsonl", list(records))
    return summary(RunFiles.read(folder))


def test_gains_are_paired_by_question(tmp_path: Path) -> None:
    gain = summary(RunFiles.read(run(tmp_path)))["gain"]["greedy"]
    differences = np.array([1.0, 0.0, 0.0, 1.0])
    half = 1.96 * differences.std(ddof=1) / 2
    assert (gain["before"], gain["after"], gain["mean"], gain["questions"]) == (0.25, 0.75, 0.5, 4)
    assert (gain["low"], gain["high"]) == pytest.approx((0.5 - half, 1.0))  # 0.5 + half is more than all


def test_an_interval_of_one_value_is_the_value() -> None:
    assert interval([0.5]) == (0.5, 0.5, 0.5)


def test_shares_count_steps_and_questions(tmp_path: Path) -> None:
    seen = found(
        tmp_path,
        metrics(1, update__clip_share=0.001, update__kept_gradient=0.0),
        metrics(2, update__clip_share=0.005, rollout__roots=[[7, 4]]),
        metrics(3, update__clip_share=None, interpreters__forked=4),
        metrics(4, update__clip_share=0.11, warnings=["Look here."]),
    )
    assert seen["steps_given_back"] == 0.75
    assert seen["steps_clipped"] == pytest.approx(1 / 3)  # of the steps that had a second update
    assert seen["root_values"] == [2, 3, 7]
    assert (seen["questions_forked"], seen["questions"]) == (12, 20)
    assert seen["interpreters"]["forked"] == 7  # type: ignore[index]
    assert seen["warnings"] == [(4, "Look here.")]


def test_quartiles_are_of_all_decisions_of_the_run(tmp_path: Path) -> None:
    counts = [[[0.1, 1], [0.5, 3]], [[0.52, 6], [0.9, 2]], [[0.3, 5]]]
    seen = found(tmp_path, *(metrics(step, rollout__fork_probabilities=one) for step, one in enumerate(counts, 1)))
    values = [value for step in counts for value, count in step for _ in range(int(count))]
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    assert seen["fork_probability"] == pytest.approx({"low": low, "middle": middle, "high": high, "range": high - low})


def test_a_run_without_a_step_has_no_figures_and_no_parts(tmp_path: Path) -> None:
    seen = summary(RunFiles.read(run(tmp_path, steps=0, traces=[])))
    assert (seen["gain"], seen["fork_probability"], seen["steps_given_back"]) == ({}, None, None)
    assert (headline(seen), parts_in_words(seen)) == ([], [])


@pytest.mark.parametrize(
    ("changes", "idle"),
    [
        ({}, None),
        ({"rollout__roots": [[4, 4]]}, "Pre-monitoring"),
        ({"rollout__forks": 0}, "Branching"),
        ({"rollout__fork_probabilities": [[0.5, 9]]}, "Entropy in P(fork)"),
        ({"rollout__fork_probabilities": []}, "Entropy in P(fork)"),
        ({"interpreters__forked": 0}, "Live interpreters in forks"),
        ({"update__clip_share": 0.0}, "Clip"),
        ({"update__clip_share": 0.0004}, "Clip"),  # 0.0 % in words
        ({"update__clip_share": 0.0006}, None),
        ({"update__kept_gradient": 0.0}, "Balanced clip"),
        ({"entropy_deviation": 0.0}, "Entropy-aware advantage"),
        ({"unique_tokens": 400}, "Token tree"),
    ],
)
def test_a_part_that_never_acted_is_named_and_no_other(
    changes: dict[str, object], idle: str | None, tmp_path: Path
) -> None:
    parts = parts_in_words(found(tmp_path, metrics(1, **changes)))
    assert [part.name for part in parts if not part.acted] == ([] if idle is None else [idle])
    assert len(parts) == 8


def test_parts_are_those_of_the_algorithm(tmp_path: Path) -> None:
    names = {}
    for algorithm in ("aepo", "arpo", "grpo"):
        folder = run(tmp_path / algorithm, algorithm=algorithm)
        names[algorithm] = {part.name for part in parts_in_words(summary(RunFiles.read(folder)))}
    assert names["grpo"] == {"Clip", "Token tree"}
    assert names["grpo"] < names["arpo"] < names["aepo"]
    assert "Branching" in names["arpo"]


def test_a_part_that_was_off_is_not_said_to_act(tmp_path: Path) -> None:
    # AEPO with the weight of entropies 0, or as published: entropies differ all the same.
    parts = parts_in_words(found(tmp_path, metrics(1, parts=["branching", "balanced"])))
    names = {part.name for part in parts}
    assert {"Branching", "Balanced clip"} < names
    assert not {"Entropy-aware advantage", "Pre-monitoring"} & names


def test_steps_from_the_same_state_are_a_part_too(tmp_path: Path) -> None:
    steps = [metrics(1, parts=["steps"], steps={"grouped": 0.5}), metrics(2, parts=["steps"], steps={"grouped": None})]
    (part,) = [part for part in parts_in_words(found(tmp_path, *steps)) if part.name == "Steps from the same state"]
    assert part.acted
    assert part.words.startswith("25 % of the steps")


def test_the_headline_has_the_gain_and_its_interval(tmp_path: Path) -> None:
    (greedy, _) = headline(summary(RunFiles.read(run(tmp_path))))
    assert greedy.startswith("Greedy: 25.0 % before, 75.0 % after training: +50.0 points (95 % interval ")


def test_a_part_that_did_not_act_in_a_few_steps_is_not_called_idle(tmp_path: Path) -> None:
    def lines_after(steps: int) -> list[str]:
        records = [metrics(step, rollout__forks=0) for step in range(1, steps + 1)]
        return part_lines(parts_in_words(found(tmp_path / str(steps), *records)))

    few, enough = lines_after(FEWEST_STEPS - 1), lines_after(FEWEST_STEPS)
    assert [line.partition(":")[0] for line in few if not line.startswith("yes")] == [
        "too few steps to tell  Branching"
    ]
    assert [line.partition(":")[0] for line in enough if not line.startswith("yes")] == ["NO   Branching"]
    assert few[0].startswith("yes  Pre-monitoring: m, ")


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.2375, 23.8), (0.565 - 0.3275, 23.8), (0.0625, 6.3), (-0.0625, -6.3), (0.2374, 23.7), (0.0, 0.0),
        (1.0, 100.0), (1 / 3, 33.3),
    ],
)  # fmt: skip
def test_halves_are_rounded_away_from_zero_whatever_their_last_digits(share: float, shown: float) -> None:
    assert percent(share) == shown


def test_a_judge_has_one_name_where_faults_are_counted_and_where_they_are_read() -> None:
    assert summary_module._JUDGE == JUDGE
