"""AEPO: entropy decides where the budget goes, how far a token may move, and what it is worth.

Source: AEPO, arXiv:2510.14545. Relative to GRPO it changes

- the rollout: a probe's entropies say how many trajectories start at the prompt (pre-monitoring); the others are forks
  where entropy rises after a tool result, and consecutive forks become less likely (branch penalty): `rollout/aepo.py`;
- the loss: rising tokens beyond the clip keep a bounded gradient: `loss/balanced_clip.py`;
- the advantage: tokens at which the policy was uncertain weigh more: `advantage/entropy_aware.py`.

All are on; each is switched off alone: `rollout.premonitor=false` (then `rollout.initial=`), `rollout.rule.penalty=0`,
`loss.balanced=false`, `advantage.weight=0`. With all off and `rollout.initial` the whole budget, this is GRPO.

Settings: 16, base probability 0.5, entropy weight of the advantage 0.2, penalty 0.05, clip 0.2 and dual clip 3 are
those of its scripts and code (the paper prints none that could be found). Ours: entropy differences in units of their
running deviation, and so a sensitivity of 1 and a weight of 0.5 for forks (few differences are large: with the scripts'
0.2 half of all forks would be coin flips within 0.05 of even), entropy statistics over the whole batch, and 4 optimiser
steps.

Official: the published scripts: no pre-monitoring (8 start at the prompt), the code's form of the penalty, entropies
summed over 20 tokens, 8 steps, token means of micro-batches, and no entropy-aware advantage: their switch for it is on,
but it never runs. Forks in a row are counted per question, as in their code.
"""

from dataclasses import replace

from algorithms.advantage.estimators import EntropyAware, GroupNormalised
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import BalancedClip
from algorithms.rollout.aepo import EntropyBalanced
from algorithms.rollout.branching import ForkRule

AEPO = Algorithm(
    name="aepo",
    paper="arXiv:2510.14545",
    summary="A probe splits the budget, forks follow entropy, clipped and uncertain tokens go on learning.",
    rollout=EntropyBalanced(budget=16, sensitivity=1.0, rule=ForkRule(base=0.5, weight=0.5, penalty=0.05)),
    advantage=EntropyAware(GroupNormalised(deviation="sample"), weight=0.2),
    loss=BalancedClip(low=0.2, high=0.2, dual=3.0),
    aggregation="token-mean",
    updates=4,
)

AEPO_OFFICIAL = replace(
    AEPO,
    rollout=EntropyBalanced(
        budget=16,
        sensitivity=0.5,
        rule=ForkRule(base=0.5, weight=0.2, penalty=0.05, form="official", streaks="question"),
        look_ahead=20,
        scale="sum20",
        premonitor=False,
        keep_probe=False,
        form="official",
    ),
    advantage=GroupNormalised(deviation="sample"),
    aggregation="part-token-mean",
    updates=8,
)

VARIANTS = {"paper": AEPO, "official": AEPO_OFFICIAL}
