"""PPO's critic and the frozen reference: exact on trees, only where declared, kept in a run's state."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from torch import Tensor

from algorithms.advantage.structured import Bootstrapped
from algorithms.algorithm import LeafBatch
from algorithms.policy.critic import Critic
from algorithms.policy.learner import Learner, OptimiserSettings, Scores
from algorithms.policy.packing import TreeBatch
from algorithms.policy.reference import Reference
from algorithms.ppo import PPO
from algorithms.training.measures import without_timings
from algorithms.training.scoring import Scorers
from algorithms.training.update import update
from tests.algorithms.policy.shared import distance, make_model
from tests.algorithms.rewarded import questions
from tests.algorithms.training.small import config, gone_on, trainer, weights

STEP = OptimiserSettings(lr=1e-3, weight_decay=0.0, max_grad_norm=1e9)


def critic(budget: int = 10**6) -> Critic:
    """One whose head says something."""
    made = Critic(make_model(seed=3), STEP, budget)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made.value_head.weight.copy_(torch.randn(1, 32, generator=source, dtype=torch.float64))
        made.value_head.bias.fill_(0.3)
    return made


def values_alone(made: Critic, batch: TreeBatch) -> Tensor:
    """[K, T], one trajectory after the other, by the model's own forward."""
    found = torch.zeros(batch.index.shape, dtype=torch.float64)
    parts, row = [], 0
    for of_tree in batch.rows:
        for i, length in enumerate(of_tree.lengths):
            ids = torch.from_numpy(of_tree.tokens[i, :length])
            hidden = made.model.model(input_ids=ids[None], use_cache=False).last_hidden_state[0]
            before = made.value_head(hidden[:-1])[:, 0]  # a token's value is read where it is predicted
            parts.append(before[torch.from_numpy(of_tree.mask[i, 1:length])])
            row += 1
    return found.masked_scatter(batch.mask, torch.cat(parts))


@pytest.mark.parametrize("budget", [10**6, 30])
def test_values_are_those_of_every_trajectory_alone(budget: int) -> None:
    trees, made = questions(), critic(budget)
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])
    with torch.no_grad():
        expected = values_alone(made, TreeBatch(trees))
    width = expected.shape[1]
    torch.testing.assert_close(batch.on_leaves(made.values(trees), "values")[:, :width], expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 0.1


def test_a_new_critic_expects_nothing_and_is_no_part_of_the_policy() -> None:
    model, trees = make_model(), questions()
    before = deepcopy(model.state_dict())
    made = Critic(model, STEP, 10**6)
    assert all(not value.any() for value in made.values(trees))
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])

    def loss(number: int, laid_out: TreeBatch, values: Tensor) -> Tensor:
        return (values - 1).square().sum()

    for _ in range(3):
        made.step(batch.trees, [list(range(9))], loss)
    assert any(value.any() for value in made.values(trees))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_update_trains_the_critic_on_its_returns_exactly_as_flat_rows_would() -> None:
    trees = questions()
    policy, made = make_model(), critic(30)
    learner = Learner(policy, STEP, 30)
    scorers = Scorers(PPO, learner, None, made)
    batch = scorers.batch(trees)
    algorithm = replace(PPO, updates=1, advantage=Bootstrapped(discount=0.9, decay=0.8))
    returns = algorithm.returns(batch)
    assert returns is not None
    found: list[Tensor] = []
    parameters = [*made.model.parameters(), *made.value_head.parameters()]
    made.optimiser.register_step_pre_hook(
        lambda *_: found.append(
            torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        )
    )
    flat = deepcopy(made)
    report = update(learner, algorithm, batch, algorithm.advantages(batch), np.random.default_rng(0), made)

    laid_out = TreeBatch(trees)
    values, mask = values_alone(flat, laid_out), laid_out.mask
    (0.5 * ((values - returns[:, : values.shape[1]]).square() * mask).sum() / mask.sum()).backward()
    theirs = [*flat.model.parameters(), *flat.value_head.parameters()]
    expected = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in theirs])
    assert distance(found[0], expected) < 1e-8
    step = report.plain()["steps"][0]
    assert step["uninformative"] == 0  # whitened: every token has an advantage
    assert step["critic_loss"] > 0
    assert step["trained_tokens"] == int(mask.sum())


def test_returns_bridge_observations_and_end_with_the_reward() -> None:
    trees = questions()
    scorers = Scorers(PPO, Learner(make_model(), STEP, 10**6), None, critic())
    batch = scorers.batch(trees)
    assert batch.values is not None
    returns = Bootstrapped(discount=1.0, decay=1.0).returns(batch)
    expected = torch.where(batch.mask, batch.rewards[:, None], 0.0)  # whatever the critic says
    torch.testing.assert_close(returns, expected, rtol=1e-12, atol=1e-12)
    one_step = Bootstrapped(discount=1.0, decay=0.0, whiten=False)(batch)
    for row in range(len(batch.mask)):
        seen = batch.values[row, batch.mask[row]].tolist()
        after = [*seen[1:], batch.rewards[row].item()] if seen else []
        expected_row = [later - now for now, later in zip(seen, after, strict=True)]
        assert one_step[row, batch.mask[row]].tolist() == pytest.approx(expected_row, abs=1e-12)


def test_an_update_and_its_algorithm_agree_on_whether_there_is_a_critic() -> None:
    trees = questions()
    learner = Learner(make_model(), STEP, 10**6)
    batch = Scorers(PPO, learner, None, critic()).batch(trees)
    with pytest.raises(ValueError, match="must agree on whether there is a critic"):
        update(learner, PPO, batch, PPO.advantages(batch), np.random.default_rng(0))


def test_a_critic_that_broke_is_said_before_anything_is_trained() -> None:
    made = critic()
    with torch.no_grad():
        made.value_head.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="critic's values are NaN"):
        made.values(questions())


def test_a_reference_stays_what_the_policy_was() -> None:
    model, trees = make_model(), questions()
    reference = Reference(model, 30)
    before = reference.score(trees)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    assert all(torch.equal(one, other) for one, other in zip(reference.score(trees), before, strict=True))
    assert not any(parameter.requires_grad for parameter in reference.model.parameters())
    other = Reference(model, 30)
    assert not torch.equal(other.score(trees)[0], before[0])
    other.load_state_dict(reference.state_dict())
    assert torch.equal(other.score(trees)[0], before[0])


@pytest.mark.parametrize(
    ("name", "kept"), [("ppo", {"critic"}), ("gigpo", {"reference"}), ("grpo", set()), ("aepo", set())]
)
def test_a_run_keeps_them_where_declared_and_goes_on_as_if_it_had_not_stopped(
    name: str, kept: set[str], tmp_path: Path
) -> None:
    wanted = config(algorithm=name, questions=6)
    whole = trainer(wanted)
    expected = [without_timings(whole.step()) for _ in range(3 if kept else 1)]
    after = weights(whole.policy.model)
    whole.close()
    assert set(whole.scorers.state_dict()) == kept
    if not kept:
        return
    second, rest = gone_on(wanted, tmp_path, 2)
    assert rest == expected[1:]
    assert torch.equal(weights(second.policy.model), after)
    second.close()
    with pytest.raises(ValueError, match="it belongs to another algorithm"):
        second.scorers.load_state_dict({})
