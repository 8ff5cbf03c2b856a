"""PPO: a critic says what each token's past promised; advantages are what came instead.

Source: PPO, arXiv:1707.06347, with generalised advantage estimation, arXiv:1506.02438. Relative to GRPO it changes the
advantage: no groups, but a second model, trained beside the policy, whose values are compared token by token. "Next"
skips tool results: they cost neither discount nor decay, as in verl (OpenRLHF cuts the bootstrap there).

Settings: discount and decay 1, a band of 0.5 around old values and dual clip 3 are verl's; clip 0.2 and whitened
advantages are the reference implementation's. The critic's learning rate is the policy's (verl: ten times it), 16
trajectories and 4 steps are ours, as for all; PPO itself needs one trajectory a question.
"""

from algorithms.advantage.structured import Bootstrapped
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.options import CriticSettings
from algorithms.rollout.independent import Independent

PPO = Algorithm(
    name="ppo",
    paper="arXiv:1707.06347",
    summary="A critic's values instead of groups; clipped ratios.",
    rollout=Independent(budget=16),
    advantage=Bootstrapped(discount=1.0, decay=1.0, whiten=True),
    loss=Clip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
    critic=CriticSettings(width=0.5),
)

VARIANTS = {"paper": PPO}
