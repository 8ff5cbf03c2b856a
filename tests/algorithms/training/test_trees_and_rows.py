"""Every algorithm, several optimiser steps: on trees and on flat rows, each trajectory alone, the same weights.

The flat side shares the objective (held to plain formulas elsewhere), and neither the forward, the packing, the
micro-batches nor the choice of questions that are forwarded.
"""

from copy import deepcopy

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.names import NAMES
from algorithms.policy.critic import Critic
from algorithms.policy.learner import Learner, OptimiserSettings
from algorithms.policy.packing import TreeBatch
from algorithms.policy.reference import Reference
from algorithms.settings import with_settings
from algorithms.training.known import algorithm
from algorithms.training.objective import Objective
from algorithms.training.scoring import Scorers
from algorithms.training.update import deal, update
from tests.algorithms.policy.shared import alone, make_model
from tests.algorithms.rewarded import rewarded, weights
from tests.algorithms.training.test_options import moved, with_sampled
from tests.algorithms.trees import even_tree, nested_tree
from tests.algorithms.whole_batches import with_steps

STEP = OptimiserSettings(lr=2e-3, weight_decay=0.1, max_grad_norm=0.5)


def scored(made: Algorithm, learner: Learner) -> tuple[LeafBatch, Critic | None]:
    """Four questions, one of which gives all leaves the same reward, sampled by the learner's own model."""
    trees = [even_tree(1, (4, 3, 4), (2, 2)), even_tree(2, (5, 4), (3,)), nested_tree(), even_tree(3, (3, 2), (2,))]
    trees = [with_steps(rewarded(tree, seed, dead=seed == 1)) for seed, tree in enumerate(trees)]
    trees = [with_sampled(*pair) for pair in zip(trees, learner.score(trees), strict=True)]
    scorers = Scorers.of(made, learner)
    if scorers.reference is not None:
        scorers.reference = Reference(moved(learner.model), learner.token_budget)
    return scorers.batch(trees, limit=20), scorers.critic


def flat_steps(
    made: Algorithm, batch: LeafBatch, mini_batches: list[list[int]], random: np.random.Generator
) -> tuple[Tensor, list[float]]:
    """The weights after the same steps on rows, and the length of each step's gradient before it was shortened."""
    model = make_model()
    advantage, returns = made.advantages(batch), made.returns(batch)
    decayed = [{"params": [p], "weight_decay": STEP.weight_decay if p.ndim > 1 else 0.0} for p in model.parameters()]
    optimiser = torch.optim.AdamW(decayed, lr=STEP.lr, betas=STEP.betas)
    laid_out, norms = TreeBatch(batch.trees), []
    for questions in mini_batches:
        rows = batch.leaves_of(questions)
        objective = Objective(made, batch, advantage, rows, None, random, returns)
        logp, entropies = alone(model, laid_out)
        loss = objective.policy(rows, logp[rows])
        if made.entropy_bonus:
            loss = loss + objective.bonus(rows, entropies[rows])
        optimiser.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), STEP.max_grad_norm)))
        optimiser.step()
    return weights(model), norms


OPTIONS = {name: {} for name in NAMES} | {
    "grpo with all options": {"kl.coefficient": "0.1", "mismatch.kind": "icepop", "entropy_bonus": "0.05"},
    "clip-cov": {"loss.share": "0.2", "loss.least": "0.1"},
    "kl-cov": {"loss.share": "0.2"},
    "reinforce": {"loss.highest": "1.5"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_trees_and_rows_learn_the_same(name: str) -> None:
    made = with_settings(algorithm(name.split()[0]), {"updates": 2, **OPTIONS[name]})
    model = make_model()
    before = weights(model)
    learner = Learner(model, STEP, token_budget=25)
    batch, critic = scored(made, learner)
    advantage = made.advantages(batch)
    random = np.random.default_rng(0)
    dealt = deal(batch.informative(advantage).tolist(), 2, deepcopy(random))
    order = deepcopy(random)
    deal(batch.informative(advantage).tolist(), 2, order)  # draws of losses come after those of the deal
    report = update(learner, made, batch, advantage, random, critic)
    assert len(report.steps) == 2
    expected, norms = flat_steps(made, batch, dealt, order)
    plain = report.plain()
    assert [one["grad_norm"] for one in plain["steps"]] == pytest.approx(norms, rel=1e-6)
    assert (plain.get("critic_grad_norm", 0) > 0) == (critic is not None)
    step = (expected - before).norm()
    assert step > 0.01
    assert (weights(model) - expected).norm() < 1e-6 * step
