"""KL-Cov: the tokens that drive entropy down most are held where they were.

Source: Cui et al., The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models, arXiv:2505.22617.
Relative to GRPO it changes the loss: nothing is clipped; the tokens whose advantage and log-probability vary together
most pay for moving away from the old policy. Questions are dropped as by DAPO.

Settings: a share of 2e-3 (for 7 billion parameters; 2e-4 for 32) and coefficient 1 are its scripts' (verl's default
coefficient is 0.1). 16 trajectories and 4 steps are ours, as for all. Deviation, stated: the published code chooses
inside each micro-batch and on log-probabilities in training; here among all tokens of the optimiser step, on those
before it.

Official: the published scripts: 8 trajectories, 8 steps, token means of micro-batches. Tokens are still chosen among
those of the optimiser step, where theirs are chosen in each micro-batch.
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.filters import DropUninformative
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import HoldCovariant
from algorithms.rollout.independent import Independent

KL_COV = Algorithm(
    name="kl-cov",
    paper="arXiv:2505.22617",
    summary="No clip; the tokens that lower entropy most are held near the old policy.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=HoldCovariant(share=2e-3, coefficient=1.0),
    aggregation="token-mean",
    updates=4,
    filter=DropUninformative(rounds=10),
)

KL_COV_OFFICIAL = replace(KL_COV, rollout=Independent(budget=8), aggregation="part-token-mean", updates=8)

VARIANTS = {"paper": KL_COV, "official": KL_COV_OFFICIAL}
