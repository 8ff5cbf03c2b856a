"""What can go wrong in a batch, for every algorithm: training goes on, or stops with a sentence, nothing in between."""

import math
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.names import NAMES
from algorithms.policy.critic import Critic
from algorithms.policy.learner import Learner, OptimiserSettings
from algorithms.settings import with_settings
from algorithms.training.known import algorithm
from algorithms.training.scoring import Scorers
from algorithms.training.update import update
from algorithms.training.update_report import UpdateReport
from algorithms.tree import Kind, TokenTree
from tests.algorithms.policy.shared import make_model
from tests.algorithms.rewarded import rewarded, weights
from tests.algorithms.training.test_options import with_sampled
from tests.algorithms.trees import even_tree
from tests.algorithms.whole_batches import gradient, laid_out, trees_of, with_steps

STEP = OptimiserSettings(lr=1e-3, weight_decay=0.0)
each = pytest.mark.parametrize("name", NAMES)
# Whose gradient is nothing where all rewards are equal; others have a divergence, a critic or a bonus to learn from.
SILENT = {name for name in NAMES if not algorithm(name).trains_all} - {"empg", "reinforce++", "rloo"}


class Run:
    """Updates of one model on given trees."""

    def __init__(self, made: Algorithm, trees: list[TokenTree]) -> None:
        self.model = make_model(num_hidden_layers=1)
        self.learner = Learner(self.model, STEP, 10**6)
        self.scorers, self.made, self.trees = Scorers.of(made, self.learner), made, trees
        self.before = weights(self.model)

    @property
    def critic(self) -> Critic | None:
        return self.scorers.critic

    def batch(self) -> LeafBatch:
        scores = self.learner.score(self.trees)
        self.trees = [with_sampled(*pair) for pair in zip(self.trees, scores, strict=True)]
        return self.scorers.batch(self.trees, limit=30)

    def update(self) -> UpdateReport:
        batch = self.batch()
        return update(
            self.learner, self.made, batch, self.made.advantages(batch), np.random.default_rng(0), self.critic
        )


def trees(dead: bool = False) -> list[TokenTree]:
    return [with_steps(rewarded(even_tree(seed, (4, 3, 2), (2, 2)), seed, dead)) for seed in range(3)]


def chain(reward: float) -> TokenTree:
    """One trajectory alone."""
    tree = TokenTree("alone", [1, 2])
    end = tree.add(tree.root, Kind.POLICY, [3, 4], [-0.5, -0.5], [0.5, 0.5])
    tree.add_leaf(end, "answered", {"total": reward})
    return with_steps(tree)


@each
def test_equal_rewards_for_many_steps_teach_nothing_and_break_nothing(name: str) -> None:
    run = Run(algorithm(name), trees(dead=True))
    reports = [run.update() for _ in range(4)]
    assert torch.isfinite(weights(run.model)).all()
    if name in SILENT:
        assert torch.equal(weights(run.model), run.before)
        assert all((len(report.steps), report.idle) == (0, run.made.updates) for report in reports)
        assert all(report.plain()["loss"] is None for report in reports)
    assert all(report.questions == 3 for report in reports)
    assert all(math.isfinite(step.numbers.loss) for report in reports for step in report.steps)


@each
def test_groups_of_one_and_rows_without_a_token_are_no_fault(name: str) -> None:
    batch_of = [chain(1.0), chain(0.0), *trees()[:1]]
    batch_of[1].add_leaf(0, "answered", {"total": 0.5})  # ended before a word was written
    run = Run(algorithm(name), batch_of)
    advantage = run.made.advantages(run.batch())
    assert torch.isfinite(advantage).all()
    assert not advantage[2].any()
    report = run.update()
    assert torch.isfinite(weights(run.model)).all()
    assert len(report.steps) + report.idle == run.made.updates


@each
def test_a_single_token_in_all_is_enough(name: str) -> None:
    tree = TokenTree("short", [1])
    tree.add_leaf(tree.add(tree.root, Kind.POLICY, [3], [-0.5], [0.5]), "answered", {"total": 1.0})
    run = Run(algorithm(name), [with_steps(tree)])
    run.update()
    assert torch.isfinite(weights(run.model)).all()


@each
@pytest.mark.parametrize("shift", [-100.0, 100.0, -1e4, 1e4])
def test_ratios_beyond_what_numbers_hold_stay_finite(name: str, shift: float) -> None:
    made = algorithm(name)
    batch = laid_out(made, trees_of(3))
    source = torch.Generator().manual_seed(0)
    some = (torch.rand(batch.mask.shape, generator=source) < 0.3) & batch.mask
    loss, found = gradient(made, batch, torch.where(some, batch.old_log_probs + shift, batch.old_log_probs))
    assert math.isfinite(loss)
    assert torch.isfinite(found).all()


@each
@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused_in_words(name: str, reward: float) -> None:
    batch_of = trees()
    batch_of[1].leaves[0].rewards["total"] = reward
    run = Run(algorithm(name), batch_of)
    with pytest.raises((ValueError, FloatingPointError), match=r"NaN or infinite|must be finite"):
        run.update()
    assert torch.equal(weights(run.model), run.before)


@each
def test_weights_that_broke_stop_the_run_before_a_step(name: str) -> None:
    run = Run(algorithm(name), trees())
    batch = run.batch()
    advantage = run.made.advantages(batch)
    with torch.no_grad():
        run.model.model.norm.weight[5] = math.nan
    broken = weights(run.model)
    with pytest.raises(FloatingPointError, match=r"no step was made|nothing is done"):
        update(run.learner, run.made, batch, advantage, np.random.default_rng(0), run.critic)
    assert torch.equal(weights(run.model).nan_to_num(7), broken.nan_to_num(7))
    with pytest.raises(FloatingPointError, match="Scoring gave"):
        run.batch()


@each
@pytest.mark.parametrize("field", ["old_log_probs", "ref_log_probs", "values", "entropies"])
def test_a_number_that_broke_on_the_way_is_named(name: str, field: str) -> None:
    run = Run(algorithm(name), trees())
    batch = run.batch()
    reads = {"ref_log_probs": "reference", "values": "values", "entropies": "entropies"}
    if field != "old_log_probs" and reads[field] not in run.made.needs:
        return  # nobody reads it
    column = getattr(batch, field).clone()
    column[tuple(batch.mask.nonzero()[0].tolist())] = math.nan
    broken = replace(batch, **{field: column})

    def train() -> None:
        update(run.learner, run.made, broken, run.made.advantages(broken), np.random.default_rng(0), run.critic)

    with pytest.raises((ValueError, FloatingPointError), match="NaN or infinite"):
        train()
    assert torch.equal(weights(run.model), run.before)


@each
def test_nothing_but_cut_trajectories_is_no_fault_either(name: str) -> None:
    batch_of = trees()
    for tree in batch_of:
        for leaf in tree.leaves:
            leaf.stop_reason = "max_context"
    run = Run(with_settings(algorithm(name), {"mask_too_long": "yes"}), batch_of)
    run.update()
    assert torch.equal(weights(run.model), run.before)
