"""REINFORCE: the policy gradient itself: reward minus a baseline, times the gradient of the log-probability.

Source: Williams, Simple statistical gradient-following algorithms for connectionist reinforcement learning, Machine
Learning 8 (1992). Relative to GRPO it changes the advantage (reward minus the batch's mean, nothing divided, no
groups), the loss (no ratio, no clip) and the aggregation (log-probabilities of whole trajectories), and so makes one
optimiser step a batch: a second one would be off-policy, and must be weighted (`loss.highest=2 updates=4`).

Settings: the batch's mean as baseline is OpenRLHF's "flash" form; `advantage.baseline=none` is the bare return. 16
trajectories are ours, as for all.
"""

from algorithms.advantage.estimators import Outcome
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import PlainGradient
from algorithms.rollout.independent import Independent

REINFORCE = Algorithm(
    name="reinforce",
    paper="doi:10.1007/BF00992696",
    summary="Reward minus the batch's mean, the bare policy gradient, one step a batch.",
    rollout=Independent(budget=16),
    advantage=Outcome(baseline="batch"),
    loss=PlainGradient(),
    aggregation="sequence-mean-token-sum",
    updates=1,
)

VARIANTS = {"paper": REINFORCE}
