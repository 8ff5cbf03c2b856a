"""Success is counted per question, intervals treat questions as the sample, and draws depend on nothing else."""

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.policy.sampling import Sampling
from algorithms.rollout.inputs import TokenLimits
from algorithms.training import evaluation
from algorithms.training.config import EvaluationSettings
from algorithms.training.evaluation import (
    Evaluation,
    Scores,
    evaluate,
    in_words,
    mean_share,
    paired_gain,
    success,
    with_f1,
)
from algorithms.training.questions import make_environment
from tests.algorithms.training.small import SHORT, policy

LIMITS = TokenLimits(40, 400)
WARM = Sampling(temperature=0.6)


def scores(*values: float, families: tuple[str, ...] = ()) -> Scores:
    return Scores(np.array(values), families or ("web/1-hop",) * len(values), {}, {})


@pytest.fixture(scope="module")
def development() -> Any:
    return make_environment(SHORT, "dev")


def test_an_interval_is_that_of_the_mean_of_questions() -> None:
    solved, asked = 30, 100
    mean, low, high = mean_share(np.array([1.0] * solved + [0.0] * (asked - solved)))
    half = 1.96 * math.sqrt(0.3 * 0.7 / (asked - 1))  # the sample's deviation of a share p: p (1 - p) n / (n - 1)
    assert (mean, low, high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))
    assert mean_share(np.array([0.25])) == (0.25, 0.25, 0.25)


def test_an_interval_of_a_share_stays_within_0_and_1() -> None:
    assert scores(0.0, 0.5, 1.0).interval() == (0.5, 0.0, 1.0)  # the normal one has a half of 0.57
    assert scores(0.5, 1.0, 1.0).interval().high == 1.0


def test_an_interval_of_all_or_nothing_has_a_width() -> None:
    assert mean_share(np.zeros(10)) == pytest.approx((0, 0, 0.3085), abs=1e-4)  # Clopper and Pearson, in tables
    assert mean_share(np.ones(10)) == pytest.approx((1, 0.6915, 1), abs=1e-4)


def test_a_gain_is_paired_by_question() -> None:
    gain = paired_gain([0.0, 0.0, 1.0, 1.0], np.array([1.0, 0.0, 1.0, 0.0]))
    half = 1.96 * math.sqrt(2 / 3) / 2  # differences 1, 0, 0, -1
    assert gain == pytest.approx((0.0, -half, half))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.0, 0.0, (0.0, -0.1684, 0.1684)),  # Clopper and Pearson for none of 20, in tables, on both sides
        (0.0, 1.0, (1.0, 0.8316, 1.0)),
        (1.0, 0.0, (-1.0, -1.0, -0.8316)),
    ],
)
def test_a_gain_that_all_questions_share_is_no_proof(
    before: float, after: float, expected: tuple[float, float, float]
) -> None:
    assert paired_gain([before] * 20, [after] * 20) == pytest.approx(expected, abs=1e-4)


def test_families_are_means_of_their_questions() -> None:
    found = scores(1.0, 0.0, 0.5, 0.25, families=("b", "a", "b", "a"))
    assert found.by_family() == {"a": 0.125, "b": 0.75}
    plain = found.to_plain()
    assert plain["mean"] == pytest.approx(0.4375)
    assert plain["interval"] == list(found.interval()[1:])
    assert plain["scores"] == [1.0, 0.0, 0.5, 0.25]


def test_samples_of_a_question_are_averaged_before_anything_else(development: Any) -> None:
    tasks = [development.unwrapped.tasks[i] for i in range(12)]
    found = success(policy(), development, tasks, WARM, LIMITS, samples=3, seed=0)
    assert found.scores.shape == (12,)
    assert {round(3 * score, 9) for score in found.scores.tolist()} <= {0.0, 1.0, 2.0, 3.0}
    assert sum(found.stop_reasons.values()) == 36
    assert found.tool_calls["search"] > 0
    assert found.families == tuple(task.family for task in tasks)
    assert found.interval() == mean_share(found.scores)


def test_progress_is_told_in_questions_of_all_batches(development: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_AT_ONCE", 4)
    monkeypatch.setattr(evaluation, "_SAY_SECONDS", (0.0, 0.0))
    tasks = [development.unwrapped.tasks[i] for i in range(6)]
    settings = EvaluationSettings(questions=6, samples=2)
    said: list[str] = []
    evaluate(policy(), development, tasks, settings, LIMITS, seed=0, say=said.append)
    for what in ("greedy", "2 samples each"):
        counts = [int(line.split()[-7]) for line in said if line.startswith(f"evaluating, {what}: ")]
        assert counts == sorted(counts)
        assert set(counts) >= {0, 4}  # the end of a batch that is not the last, and never "6 of 6"
        assert max(counts) < 6


def test_a_question_counts_only_if_its_answer_is_wholly_right(
    development: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [development.unwrapped.tasks[i] for i in range(5)]
    right = [[1.0, 0.5, 0.0], [1.0, 1.0, 1.0], [0.99, 0.0, 0.0], [1.0], []]
    grow = evaluation.grow

    def rewarded(*given: Any, **named: Any) -> Any:
        grown = grow(*given, **named)
        for tree, accuracies in zip(grown.trees, right, strict=True):
            del tree.leaves[len(accuracies) :]  # as if the other samples had been lost to faults
            for leaf, accuracy in zip(tree.leaves, accuracies, strict=True):
                leaf.rewards["accuracy"] = accuracy
        return grown

    monkeypatch.setattr(evaluation, "grow", rewarded)
    found = success(policy(), development, tasks, WARM, LIMITS, samples=3, seed=0)
    assert found.scores.tolist() == pytest.approx([1 / 3, 1.0, 0.0, 1 / 3, 0.0])


def test_the_overlap_of_answers_is_told_beside_success(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_environment(SHORT, "dev")
    tasks = [env.unwrapped.tasks[i] for i in range(6)]
    plain = success(policy(), env, tasks, WARM, LIMITS, samples=2, seed=0)
    assert plain.f1 is None
    assert "f1" not in plain.to_plain()
    told = success(policy(), with_f1(with_f1(env)), tasks, WARM, LIMITS, samples=2, seed=0)
    assert told.scores.tolist() == plain.scores.tolist()
    assert told.f1 is not None
    assert (told.f1 >= told.scores).all()  # what is wholly right overlaps wholly
    assert told.to_plain()["f1"] == pytest.approx(sum(told.to_plain()["f1_scores"]) / 6)
    assert ", F1 " in in_words(Evaluation(told, None))


def test_the_overlap_is_that_of_the_answer_and_leaves_the_reward_as_it_was() -> None:
    env = with_f1(make_environment(SHORT, "dev"))
    task = env.unwrapped.tasks[0]
    env.reset(options={"task": task})
    *_, info = env.step(f"<answer>\\boxed{{{task.answers[0]} or so}}</answer>")
    words = len(task.answers[0].split())
    assert info["rewards"]["f1"] == pytest.approx(2 * words / (2 * words + 2))
    env.reset(options={"task": task})
    _, total, *_, info = env.step(f"<answer>\\boxed{{{task.answers[0]}}}</answer>")
    other = make_environment(SHORT, "dev")
    other.reset(options={"task": task})
    _, wanted, *_, before = other.step(f"<answer>\\boxed{{{task.answers[0]}}}</answer>")
    assert total == wanted
    assert info["rewards"] == {**before["rewards"], "f1": 1.0}


def test_draws_do_not_depend_on_how_tasks_are_cut(development: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [development.unwrapped.tasks[i] for i in range(6)]
    together = success(policy(), development, tasks, WARM, LIMITS, samples=2, seed=1)
    for at_once in (1, 8):
        monkeypatch.setattr(evaluation, "_AT_ONCE", at_once)
        apart = success(policy(), development, tasks, WARM, LIMITS, samples=2, seed=1)
        assert apart.to_plain() == together.to_plain()
    singly = [success(policy(), development, [task], WARM, LIMITS, samples=2, seed=1) for task in reversed(tasks)]
    assert [float(one.scores[0]) for one in reversed(singly)] == together.scores.tolist()
    other = success(policy(), development, tasks, WARM, LIMITS, samples=2, seed=2)
    assert other.to_plain() != together.to_plain()


def test_a_greedy_evaluation_is_the_same_twice_and_for_every_seed(development: Any) -> None:
    tasks = [development.unwrapped.tasks[i] for i in range(6)]
    settings = EvaluationSettings(questions=6, samples=2)
    one = evaluate(policy(), development, tasks, settings, LIMITS, seed=0, sampled=False)
    other = evaluate(policy(), development, tasks, settings, LIMITS, seed=5)
    assert one.sampled is None
    assert other.sampled is not None
    assert one.greedy.to_plain() == other.greedy.to_plain()
    assert set(one.to_plain()) == {"greedy"}
    assert set(other.to_plain()) == {"greedy", "sampled"}
    assert isinstance(other, Evaluation)
    assert other.sampled.to_plain() != other.greedy.to_plain()
    assert sum(other.sampled.stop_reasons.values()) == 12
