"""Dr. GRPO: GRPO without the two divisions that bias it.

Source: Dr. GRPO, arXiv:2503.20783. Relative to GRPO it changes the advantage (rewards are centred and not divided by
their deviation, which favours questions that are nearly always or nearly never solved) and the aggregation (sums of
tokens over a constant, since dividing by a trajectory's own length makes long wrong answers cheap).

Settings: 16 trajectories, clip 0.2 and 4 steps as for GRPO here. The constant is the longest response allowed; 1,024 is
ours, and with Adam it matters only where gradients are shortened. Deviation of verl, stated: without a setting it
divides by the padded width of the batch, which is no constant.
"""

from algorithms.advantage.estimators import GroupNormalised
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.rollout.independent import Independent

DR_GRPO = Algorithm(
    name="dr-grpo",
    paper="arXiv:2503.20783",
    summary="Centred rewards without their deviation, sums of tokens over a constant.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="none"),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="sequence-mean-token-sum-constant",
    constant_length=1024.0,
    updates=4,
)

VARIANTS = {"paper": DR_GRPO}
