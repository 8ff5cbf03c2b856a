"""REINFORCE++ and its baseline variant: rewards normalised over the whole batch instead of inside each question.

Source: REINFORCE++, arXiv:2501.03262. Relative to GRPO it changes the advantage: what a trajectory still earns from
each token on, a divergence from the first policy taken off token by token, whitened over all tokens of the batch. The
baseline variant first takes off the mean of the question's rewards and has the divergence (k2) in the loss.

Settings: coefficient 0.01 and discount 1 are OpenRLHF's, the paper's own code; clip 0.2. Dual clip 3 is verl's. 16
trajectories and 4 steps are ours, as for all. Deviations of others, stated: OpenRLHF discounts through tool results
(here they are bridged, as in verl) and whitens in float32; verl keeps the raw reward of a group of one (here 0).

Official: OpenRLHF as it is shipped: no dual clip, and the biased variance, at least 1e-8, in whitening.
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised, TokenReturns, Whitened
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.options import Divergence
from algorithms.rollout.independent import Independent

REINFORCE_PLUS_PLUS = Algorithm(
    name="reinforce++",
    paper="arXiv:2501.03262",
    summary="Returns per token, whitened over the batch; divergence in the reward; clipped ratios.",
    rollout=Independent(budget=16),
    advantage=Whitened(TokenReturns(discount=1.0)),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
    kl=Divergence(0.01, "k1", "reward"),
)

REINFORCE_PLUS_PLUS_BASELINE = Algorithm(
    name="reinforce++-baseline",
    paper="arXiv:2501.03262",
    summary="Rewards centred by question, whitened over the batch; divergence in the loss; clipped ratios.",
    rollout=Independent(budget=16),
    advantage=Whitened(GroupNormalised(deviation="none")),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
    kl=Divergence(0.01, "k2", "loss"),
)

REINFORCE_PLUS_PLUS_OFFICIAL = replace(
    REINFORCE_PLUS_PLUS,
    advantage=Whitened(TokenReturns(discount=1.0), biased=True),
    loss=Clip(low=0.2, high=0.2, dual=None),
)

REINFORCE_PLUS_PLUS_BASELINE_OFFICIAL = replace(
    REINFORCE_PLUS_PLUS_BASELINE,
    advantage=Whitened(GroupNormalised(deviation="none"), biased=True),
    loss=Clip(low=0.2, high=0.2, dual=None),
)

VARIANTS = {"paper": REINFORCE_PLUS_PLUS, "official": REINFORCE_PLUS_PLUS_OFFICIAL}
BASELINE_VARIANTS = {"paper": REINFORCE_PLUS_PLUS_BASELINE, "official": REINFORCE_PLUS_PLUS_BASELINE_OFFICIAL}
