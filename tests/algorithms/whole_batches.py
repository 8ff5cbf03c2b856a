"""Rollout batches of random trees, with every number an algorithm can ask for, and the gradient it gives them."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.policy.learner import Scores
from algorithms.training.objective import Objective
from algorithms.training.scoring import with_costs
from algorithms.tree import Kind, Step, TokenTree
from tests.algorithms.trees import random_tree

PER_TOKEN = ("old_log_probs", "entropies", "rollout_log_probs", "ref_log_probs", "values", "token_rewards")


def with_steps(tree: TokenTree, states: int = 3) -> TokenTree:
    """Turns are what the policy wrote between observations; few states, so that some are met again."""
    for number, leaf in enumerate(tree.leaves):
        steps: list[Step] = []
        for index in tree.path(leaf.node):
            node = tree.nodes[index]
            if node.kind != Kind.POLICY:
                continue
            if steps and steps[-1].end == node.start:
                steps[-1] = steps[-1]._replace(end=node.end)
            else:
                steps.append(Step(node.start, node.end, f"state {node.start * 7 % states}"))
        if steps:
            steps[-1] = steps[-1]._replace(reward=leaf.rewards["total"])
        leaf.steps, leaf.trunk = tuple(steps), number % 2
    return tree


def trees_of(seed: int, count: int = 4) -> list[TokenTree]:
    """Small random trees; the second gives all its leaves the same reward."""
    source = random.Random(seed)
    found = []
    for number in range(count):
        tree = random_tree(1000 * seed + number, nodes=8, longest=3)
        tree.question = f"question {number}"
        for leaf in tree.leaves:
            leaf.rewards["total"] = 1.0 if number == 1 else source.choice([-1.0, 0.0, 0.5, 1.0])
        found.append(with_steps(tree))
    return found


def even_chains(seed: int, leaves: int, turns: int) -> TokenTree:
    """Trajectories of equally many turns, all taken from one state."""
    source = random.Random(seed)
    tree = TokenTree("chains", [1, 2])
    for _ in range(leaves):
        node = tree.root
        for turn in range(turns):
            node = tree.add(node, Kind.POLICY, [3, 4], [-0.5, -0.5], [0.5, 0.5])
            if turn + 1 < turns:
                node = tree.add(node, Kind.OBSERVATION, [5])
        tree.add_leaf(node, "answered", {"total": source.choice([0.0, 0.5, 1.0])})
    return with_steps(tree, states=1)


def laid_out(algorithm: Algorithm, trees: Sequence[TokenTree]) -> LeafBatch:
    """The trees with made-up numbers: equal for equal trees, whatever stands beside them."""
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])

    def made_up(name: str, scale: float) -> Tensor:
        parts = []
        for tree in trees:
            rng = np.random.default_rng([len(name), sum(map(ord, name + tree.question)), len(tree.nodes)])
            parts.append(torch.from_numpy(scale * rng.standard_normal(len(tree.policy_log_probs()))))
        return batch.on_leaves(parts, name)

    batch = replace(
        batch,
        ref_log_probs=torch.where(batch.mask, batch.old_log_probs + made_up("reference", 0.3), 0.0),
        rollout_log_probs=torch.where(batch.mask, batch.old_log_probs + made_up("sampled", 0.1), 0.0),
        values=made_up("values", 1.0),
        limit=60,
    )
    return with_costs(algorithm, batch)


def moved(batch: LeafBatch, size: float) -> Tensor:
    """Log-probabilities of a policy some way off the old one, equal where leaves share a token: [K, T]."""
    noise = []
    for tree in batch.trees:
        rng = np.random.default_rng([sum(map(ord, tree.question)), len(tree.nodes)])
        noise.append(torch.from_numpy(size * rng.standard_normal(len(tree.policy_log_probs()))))
    return torch.where(batch.mask, batch.old_log_probs + batch.on_leaves(noise, "noise"), 0.0)


def gradient(
    algorithm: Algorithm, batch: LeafBatch, logp: Tensor, cuts: Sequence[Tensor] | None = None
) -> tuple[float, Tensor]:
    """Loss and its gradient with respect to every leaf token's log-probability, [K, T], over micro-batches of rows."""
    rows = torch.arange(len(batch.mask))
    parts = batch.questions if algorithm.aggregation == "group-mean-token-mean" else None
    random_ = np.random.default_rng(0)
    objective = Objective(algorithm, batch, algorithm.advantages(batch), rows, parts, random_)
    variable = logp.clone().requires_grad_()
    total = 0.0
    for mine in [rows] if cuts is None else cuts:
        loss = objective.policy(mine, variable[mine])
        loss.backward()
        total += float(loss.detach())
    assert variable.grad is not None
    return total, variable.grad


def padded(batch: LeafBatch, columns: int) -> LeafBatch:
    """The same batch in wider tensors."""

    def wider(values: Tensor, fill: float) -> Tensor:
        return torch.nn.functional.pad(values, (0, columns), value=fill)

    changes = {name: wider(value, 0.0) for name in PER_TOKEN if (value := getattr(batch, name)) is not None}
    return replace(batch, mask=wider(batch.mask, False), unique=wider(batch.unique, -1), **changes)


seeds = st.integers(0, 10**4)
