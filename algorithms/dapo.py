"""DAPO: a wider bound upwards, every token alike, and only questions that some trajectories solve and others do not.

Source: DAPO, arXiv:2503.14476. Relative to GRPO it changes the loss (upper bound 0.28, so that unlikely good tokens can
rise), the questions (those with equal rewards are dropped and others grown in their place) and the reward (answers
close to the limit on length lose some).

Settings: 0.2 and 0.28 and a buffer of a fifth of the limit are the paper's; 10 rounds of growing and dual clip 10 are
its recipe's in verl. 16 trajectories as there; 4 steps are ours. After the last round what there is is trained on (the
recipe stops). The paper's other way with long answers, to leave those that were cut out of the loss, is
`mask_too_long=yes`. Its aggregation as run is a mean over all tokens; its Eq. 8 read literally averages inside each
question first (`aggregation=group-mean-token-mean`). Length counts tool results, and the test for equal rewards sees
them before any length penalty.

Official: the recipe: 16 steps (512 questions in mini-batches of 32), token means of micro-batches.
"""

from dataclasses import replace

from algorithms.advantage.estimators import GroupNormalised
from algorithms.advantage.filters import DropUninformative
from algorithms.advantage.shaping import Overlong
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.rollout.independent import Independent

DAPO = Algorithm(
    name="dapo",
    paper="arXiv:2503.14476",
    summary="Upper bound 0.28, questions without spread replaced, long answers punished.",
    rollout=Independent(budget=16),
    advantage=GroupNormalised(deviation="sample"),
    loss=Clip(low=0.2, high=0.28, dual=10.0),
    aggregation="token-mean",
    updates=4,
    filter=DropUninformative(rounds=10),
    shaping=(Overlong(buffer=0.2, factor=1.0),),
)

DAPO_OFFICIAL = replace(DAPO, aggregation="part-token-mean", updates=16)

VARIANTS = {"paper": DAPO, "official": DAPO_OFFICIAL}
