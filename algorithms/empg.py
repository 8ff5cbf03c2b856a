"""EMPG: steps the policy was sure of weigh more, unsure ones less, and steps that lead to sure ones get a bonus.

Source: EMPG, arXiv:2509.09265. Relative to GRPO it changes the advantage: each step's is scaled by how sure the policy
was there (mean token entropy, scaled over the batch's steps), a bonus for the next step's clarity is added, and the
mean over all steps taken off.

Settings: sharpness 1 and bonus 0.05 are those of a public port; the paper's own could not be confirmed (another port
has 0.1). Clip 0.2, dual clip 3, 16 trajectories and 4 steps as for GRPO here. Deviation, stated: a third port
multiplies the batch by every step's scale in turn; it is no reference.
"""

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.structured import StepsModulated
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.rollout.independent import Independent

EMPG = Algorithm(
    name="empg",
    paper="arXiv:2509.09265",
    summary="Sure steps weigh more, unsure ones less; a bonus for steps that lead to sure ones.",
    rollout=Independent(budget=16),
    advantage=StepsModulated(GroupNormalised(deviation="sample"), bonus=0.05),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
)

VARIANTS = {"paper": EMPG}
