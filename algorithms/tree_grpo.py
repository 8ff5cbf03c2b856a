"""Tree-GRPO: finished trajectories are grown anew from steps drawn at random; advantages compare inside trees too.

Source: Tree-GRPO, arXiv:2509.21240. Relative to GRPO it changes the rollout (a few chains, the rest grown from their
steps) and the advantage (normalised among the question's leaves, plus among those of the same tree).

Settings: divergence (k3) 0.001, clip 0.2 and dual clip 3 are its scripts', which have 2 trees of 3 leaves in 1 round;
a budget of 16 in 4 trees (a quarter of it) and 4 steps are ours. Deviation, stated: a tree of one leaf adds 0 (there
its raw reward). Left out: its variants that normalise twice.

Official: the scripts: 2 trees, 6 leaves in all, token means of micro-batches.
"""

from dataclasses import replace

from algorithms.advantage.structured import QuestionAndTree
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.options import Divergence
from algorithms.rollout.tree_search import RandomExpansion

TREE_GRPO = Algorithm(
    name="tree-grpo",
    paper="arXiv:2509.21240",
    summary="Chains grown anew from random steps; advantages among the question's leaves and inside each tree.",
    rollout=RandomExpansion(budget=16, rounds=1),
    advantage=QuestionAndTree(),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
    kl=Divergence(0.001, "k3", "loss"),
)

TREE_GRPO_OFFICIAL = replace(
    TREE_GRPO, rollout=RandomExpansion(budget=6, trees=2, rounds=1), aggregation="part-token-mean"
)

VARIANTS = {"paper": TREE_GRPO, "official": TREE_GRPO_OFFICIAL}
