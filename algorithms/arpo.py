"""ARPO: trajectories fork where the policy's entropy rises after a tool result; trained as GRPO.

Source: ARPO, arXiv:2507.19849. Relative to GRPO it changes the rollout alone: 8 of 16 trajectories start at the prompt,
the others are forks. Its default attribution of advantages ("soft") is GRPO's, a number per trajectory, since shared
tokens receive the mean of their trajectories' gradients by themselves; the paper's other one is
`advantage.estimators.HardAttribution`.

Settings: 16, 8, base probability 0.5 and clip 0.2 are those of its scripts; the dual clip of 3 is in its code and not
in the paper. Deviations, stated: entropy differences count in units of their running deviation, with a weight of 0.5
instead of 0.2 in that unit (`aepo.py`), a fork is drawn with the probability the paper compares with a threshold (as
its code does; `rollout.rule.mode=threshold` is the printed rule), and a batch gets 4 optimiser steps. Others:
`rollout/arpo.py`.

Official: the published scripts: entropies summed over 20 tokens, 8 steps, token means of micro-batches. Their beam size
of 2 is the one child a fork has here.
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.rollout.arpo import EntropyBranching
from algorithms.rollout.branching import ForkRule

ARPO = Algorithm(
    name="arpo",
    paper="arXiv:2507.19849",
    summary="Forks where entropy rises after a tool result; trained as GRPO.",
    rollout=EntropyBranching(budget=16, rule=ForkRule(base=0.5, weight=0.5, penalty=0.0)),
    advantage=GroupNormalised(deviation="sample"),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
)

ARPO_OFFICIAL = replace(
    ARPO,
    rollout=EntropyBranching(budget=16, rule=ForkRule(base=0.5, weight=0.2, penalty=0.0), look_ahead=20, scale="sum20"),
    aggregation="part-token-mean",
    updates=8,
)

VARIANTS = {"paper": ARPO, "official": ARPO_OFFICIAL}
