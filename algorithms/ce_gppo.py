"""CE-GPPO: GPPO with the gradients beyond the two bounds weighed apart, to steer entropy.

Source: CE-GPPO, arXiv:2509.20712, Eq. 17-18. Relative to GRPO it changes the loss (beyond the lower bound the gradient
is beta_1 times the bound's, beyond the upper one beta_2 times) and drops questions with equal rewards, as DAPO does.

Settings: clip 0.2, beta_1 0.5 (for 1.5 billion parameters; 0.75 for 7), beta_2 1 and dual clip 10 are its scripts'. 16
trajectories and 4 steps are ours, as for all. Left out: the scripts' additional likelihood of right answers.

Official: the published scripts: 8 trajectories, 8 steps, token means of micro-batches, and questions are grown once, so
that a batch from which equal rewards were dropped stays smaller (they grow twice as many as a batch takes). The
function's own default, which neither of the two scripts named after the method uses, is beta_1 0.25.
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.filters import DropUninformative
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import PreservingClip
from algorithms.rollout.independent import Independent

CE_GPPO = Algorithm(
    name="ce-gppo",
    paper="arXiv:2509.20712",
    summary="Clipped tokens keep a weighed part of the bound's gradient.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=PreservingClip(low=0.2, high=0.2, dual=10.0, low_scale=0.5, high_scale=1.0),
    aggregation="token-mean",
    updates=4,
    filter=DropUninformative(rounds=10),
)

CE_GPPO_OFFICIAL = replace(
    CE_GPPO,
    rollout=Independent(budget=8),
    aggregation="part-token-mean",
    updates=8,
    filter=DropUninformative(rounds=1),
)

VARIANTS = {"paper": CE_GPPO, "official": CE_GPPO_OFFICIAL}
