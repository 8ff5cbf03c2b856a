"""GPPO: tokens beyond either bound of the clip keep a bounded gradient.

Source: Klear-Reasoner, arXiv:2508.07629, Eq. 11-12. Relative to GRPO it changes the loss (beyond a bound the gradient
is the bound's, where PPO's is 0; AEPO does this above alone) and drops questions with equal rewards, as DAPO does.

Settings: 0.2 and 0.28, no divergence and a mean over tokens are the report's; dual clip 10 is in the published code. 16
trajectories (there 8) and 4 steps are ours, as for all. Left out: the report's additional likelihood of right answers
(weight 0.1). Deviation, stated: the published function of this name fails with a NameError; its general form, which
CE-GPPO uses, is this one with both scales 1.

Official: the published scripts: 8 trajectories, 8 steps, token means of micro-batches, and questions are grown once, so
that a batch from which equal rewards were dropped stays smaller (they grow twice as many as a batch takes).
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.filters import DropUninformative
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import PreservingClip
from algorithms.rollout.independent import Independent

GPPO = Algorithm(
    name="gppo",
    paper="arXiv:2508.07629",
    summary="Clipped tokens keep the bound's gradient, on both sides.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=PreservingClip(low=0.2, high=0.28, dual=10.0),
    aggregation="token-mean",
    updates=4,
    filter=DropUninformative(rounds=10),
)

GPPO_OFFICIAL = replace(
    GPPO,
    rollout=Independent(budget=8),
    aggregation="part-token-mean",
    updates=8,
    filter=DropUninformative(rounds=1),
)

VARIANTS = {"paper": GPPO, "official": GPPO_OFFICIAL}
