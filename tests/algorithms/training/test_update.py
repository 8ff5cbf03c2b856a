"""Updates from trees are those from flat rows, whatever the cut; dead questions count and cost nothing."""

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from torch import Tensor

from algorithms.aepo import AEPO
from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.arpo import ARPO
from algorithms.grpo import GRPO
from algorithms.policy.learner import Learner, OptimiserSettings
from algorithms.settings import with_settings
from algorithms.training.update import deal, update
from algorithms.training.update_report import UpdateReport
from algorithms.tree import TokenTree
from tests.algorithms.policy.shared import distance, make_model
from tests.algorithms.rewarded import flat_update, questions, rewarded, weights
from tests.algorithms.trees import even_tree

# Steps so long that every bound of the clip acts, on both sides, from the second step on.
FAR = OptimiserSettings(lr=4e-3, weight_decay=0.1, max_grad_norm=0.5)
EXACT = 1e-9
OFF = {
    "rollout.premonitor": "no",
    "rollout.initial": "16",
    "rollout.rule.penalty": "0",
    "advantage.weight": "0",
    "loss.balanced": "no",
}


class Trained:
    """A model trained on one batch: gradients as they reach the optimiser, as vectors, and the report."""

    def __init__(
        self, model: Any, algorithm: Algorithm, trees: list[TokenTree], budget: int = 10**6, seed: int = 0
    ) -> None:
        self.model = deepcopy(model)
        self.learner = Learner(self.model, FAR, budget)
        self.gradients: list[Tensor] = []
        self.learner.optimiser.register_step_pre_hook(lambda *_: self.gradients.append(self._gradient()))
        self.batch = LeafBatch.of(trees, self.learner.score(trees, with_entropies="entropies" in algorithm.needs))
        advantage = algorithm.advantages(self.batch)
        self.dealt = deal(self.batch.informative(advantage).tolist(), algorithm.updates, np.random.default_rng(seed))
        self.report: UpdateReport = update(self.learner, algorithm, self.batch, advantage, np.random.default_rng(seed))

    def _gradient(self) -> Tensor:
        return torch.cat(
            [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in self.model.parameters()]
        )


def shortened(gradient: Tensor) -> Tensor:
    return gradient * min(1.0, FAR.max_grad_norm / (float(gradient.norm()) + 1e-6))


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("algorithm", [AEPO, ARPO, GRPO], ids=lambda algorithm: algorithm.name)
def test_losses_and_gradients_of_every_step_are_those_of_flat_rows(kind: str, algorithm: Algorithm) -> None:
    model, trees = make_model(kind), questions()
    ours, flat = Trained(model, algorithm, trees), deepcopy(model)
    own = algorithm is AEPO
    theirs = flat_update(flat, trees, ours.dealt, FAR, entropy_weight=0.2 if own else 0.0, balanced=own)
    assert len(theirs) == algorithm.updates == len(ours.gradients) == len(ours.report.steps)
    for step, gradient, expected in zip(ours.report.steps, ours.gradients, theirs, strict=True):
        assert step.numbers.loss == pytest.approx(expected.loss, rel=EXACT)
        assert step.numbers.grad_norm == pytest.approx(float(expected.gradient.norm()), rel=EXACT)
        assert distance(gradient, shortened(expected.gradient)) < EXACT
    assert distance(weights(ours.model), weights(flat)) < EXACT
    later = ours.report.plain()
    assert min(later["clipped_high"], later["clipped_low"]) > 0, "no clip acted: the test is too weak"


def test_another_aggregation_is_that_of_flat_rows_too() -> None:
    model, trees = make_model(), questions()
    ours, flat = Trained(model, replace(GRPO, aggregation="sequence-mean-token-mean"), trees), deepcopy(model)
    theirs = flat_update(flat, trees, ours.dealt, FAR, entropy_weight=0.0, balanced=False, means_of_rows=True)
    for gradient, expected in zip(ours.gradients, theirs, strict=True):
        assert distance(gradient, shortened(expected.gradient)) < EXACT


@pytest.mark.parametrize("aggregation", ["token-mean", "group-mean-token-mean", "sequence-mean-token-sum"])
def test_the_cut_into_micro_batches_changes_nothing(aggregation: Any) -> None:
    model, algorithm = make_model(), replace(AEPO, aggregation=aggregation)
    whole, *cut = (Trained(model, algorithm, questions(), budget) for budget in (10**6, 60, 1))
    assert [sum(step.numbers.micro_batches for step in each.report.steps) for each in (whole, *cut)] == [4, 6, 7]
    for other in cut:
        for ours, theirs in zip(other.gradients, whole.gradients, strict=True):
            assert distance(ours, theirs) < EXACT
        assert distance(weights(other.model), weights(whole.model)) < EXACT


def test_means_of_parts_do_depend_on_the_cut_and_agree_where_there_is_one_part() -> None:
    model, parted = make_model(), replace(GRPO, aggregation="part-token-mean", updates=1)
    whole, cut = Trained(model, parted, questions()), Trained(model, parted, questions(), 60)
    assert distance(cut.gradients[0], whole.gradients[0]) > 1e-3
    plain = Trained(model, replace(GRPO, updates=1), questions())
    assert distance(whole.gradients[0], plain.gradients[0]) < EXACT


def test_dead_questions_have_their_place_in_the_parts() -> None:
    model, parted = make_model(), replace(GRPO, aggregation="part-token-mean", updates=1)
    living, dead = rewarded(even_tree(0, (4, 3, 5), (2, 2))), rewarded(even_tree(1, (5, 6), (3,)), dead=True)
    alone, apart = Trained(model, parted, [living], 1), Trained(model, parted, [dead, living], 1)
    share = len(living.leaves) / (len(living.leaves) + len(dead.leaves))
    reference = alone.report.steps[0].numbers.grad_norm
    assert apart.report.steps[0].numbers.grad_norm == pytest.approx(share * reference, rel=EXACT)
    together = Trained(model, parted, [dead, living])
    tokens = [int(tree.rows().mask.sum()) for tree in (living, dead)]
    share = tokens[0] / sum(tokens)
    assert together.report.steps[0].numbers.grad_norm == pytest.approx(share * reference, rel=EXACT)


def test_aepo_with_every_part_off_is_grpo_to_the_last_bit() -> None:
    model, trees = make_model("llama"), questions()
    off = with_settings(AEPO, OFF)
    assert off.needs == frozenset()
    ours, theirs = Trained(model, off, trees), Trained(model, GRPO, trees)
    assert torch.equal(weights(ours.model), weights(theirs.model))
    assert [step.plain() for step in ours.report.steps] == [step.plain() for step in theirs.report.steps]
    assert not torch.equal(weights(ours.model), weights(model))


@pytest.mark.parametrize("part", ["advantage.weight", "loss.balanced"])
def test_each_part_of_aepo_acts_on_the_weights(part: str) -> None:
    model, trees = make_model(), questions()
    one_left = with_settings(AEPO, {name: value for name, value in OFF.items() if name != part})
    ours, grpo = Trained(model, one_left, trees), Trained(model, GRPO, trees)
    assert distance(weights(ours.model), weights(grpo.model)) > 1e-6
    same_at_first = distance(ours.gradients[0], grpo.gradients[0]) < EXACT
    assert same_at_first is (part == "loss.balanced"), "a clip is idle at the first step, where all ratios are 1"


def test_dead_questions_count_in_denominators_and_are_not_forwarded() -> None:
    model = make_model()
    living, dead = rewarded(even_tree(0, (4, 3, 5), (2, 2))), rewarded(even_tree(1, (5, 6), (3,)), dead=True)
    once = replace(GRPO, updates=1)
    alone, beside = Trained(model, once, [living]), Trained(model, once, [dead, living])
    tokens = [int(tree.rows().mask.sum()) for tree in (living, dead)]
    share = tokens[0] / sum(tokens)
    (ours,), (theirs,) = beside.report.steps, alone.report.steps
    assert ours.numbers.grad_norm == pytest.approx(share * theirs.numbers.grad_norm, rel=EXACT)
    assert ours.counted_tokens == sum(tokens)
    assert (ours.uninformative, ours.numbers.unique_tokens) == (1, living.unique_tokens())
    assert (ours.clips.trained, ours.numbers.raw_tokens) == (tokens[0], living.raw_tokens())


def test_a_mini_batch_without_an_informative_question_makes_no_step() -> None:
    model = make_model()
    trees = [rewarded(even_tree(seed, (4, 3), (2,)), seed, dead=seed != 1) for seed in range(4)]
    trained = Trained(model, GRPO, trees)
    assert (len(trained.report.steps), trained.report.idle, trained.learner.steps) == (1, 3, 1)
    dead = Trained(model, GRPO, [rewarded(even_tree(5, (4, 3), (2,)), dead=True)])
    assert torch.equal(weights(dead.model), weights(model))
    plain = dead.report.plain()
    assert (plain["optimiser_steps"], plain["idle_mini_batches"], plain["uninformative"]) == (0, 4, 1)
    assert (plain["loss"], plain["clip_share"], plain["clipped_high"]) == (None, None, 0)


def test_questions_are_dealt_whole_once_and_evenly() -> None:
    informative = [number % 3 > 0 for number in range(23)]  # 15 are
    dealt = deal(informative, 4, np.random.default_rng(0))
    assert sorted(number for hand in dealt for number in hand) == list(range(23))
    told = [sum(informative[number] for number in hand) for hand in dealt]
    assert sorted(told) == [3, 4, 4, 4]
    assert sorted(map(len, dealt)) == [5, 6, 6, 6]
    assert dealt == deal(informative, 4, np.random.default_rng(0))
    assert dealt != deal(informative, 4, np.random.default_rng(1))


def test_the_same_stream_gives_the_same_weights_and_another_one_others() -> None:
    model = make_model()
    first, again, other = (Trained(model, AEPO, questions(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(weights(first.model), weights(again.model))
    assert not torch.equal(weights(first.model), weights(other.model))


def test_float32_weights_learn_from_float64_scores_as_float64_weights_do() -> None:
    exact, trees = make_model(), questions()
    coarse = deepcopy(exact).float()
    wide, once = Learner(exact, FAR, 10**6), replace(AEPO, updates=1)
    batch = LeafBatch.of(trees, wide.score(trees))
    advantage = once.advantages(batch)
    reports = [
        update(learner, once, batch, advantage, np.random.default_rng(0)).steps[0]
        for learner in (wide, Learner(coarse, FAR, 60))
    ]
    ours, theirs = ((step.numbers.loss, step.numbers.grad_norm) for step in reports)
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert distance(weights(coarse).double(), weights(exact)) < 1e-2


def test_a_broken_model_stops_the_update_before_its_weights_change() -> None:
    model = make_model()
    learner, trees = Learner(model, FAR, 10**6), questions()
    batch = LeafBatch.of(trees, learner.score(trees))
    advantage = AEPO.advantages(batch)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = math.nan
    before = weights(model)
    with pytest.raises(FloatingPointError, match="trained tokens have a log-probability that is NaN"):
        update(learner, AEPO, batch, advantage, np.random.default_rng(0))
    assert torch.equal(weights(model).nan_to_num(7), before.nan_to_num(7))
    assert learner.steps == 0
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("what", ["advantage", "old log-probability"])
def test_numbers_that_are_not_finite_are_refused_before_the_first_step(what: str) -> None:
    model, trees = make_model(), questions()
    learner, before = Learner(model, FAR, 10**6), weights(model)
    batch = LeafBatch.of(trees, learner.score(trees))
    advantage = AEPO.advantages(batch)
    row, column = batch.mask.nonzero()[-1].tolist()
    (advantage if what == "advantage" else batch.old_log_probs)[row, column] = math.inf
    with pytest.raises(FloatingPointError, match=f"1 trained tokens have an {what} that is NaN or infinite"):
        update(learner, AEPO, batch, advantage, np.random.default_rng(0))
    assert torch.equal(weights(model), before)


def test_trees_changed_since_they_were_laid_out_and_other_shapes_are_refused() -> None:
    model, trees = make_model(), [rewarded(even_tree(0, (4, 3), (2,)))]
    learner = Learner(model, FAR, 10**6)
    batch = LeafBatch.of(trees, learner.score(trees))
    advantage = GRPO.advantages(batch)
    with pytest.raises(ValueError, match="one per leaf token"):
        update(learner, GRPO, batch, advantage[:1], np.random.default_rng(0))
    trees[0].leaves.reverse()
    trees[0].add_leaf(0, "answered", {"total": 0.0})
    with pytest.raises(ValueError, match="has changed since the batch was laid out"):
        update(learner, GRPO, batch, advantage, np.random.default_rng(0))


def test_the_report_counts_clips_after_the_first_step_and_what_the_balanced_clip_gave_back() -> None:
    model = make_model()
    aepo, grpo = Trained(model, AEPO, questions()).report, Trained(model, GRPO, questions()).report
    for report in (aepo, grpo):
        first, *later = (step.plain() for step in report.steps)
        assert (first["clip_share"], first["kept_gradient"]) == (0, 0)
        assert max(first["ratio_deviation"], first["kl"]) < 1e-12
        assert min(step["kl"] for step in later) > 0
        clipped = sum(step[f"clipped_{side}"] for step in later for side in ("high", "low", "dual"))
        assert report.clip_share == pytest.approx(clipped / sum(step["trained_tokens"] for step in later))
    assert aepo.plain()["kept_gradient"] > 0
    assert grpo.plain()["kept_gradient"] == 0


def test_every_epoch_trains_on_every_question_once() -> None:
    model, trees = make_model(), questions()
    once = Trained(model, replace(GRPO, updates=2), trees).report
    twice = Trained(model, replace(GRPO, updates=4, epochs=2), trees).report
    for report, epochs in ((once, 1), (twice, 2)):
        assert sum(step.questions for step in report.steps) == epochs * len(trees)
        assert len(report.steps) == 2 * epochs
    assert once.steps == twice.steps[:2]  # the first epoch is as if there were no second


def test_epochs_share_the_updates_evenly() -> None:
    with pytest.raises(ValueError, match="a multiple of epochs; got 4 updates and 3 epochs"):
        replace(GRPO, updates=4, epochs=3)
