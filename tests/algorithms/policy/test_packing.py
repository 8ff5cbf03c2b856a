import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.policy.packing import TreeBatch, pack
from algorithms.tree import TokenTree
from tests.algorithms.trees import nested_tree, random_tree

SEEDS = st.lists(st.integers(0, 10**6), min_size=1, max_size=6)


@settings(deadline=None)
@given(SEEDS, st.integers(1, 200))
def test_every_question_is_packed_once_and_whole_within_the_budget(seeds: list[int], budget: int) -> None:
    trees = [random_tree(seed) for seed in seeds]
    groups = pack(trees, budget)
    assert sorted(i for group in groups for i in group) == list(range(len(trees)))
    for group in groups:
        assert len(group) == 1 or sum(trees[i].unique_tokens() for i in group) <= budget
    assert pack(trees, budget) == groups


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token; got 0"):
        pack([nested_tree()], 0)


@settings(deadline=None)
@given(SEEDS)
def test_every_unique_token_lies_in_the_batch_once_at_its_depth(seeds: list[int]) -> None:
    trees = [random_tree(seed) for seed in seeds]
    batch = TreeBatch(trees)
    wanted = sorted(
        (node.start + i, token)
        for tree in trees
        for node in (tree.nodes[index] for index in tree.covered())
        for i, token in enumerate(node.tokens)
    )
    assert sorted(zip(batch.positions.tolist(), batch.ids.tolist(), strict=True)) == wanted
    assert [segment.start for segment in batch.layout.segments][1:] == [s.end for s in batch.layout.segments][:-1]


@settings(deadline=None)
@given(SEEDS)
def test_predecessors_stand_right_before_what_they_predict(seeds: list[int]) -> None:
    trees = [random_tree(seed) for seed in seeds]
    batch = TreeBatch(trees)
    labels, before = batch.on_leaves(batch.labels), batch.on_leaves(batch.ids[batch.predecessors][batch.edge])
    depth = batch.on_leaves(batch.positions[batch.predecessors][batch.edge])
    leaf = 0
    for rows in batch.rows:
        for tokens, mask in zip(rows.tokens, rows.mask, strict=True):
            columns = np.nonzero(mask)[0]
            assert labels[leaf, columns].tolist() == tokens[columns].tolist()
            assert before[leaf, columns].tolist() == tokens[columns - 1].tolist()
            assert depth[leaf, columns].tolist() == (columns - 1).tolist()
            leaf += 1
    assert batch.predecessors.unique().tolist() == batch.predecessors.tolist()


@settings(deadline=None)
@given(SEEDS)
def test_values_are_laid_out_as_the_trees_do_it(seeds: list[int]) -> None:
    trees = [random_tree(seed) for seed in seeds]
    batch = TreeBatch(trees)
    gathered = batch.on_leaves(torch.from_numpy(np.concatenate([tree.policy_log_probs() for tree in trees])))
    for number, tree in enumerate(trees):
        mine = tree.rows().gather(tree.policy_log_probs())
        assert gathered[batch.tree_of_leaf == number, : mine.shape[1]].tolist() == mine.tolist()


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="'empty' has no leaf"):
        TreeBatch([nested_tree(), TokenTree("empty", [1])])
    with pytest.raises(ValueError, match="Expected 5 values"):
        TreeBatch([nested_tree()]).on_leaves(torch.zeros(4))
