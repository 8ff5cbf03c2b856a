"""Trees of several questions with rewards, and the plain way to train on them: flat rows, one trajectory at a time."""

import random
import statistics
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from algorithms.policy.learner import OptimiserSettings
from algorithms.policy.packing import TreeBatch
from algorithms.tree import TokenTree
from tests.algorithms.policy.shared import alone
from tests.algorithms.trees import even_tree, nested_tree, random_tree


def rewarded(tree: TokenTree, seed: int = 0, dead: bool = False) -> TokenTree:
    """Rewards as the paper's are: -1, 0, fractions and above 1; all the same where the question is to teach nothing."""
    source = random.Random(seed)
    for number, leaf in enumerate(tree.leaves):
        spread = 1.0 if number == 0 else 0.0 if number == 1 else source.choice([-1.0, 0.0, 0.667, 1.0, 1.1])
        leaf.rewards["total"] = 1.0 if dead else spread
    return tree


def questions() -> list[TokenTree]:
    """Nine questions: forks at several depths, a ragged one, nested and duplicate leaves; the 3rd and 8th are dead."""
    trees = [even_tree(seed, (4 + seed, 3, 5), (2, 2)) for seed in range(6)]
    trees += [nested_tree(), even_tree(7, (5, 4), (4,)), random_tree(12, nodes=25)]
    return [rewarded(tree, seed, dead=seed in (2, 7)) for seed, tree in enumerate(trees)]


class FlatStep(NamedTuple):
    """One optimiser step on flat rows: its loss, and its gradient before it was shortened, as one vector."""

    loss: float
    gradient: Tensor


def flat_advantage(trees: Sequence[TokenTree], mask: Tensor, entropies: Tensor | None, weight: float) -> Tensor:
    """[K, T] from the printed formulas, by plain loops."""
    rows = []
    for tree in trees:
        rewards = [leaf.rewards["total"] for leaf in tree.leaves]
        mean = statistics.fmean(rewards)
        deviation = statistics.stdev(rewards) if len(rewards) > 1 else 0.0
        rows += [(reward - mean) / (deviation + 1e-6) for reward in rewards]
    advantage = torch.tensor(rows, dtype=torch.float64)[:, None] * mask
    if entropies is not None:
        seen = entropies[mask]
        advantage = advantage * (1 + weight * (entropies - seen.mean()) / seen.std()).clamp(min=0)
    return advantage


def flat_update(
    model: Any,
    trees: Sequence[TokenTree],
    mini_batches: Sequence[Sequence[int]],
    settings: OptimiserSettings,
    *,
    entropy_weight: float,
    balanced: bool,
    means_of_rows: bool = False,
) -> list[FlatStep]:
    """Optimiser steps of GRPO, ARPO or AEPO by automatic differentiation of the printed objective. Changes `model`."""
    batch = TreeBatch(trees)
    with torch.no_grad():
        old, entropies = (values.clone() for values in alone(model, batch))
    advantage = flat_advantage(trees, batch.mask, entropies if entropy_weight else None, entropy_weight)
    parameters = list(model.parameters())
    decayed = [{"params": [p], "weight_decay": settings.weight_decay if p.ndim > 1 else 0.0} for p in parameters]
    optimiser = torch.optim.AdamW(decayed, lr=settings.lr, betas=settings.betas)
    steps = []
    for mini_batch in mini_batches:
        mine = torch.isin(batch.tree_of_leaf, torch.tensor(mini_batch))
        if not (advantage[mine] != 0).any():
            continue
        ratio = torch.exp(alone(model, batch)[0] - old)
        upper = 1.2 / ratio.detach() * ratio if balanced else torch.full_like(ratio, 1.2)
        objective = torch.minimum(ratio * advantage, torch.minimum(ratio.clamp(min=0.8), upper) * advantage)
        objective = torch.where(advantage < 0, torch.maximum(objective, 3 * advantage), objective)
        kept = (objective * batch.mask)[mine]
        lengths = batch.mask[mine].sum(-1)
        if means_of_rows:
            loss = -(kept.sum(-1) / lengths.clamp(min=1)).sum() / (lengths > 0).sum()
        else:
            loss = -kept.sum() / lengths.sum()
        optimiser.zero_grad()
        loss.backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        steps.append(FlatStep(float(loss.detach()), torch.cat([g.flatten() for g in gradients]).clone()))
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimiser.step()
    return steps


def weights(model: Any) -> Tensor:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in deepcopy(model).parameters()])
