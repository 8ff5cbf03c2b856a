"""Clip-Cov: a few of the tokens that drive entropy down are left out of the update.

Source: Cui et al., The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models, arXiv:2505.22617.
Relative to GRPO it changes the loss: tokens whose advantage and log-probability vary together most lower entropy when
they are moved; a small share of those, drawn at random, gets no gradient. Questions are dropped as by DAPO.

Settings: a share of 2e-4 out of covariances from 1 to 5, and clip widths of 1 that hardly act, are its scripts'. 16
trajectories and 4 steps are ours, as for all. Deviation, stated: the published code draws inside each micro-batch and
on log-probabilities in training; here among all tokens of the optimiser step, on those before it.

Official: the published scripts: 8 trajectories, 8 steps, token means of micro-batches. Tokens are still chosen among
those of the optimiser step, where theirs are chosen in each micro-batch.
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.filters import DropUninformative
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import DropCovariant
from algorithms.rollout.independent import Independent

CLIP_COV = Algorithm(
    name="clip-cov",
    paper="arXiv:2505.22617",
    summary="A random few of the tokens that lower entropy are left out of the update.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=DropCovariant(low=1.0, high=1.0, least=1.0, most=5.0, share=2e-4),
    aggregation="token-mean",
    updates=4,
    filter=DropUninformative(rounds=10),
)

CLIP_COV_OFFICIAL = replace(CLIP_COV, rollout=Independent(budget=8), aggregation="part-token-mean", updates=8)

VARIANTS = {"paper": CLIP_COV, "official": CLIP_COV_OFFICIAL}
