"""GSPO: one ratio per trajectory, the geometric mean of its tokens', and a clip a few ten-thousandths wide.

Source: GSPO, arXiv:2507.18071, Eq. 5 and 7. Relative to GRPO it changes the loss (trajectories are clipped whole) and
the aggregation (each trajectory counts alike).

Settings: 3e-4 and 4e-4 are the paper's, for updates far smaller than a tiny model's: watch `update.clip_share`. No dual
clip; log-ratios are cut at 10 from above, as in verl. 16 trajectories and 4 steps are ours, as for all.
"""

from algorithms.advantage.estimators import GroupNormalised
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import SequenceClip
from algorithms.rollout.independent import Independent

GSPO = Algorithm(
    name="gspo",
    paper="arXiv:2507.18071",
    summary="Ratios of whole trajectories, length-normalised, in a very narrow clip.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=SequenceClip(low=3e-4, high=4e-4),
    aggregation="sequence-mean-token-mean",
    updates=4,
)

VARIANTS = {"paper": GSPO}
