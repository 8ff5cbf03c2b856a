"""DAPO's dynamic sampling through the trainer: questions without spread are replaced, judged by the task's reward."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.advantage.filters import DropUninformative
from algorithms.algorithm import LeafBatch
from algorithms.training import trainer as module
from algorithms.training.measures import success_of
from algorithms.training.update import update
from tests.algorithms.training.small import config, trainer


def step_of(name: str, settings: dict[str, Any] | None = None) -> tuple[dict[str, Any], LeafBatch]:
    batches: list[LeafBatch] = []

    def watched(learner: Any, algorithm: Any, batch: LeafBatch, *rest: Any) -> Any:
        batches.append(batch)
        return update(learner, algorithm, batch, *rest)

    made = trainer(config(algorithm=name, settings=settings, questions=6))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "update", watched)
        metrics = made.step()
    made.close()
    return metrics, batches[0]


def spread(batch: LeafBatch) -> list[bool]:
    return [len({leaf.rewards["total"] for leaf in tree.leaves}) > 1 for tree in batch.trees]


def test_every_question_trained_on_has_spread_and_others_were_grown_for_it() -> None:
    grpo, plain = step_of("grpo")
    dapo, batch = step_of("dapo")
    assert not all(spread(plain)), "every question has spread here: the test is too weak"
    assert all(spread(batch))
    assert (dapo["questions"], dapo["dead_questions"]) == (6, 0)
    assert dapo["grown_questions"] > grpo["grown_questions"] == 6
    assert dapo["rounds"] > 1
    assert len({tree.question for tree in batch.trees}) == 6
    # Success is told over all that was grown, so that algorithms compare; that of the kept ones beside it.
    assert dapo["success"] == success_of(batch.trees)
    assert dapo["grown_success"] != dapo["success"]
    assert grpo["grown_success"] == grpo["success"]
    assert dapo["grown"]["policy_tokens"] > dapo["policy_tokens"]  # what was thrown away was generated too
    assert grpo["grown"]["policy_tokens"] == grpo["policy_tokens"]


def test_a_question_that_comes_again_in_a_later_round_is_grown_anew() -> None:
    made = trainer(config(algorithm="dapo", settings={"filter.rounds": "3"}, questions=2, temperature=1.5))
    env, tasks = made.questions.next(2)
    made.questions.next = lambda count: (env, tasks[:count])  # type: ignore[method-assign]  # a world of two questions
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DropUninformative, "keep", lambda _, rewards, questions: torch.zeros_like(questions).bool())
        _, everything, _, rounds, grown = made._grow(0)
    made.close()
    assert (rounds, grown, len(everything)) == (3, 6, 6)
    assert len({one.tree.question for one in everything}) == 6
    tokens = [[node.tokens for node in one.tree.nodes] for one in everything if one.task.id == tasks[0].id]
    assert len(tokens) == 3
    assert tokens[0] != tokens[1] != tokens[2]


def test_the_length_penalty_changes_rewards_after_the_choice() -> None:
    # Everything is too long for a limit this small: with a penalty in the test for spread, every question would pass.
    metrics, batch = step_of("dapo", {"shaping.0.longest": "60", "shaping.0.buffer": "1.0"})
    assert all(spread(batch))
    assert metrics["rounds"] > 1
    assert metrics["reward"] == pytest.approx(float(batch.rewards.mean()))  # told without the penalty
    assert metrics["questions"] == 6


def test_when_rounds_run_out_training_goes_on_with_what_there_is() -> None:
    metrics, batch = step_of("dapo", {"filter.rounds": "1"})
    assert metrics["rounds"] == 1
    assert metrics["grown_questions"] == 6
    assert 0 < metrics["questions"] < 6
    assert all(spread(batch))
