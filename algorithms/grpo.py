"""GRPO: independent trajectories, rewards relative to the other answers to the same question, PPO's clip.

Source: DeepSeekMath, arXiv:2402.03300. What the other algorithm files change, they change relative to this one.

Settings: 16 trajectories and clip 0.2, as the baseline of the ARPO and AEPO papers; sample deviation and dual clip 3
are verl's, on which their code stands. Deviations from the printed equation, stated: a token mean over the optimiser
step (printed: a mean over trajectories of token means; `aggregation=sequence-mean-token-mean`), no divergence from a
reference model (the coefficient of all published scripts here is 0), and 4 optimiser steps a batch.

Official: ARPO's and AEPO's authors run their own code with no forks (8 steps, token means of micro-batches).
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.rollout.independent import Independent

GRPO = Algorithm(
    name="grpo",
    paper="arXiv:2402.03300",
    summary="Independent trajectories, group-normalised rewards, clipped ratios.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
)

GRPO_OFFICIAL = replace(GRPO, aggregation="part-token-mean", updates=8)

VARIANTS = {"paper": GRPO, "official": GRPO_OFFICIAL}
