"""Rewards: how a finished episode is scored. The names here are the public ones; each file says more.

    from aepo_env.rewards import REWARDS, combine, paper_reward
    reward = combine({"paper": paper_reward(), "exact_match": REWARDS["exact_match"]}, weights={"exact_match": 0.0})

Scorers on strings (`exact_match`, `token_f1`, `maths_equal`, …) take a prediction and one answer or several, of which
any one is right. Rewards take an episode and give a `Score` with named parts.
"""

from aepo_env.rewards.answers import answer_credit
from aepo_env.rewards.arpo_training import OfficialScore, official_score
from aepo_env.rewards.equivalence import is_equiv
from aepo_env.rewards.extraction import extract_answer
from aepo_env.rewards.gaia import gaia_score
from aepo_env.rewards.judge import judge, judge_reward
from aepo_env.rewards.maths import maths_equal, maths_score
from aepo_env.rewards.paper import paper_reward
from aepo_env.rewards.reward import Reward, Score, answer_reward, combine, rescore
from aepo_env.rewards.text import contains_answer, exact_match, token_f1
from aepo_env.text import did_you_mean

REWARDS: dict[str, Reward] = {
    "paper": paper_reward(),
    "paper_official": paper_reward("official"),
    "exact_match": answer_reward("exact_match", exact_match),
    "f1": answer_reward("f1", token_f1),
    "contains_answer": answer_reward("contains_answer", contains_answer),
    "answer_credit": answer_reward("answer_credit", answer_credit),
    "maths": answer_reward("maths", maths_score),
    "gaia": answer_reward("gaia", gaia_score),
}
"""Rewards by the names a command line or a config uses."""


def reward_by_name(name: str) -> Reward:
    """The reward of this name. Raises ValueError that lists the names there are."""
    if name not in REWARDS:
        raise ValueError(f"reward is one of {', '.join(REWARDS)}; got {name!r}{did_you_mean(name, REWARDS)}")
    return REWARDS[name]


__all__ = [
    "REWARDS",
    "OfficialScore",
    "Reward",
    "Score",
    "answer_credit",
    "answer_reward",
    "combine",
    "contains_answer",
    "exact_match",
    "extract_answer",
    "gaia_score",
    "is_equiv",
    "judge",
    "judge_reward",
    "maths_equal",
    "maths_score",
    "official_score",
    "paper_reward",
    "rescore",
    "reward_by_name",
    "token_f1",
]
