"""CISPO: importance weights are cut, not updates: every token keeps a gradient.

Source: MiniMax-M1, arXiv:2506.13585, section 3.1. Relative to GRPO it changes the loss (the log-probability's gradient,
times the advantage, times a ratio that is cut at its upper bound and taken as constant); questions and the length
penalty are DAPO's, as the paper says.

Settings: no lower bound, as in the paper; its upper bound was tuned and is not printed, 1.28 is DAPO's (ours). Bounds
are ratios: verl's `clip_ratio_high` 0.2 is `loss.highest=1.2`, TRL's `epsilon_high` 5 is `loss.highest=5`. 16
trajectories and 4 steps are ours, as for all. Deviation of torchrl, stated: it differentiates the cut ratio, so that
tokens beyond the bound get no gradient at all.
"""

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.filters import DropUninformative
from algorithms.advantage.shaping import Overlong
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import CutWeights
from algorithms.rollout.independent import Independent

CISPO = Algorithm(
    name="cispo",
    paper="arXiv:2506.13585",
    summary="Cut importance weights instead of clipped updates; DAPO's questions and length penalty.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=CutWeights(lowest=0.0, highest=1.28),
    aggregation="token-mean",
    updates=4,
    filter=DropUninformative(rounds=10),
    shaping=(Overlong(buffer=0.2, factor=1.0),),
)

VARIANTS = {"paper": CISPO}
