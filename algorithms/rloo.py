"""RLOO: each trajectory against the mean of the others of its question, with one ratio for the whole trajectory.

Source: RLOO, arXiv:2402.14740. Relative to GRPO it changes the advantage (the baseline leaves the trajectory's own
reward out, nothing is divided), the loss (the ratio of whole trajectories is clipped) and the aggregation (a mean over
trajectories), and takes the divergence from the first policy out of the reward.

Settings: coefficient 0.05 and clip 0.2 are TRL's, whose several steps a batch need a ratio; the paper makes one step
and has none. 16 trajectories and 4 steps are ours, as for all. Deviation of verl, stated: it clips each token's own
ratio.
"""

from algorithms.advantage.estimators import LeaveOneOut
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import SequenceClip
from algorithms.options import Divergence
from algorithms.rollout.independent import Independent

RLOO = Algorithm(
    name="rloo",
    paper="arXiv:2402.14740",
    summary="Each reward against the mean of the others; one ratio a trajectory; divergence in the reward.",
    rollout=Independent(budget=16),
    advantage=LeaveOneOut(),
    loss=SequenceClip(low=0.2, high=0.2, length_normalised=False),
    aggregation="sequence-mean-token-sum",
    updates=4,
    kl=Divergence(0.05, "k1", "reward"),
)

VARIANTS = {"paper": RLOO}
