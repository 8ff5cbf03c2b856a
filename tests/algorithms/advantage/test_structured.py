"""Advantages that look inside trajectories: steps, search trees; and shaping by length."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from torch import Tensor

from algorithms.advantage.entropy_modulated import entropy_modulated
from algorithms.advantage.estimators import (
    GroupNormalised,
    LeaveOneOut,
    Outcome,
    TokenReturns,
    Whitened,
    token_rewards,
)
from algorithms.advantage.group import group_normalised, leave_one_out
from algorithms.advantage.overlong import overlong_penalty
from algorithms.advantage.shaping import Overlong
from algorithms.advantage.step_groups import gigpo, step_returns
from algorithms.advantage.structured import EpisodeAndSteps, QuestionAndTree, StepsModulated
from algorithms.advantage.token_returns import returns_to_go
from algorithms.advantage.whitening import whitened
from algorithms.algorithm import LeafBatch
from algorithms.grpo import GRPO
from algorithms.tree import Kind, Step, TokenTree
from tests.algorithms.leaves import leaf_batch
from tests.algorithms.whole_batches import laid_out, trees_of


def whole_batch(seed: int = 3) -> LeafBatch:
    return laid_out(GRPO, trees_of(seed, count=6))


def two_ways() -> TokenTree:
    """Three trajectories of one question: the second and third reach state "b" on different ways."""
    tree = TokenTree("two ways", [1])

    def chain(states: str, total: float) -> None:
        node, steps = tree.root, []
        for place, state in enumerate(states):
            start = tree.nodes[node].end
            node = tree.add(node, Kind.POLICY, [2, 3], [-0.5, -0.5], [0.1 * place + 0.1, 0.3])
            steps.append(Step(start, start + 2, state))
            if place + 1 < len(states):
                node = tree.add(node, Kind.OBSERVATION, [4])
        steps[-1] = steps[-1]._replace(reward=total)
        tree.add_leaf(node, "answered", {"total": total}, steps)

    chain("ax", 0.0)
    chain("ab", 1.0)
    chain("acb", 0.0)
    return tree


def test_gigpo_by_hand() -> None:
    batch = laid_out(GRPO, [two_ways()])
    found = EpisodeAndSteps(weight=2.0, discount=0.5, deviation="none")(batch)
    third = 1 / 3
    episode = [0 - third, 1 - third, 0 - third]
    # State a: returns 0, 0.5, 0 (discounted once, once, never); b: 1 and 0; x and c were met once.
    from_a = [0 - 0.5 * third, 0.5 - 0.5 * third, 0 - 0.5 * third]
    expected = [
        [episode[0] + 2 * from_a[0], episode[0]],
        [episode[1] + 2 * from_a[1], episode[1] + 2 * 0.5],
        [episode[2] + 2 * from_a[2], episode[2], episode[2] - 2 * 0.5],
    ]
    for row, steps in enumerate(expected):
        values = found[row, batch.mask[row]].tolist()
        assert values == pytest.approx([value for value in steps for _ in range(2)], abs=1e-12)


def test_gigpo_is_its_function_on_the_table_of_steps() -> None:
    batch = whole_batch()
    table = batch.steps()
    made = EpisodeAndSteps(weight=0.7, discount=0.9, statistics="steps")
    returns = step_returns(table.reward, table.leaf, table.step, discount=0.9)
    columns = (batch.scores[table.leaf], returns, table.question, table.leaf, table.state)
    expected = gigpo(*columns, weight=0.7, episode_statistics="steps")
    assert torch.equal(made.per_step(batch).advantage, expected.advantage)
    assert expected.grouped.any()
    for row, start, end, value in zip(table.leaf, table.start, table.end, expected.advantage, strict=True):
        here = made(batch)[row, start:end]
        assert torch.equal(here, torch.where(batch.mask[row, start:end], value, 0.0))


def test_rewards_that_changed_places_change_places_in_the_steps_too() -> None:
    batch = whole_batch()
    order = torch.randperm(len(batch.rewards), generator=torch.Generator().manual_seed(0))
    shuffled = replace(batch, rewards=batch.rewards[order])
    table = shuffled.steps()
    last = torch.zeros(len(batch.rewards), dtype=torch.float64).index_add(0, table.leaf, table.reward)
    with_steps = torch.bincount(table.leaf, minlength=len(batch.rewards)) > 0
    torch.testing.assert_close(last[with_steps], shuffled.rewards[with_steps])


def test_steps_nobody_noted_are_asked_for_in_words() -> None:
    with pytest.raises(ValueError, match="needs trees whose leaves tell their steps"):
        EpisodeAndSteps()(leaf_batch())


def test_empg_is_its_function_with_the_mean_entropies_of_steps() -> None:
    batch = whole_batch()
    assert batch.entropies is not None
    table = batch.steps()
    levels = torch.stack(
        [
            batch.entropies[row, start:end].mean()
            for row, start, end in zip(table.leaf, table.start, table.end, strict=True)
        ]
    )
    torch.testing.assert_close(table.means(batch.entropies, batch.mask), levels, rtol=1e-12, atol=1e-14)
    plain = group_normalised(batch.scores, batch.questions)[table.leaf]
    expected = entropy_modulated(plain, levels, table.leaf, table.step, bonus=0.3, sharpness=2.0, future_sharpness=0.5)
    made = StepsModulated(bonus=0.3, sharpness=2.0, future_sharpness=0.5)
    torch.testing.assert_close(made(batch), table.on_tokens(expected, batch.mask), rtol=1e-10, atol=1e-12)


def test_tree_grpo_adds_what_is_normalised_inside_each_tree() -> None:
    batch = whole_batch()
    found = QuestionAndTree().per_leaf(batch)
    leaves = [(question, leaf.trunk) for question, tree in enumerate(batch.trees) for leaf in tree.leaves]
    for row, key in enumerate(leaves):
        mine = torch.tensor([other == key for other in leaves])
        inside = batch.rewards[mine]
        whole = batch.rewards[batch.questions == key[0]]
        expected = sum(
            float((batch.rewards[row] - part.mean()) / (part.std() + 1e-6)) if len(set(part.tolist())) > 1 else 0.0
            for part in (whole, inside)
        )
        assert float(found[row]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("costs", [False, True])
def test_the_others_are_their_functions(costs: bool) -> None:
    batch = whole_batch()
    if costs:
        taken = torch.randn(batch.mask.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        batch = replace(batch, token_rewards=torch.where(batch.mask, taken, 0.0))
        torch.testing.assert_close(batch.scores, batch.rewards + (taken * batch.mask).sum(-1))
    assert torch.equal(LeaveOneOut().per_leaf(batch), leave_one_out(batch.scores, batch.questions))
    assert torch.equal(Outcome().per_leaf(batch), batch.scores)
    assert torch.equal(Outcome("batch").per_leaf(batch), batch.scores - batch.scores.mean())
    returns = returns_to_go(token_rewards(batch), batch.mask, discount=0.5)
    assert torch.equal(TokenReturns(0.5)(batch), returns)
    assert torch.equal(Whitened(TokenReturns(0.5))(batch), whitened(returns, batch.mask))
    first = [int(row.nonzero()[0]) if row.any() else -1 for row in batch.mask]
    whole = TokenReturns()(batch)
    for row, column in enumerate(first):
        if column >= 0:  # undiscounted, from the first token on everything is still to come
            assert float(whole[row, column]) == pytest.approx(float(batch.scores[row]))


def lengths(batch: LeafBatch) -> Tensor:
    return torch.tensor(
        [tree.nodes[leaf.node].end - len(tree.nodes[0].tokens) for tree in batch.trees for leaf in tree.leaves]
    )


def test_long_answers_lose_reward_by_the_room_their_prompt_leaves() -> None:
    trees = trees_of(3, count=6)
    limit = max(tree.nodes[leaf.node].end for tree in trees for leaf in tree.leaves)
    batch = replace(whole_batch(), limit=limit)
    assert torch.equal(batch.lengths, lengths(batch))
    found = Overlong(buffer=0.5, factor=2.0)(batch).rewards - batch.rewards
    for row, question in enumerate(batch.questions.tolist()):
        room = limit - len(batch.trees[question].nodes[0].tokens)
        buffer = max(1, round(0.5 * room))
        expected = overlong_penalty(batch.lengths[row : row + 1], longest=room, buffer=buffer, factor=2.0)
        assert float(found[row]) == pytest.approx(float(expected))
    assert (found < 0).any()
    assert (found == 0).any()
    assert torch.equal(Overlong(factor=0.0)(replace(batch, limit=None)).rewards, batch.rewards)
    fixed = Overlong(longest=10, buffer=0.2)(replace(batch, limit=None)).rewards - batch.rewards
    torch.testing.assert_close(fixed, overlong_penalty(batch.lengths, longest=10, buffer=2))
    with pytest.raises(ValueError, match="how long a trajectory may be"):
        Overlong()(replace(batch, limit=None))


@pytest.mark.parametrize(
    "made",
    [
        lambda: Overlong(buffer=0.0),
        lambda: Overlong(longest=0),
        lambda: EpisodeAndSteps(discount=1.5),
        lambda: EpisodeAndSteps(statistics="tokens"),
        lambda: TokenReturns(-0.1),
        lambda: Outcome("group"),
        lambda: GroupNormalised(epsilon=-1.0),
    ],
)
def test_settings_that_cannot_be_are_refused_where_they_are_written(made) -> None:
    with pytest.raises(ValueError, match=r"Expected|lies between|Unknown"):
        made()
