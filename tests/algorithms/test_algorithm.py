"""The vocabulary of algorithms: how a batch lies on leaves, what an algorithm asks for, and what it refuses."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from torch import Tensor

from algorithms.advantage.estimators import EntropyAware, GroupNormalised
from algorithms.aepo import AEPO, AEPO_OFFICIAL
from algorithms.algorithm import Algorithm, KeepAll, LeafBatch, Need, leaf_rewards
from algorithms.arpo import ARPO
from algorithms.grpo import GRPO
from algorithms.tree import TokenTree
from tests.algorithms.trees import even_tree, nested_tree, random_tree, trajectory


@dataclass(frozen=True)
class Numbers:
    log_probs: Tensor
    entropies: Tensor | None


def sampled(tree: TokenTree, entropies: bool = True) -> Numbers:
    own = torch.from_numpy(tree.policy_entropies()) if entropies else None
    return Numbers(torch.from_numpy(tree.policy_log_probs()), own)


def trees() -> list[TokenTree]:
    several = [nested_tree(), random_tree(12, nodes=25), even_tree(2, (3, 4, 2), (3, 2)), random_tree(3)]
    for number, tree in enumerate(several):
        for place, leaf in enumerate(tree.leaves):
            leaf.rewards["total"] = number + place / 10
    return several


def test_every_leaf_has_its_own_numbers_at_its_own_tokens() -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    row = 0
    for number, tree in enumerate(several):
        for place in range(len(tree.leaves)):
            tokens = trajectory(tree, place)
            padding = [0.0] * (batch.mask.shape[1] - len(tokens))
            assert batch.mask[row].tolist() == [own for _, own, _, _ in tokens] + [False] * len(padding)
            assert batch.old_log_probs[row].tolist() == [value for *_, value, _ in tokens] + padding
            assert batch.entropies is not None
            assert batch.entropies[row].tolist() == [value for *_, value in tokens] + padding
            assert (int(batch.questions[row]), float(batch.rewards[row])) == (number, number + place / 10)
            row += 1
    assert row == len(batch.rewards)


def test_unique_tokens_are_numbered_through_all_trees() -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    total = sum(len(tree.policy_log_probs()) for tree in several)
    assert torch.equal(batch.unique[batch.mask].unique(), torch.arange(total))
    assert (batch.unique[~batch.mask] == -1).all()
    for first in range(len(several)):
        others = batch.unique[batch.questions != first]
        assert not torch.isin(batch.unique[batch.questions == first].clamp(min=0), others[others > 0]).any()


def test_leaves_of_trees_come_in_the_order_asked_for() -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    rows = batch.leaves_of([2, 0])
    assert batch.questions[rows].tolist() == [2] * len(several[2].leaves) + [0] * len(several[0].leaves)
    assert batch.leaves_of([]).tolist() == []


def test_a_tree_is_informative_if_any_trained_token_of_it_has_an_advantage() -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    advantage = torch.zeros(batch.mask.shape, dtype=torch.float64)
    row, column = (batch.mask & (batch.questions == 2)[:, None]).nonzero()[-1].tolist()
    advantage[row, column] = -1e-12
    outside = (~batch.mask & (batch.questions == 1)[:, None]).nonzero()[0].tolist()
    advantage[outside[0], outside[1]] = 1
    assert batch.informative(advantage).tolist() == [False, False, True, False]


@pytest.mark.parametrize("case", ["no leaf", "no total", "scores missing", "other scores", "half the entropies"])
def test_what_does_not_fit_is_refused(case: str) -> None:
    several = trees()[:2]
    scores = [sampled(tree) for tree in several]
    problem = "bare"
    if case == "no leaf":
        several, scores = [*several, TokenTree("bare", [1])], [*scores, scores[0]]
    elif case == "no total":
        several[0].leaves[1].rewards = {"format": 1.0}
        problem = r"has no reward 'total', only \['format'\]"
    elif case == "scores missing":
        scores, problem = scores[:1], "each of 2 trees, but got those of 1"
    elif case == "other scores":
        scores, problem = [scores[1], scores[1]], "but got .*: other trees"
    else:
        scores, problem = [scores[0], sampled(several[1], entropies=False)], "scored for 1 of 2 trees"
    with pytest.raises(ValueError, match=problem):
        LeafBatch.of(several, scores)


def test_rewards_alone_are_what_a_batch_has() -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    rewards, questions = leaf_rewards(several)
    assert torch.equal(rewards, batch.rewards)
    assert torch.equal(questions, batch.questions)
    assert KeepAll().keep(rewards, questions).all()
    assert not KeepAll().asks_again(0, 10, 1)


def test_an_algorithm_needs_what_its_parts_need_at_any_depth() -> None:
    @dataclass(frozen=True)
    class Twice:
        of: Any

        def __call__(self, batch: LeafBatch) -> Tensor:
            return 2 * self.of(batch)

    assert [algorithm.needs for algorithm in (GRPO, ARPO, AEPO_OFFICIAL)] == [frozenset()] * 3
    assert AEPO.needs == {"entropies"}
    assert replace(AEPO, advantage=Twice(AEPO.advantage)).needs == {"entropies"}
    assert replace(AEPO, advantage=EntropyAware(weight=0.0)).needs == frozenset()


def test_missing_entropies_are_named_before_anything_is_computed() -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree, entropies=False) for tree in several])
    with pytest.raises(ValueError, match="aepo needs entropies, but the batch has none"):
        AEPO.advantages(batch)
    assert GRPO.advantages(batch).shape == batch.mask.shape


def test_shaping_changes_rewards_in_order_before_the_advantage() -> None:
    @dataclass(frozen=True)
    class Shaped:
        factor: float
        shift: float
        needs: frozenset[Need] = frozenset()

        def __call__(self, batch: LeafBatch) -> LeafBatch:
            return replace(batch, rewards=batch.rewards * self.factor + self.shift * batch.questions)

    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    centred = replace(GRPO, advantage=GroupNormalised(deviation="batch", epsilon=0.0))
    found = replace(centred, shaping=(Shaped(0.0, 1.0), Shaped(1.0, 0.0))).advantages(batch)
    assert not found.any()  # equal inside every question after the first shaping
    assert centred.advantages(batch).any()


@pytest.mark.parametrize("fault", ["outside the mask", "float32", "one per leaf"])
def test_an_advantage_that_breaks_its_promise_is_refused(fault: str) -> None:
    several = trees()
    batch = LeafBatch.of(several, [sampled(tree) for tree in several])
    values = {
        "outside the mask": torch.ones(batch.mask.shape, dtype=torch.float64),
        "float32": torch.zeros(batch.mask.shape),
        "one per leaf": torch.zeros(len(batch.rewards), dtype=torch.float64),
    }
    with pytest.raises(ValueError, match="advantage of grpo must be float64"):
        replace(GRPO, advantage=lambda _: values[fault]).advantages(batch)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"aggregation": "mean"}, "Unknown aggregation 'mean'"),
        ({"updates": 0}, "at least 1 optimiser step"),
        ({"aggregation": "sequence-mean-token-sum-constant"}, "got None with"),
        ({"constant_length": 100.0}, "got 100.0 with token-mean"),
    ],
)
def test_algorithms_that_cannot_be_are_refused(changes: dict[str, Any], problem: str) -> None:
    made: Algorithm = GRPO
    with pytest.raises(ValueError, match=problem):
        replace(made, **changes)
