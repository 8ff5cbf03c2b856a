"""GiGPO: the episode's advantage, plus one among the steps that different trajectories took from the same state.

Source: GiGPO, arXiv:2505.10978. Relative to GRPO it changes the advantage: to the trajectory's number each step adds
how its discounted return compares with those of the question's other steps from the same state. States are the
environment's own (`ToolEnv.anchor`): the task, the last tool result and what each tool looks at, never the transcript.

Settings: weight 1, discount 0.95, clip 0.2 and a divergence (k3) of 0.01 in the loss are its scripts', dividing by the
deviation too (the function's own default does not: `advantage.deviation=none`). Dual clip 3 is verl's. 16 trajectories
(there 8) and 4 steps are ours, as for all. Left out: grouping of nearly equal states, and the scripts' penalty of 0.1
for invalid actions; the environment's reward has its own. Deviation of ROLL, stated: it groups states over questions.

Official: the published code takes the episode's statistics over steps, so that long episodes weigh more; its scripts
run 8 trajectories.
"""

from dataclasses import replace

from algorithms.advantage.structured import EpisodeAndSteps
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.options import Divergence
from algorithms.rollout.independent import Independent

GIGPO = Algorithm(
    name="gigpo",
    paper="arXiv:2505.10978",
    summary="Episode advantage plus one among steps from the same state; divergence in the loss.",
    rollout=Independent(budget=16),
    advantage=EpisodeAndSteps(weight=1.0, discount=0.95, deviation="sample"),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
    kl=Divergence(0.01, "k3", "loss"),
)

GIGPO_OFFICIAL = replace(
    GIGPO,
    rollout=Independent(budget=8),
    advantage=EpisodeAndSteps(weight=1.0, discount=0.95, statistics="steps"),
)

VARIANTS = {"paper": GIGPO, "official": GIGPO_OFFICIAL}
