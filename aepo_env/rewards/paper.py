"""The training reward of the ARPO and AEPO papers, as published and corrected.

    reward = paper_reward()                      # corrected: the default for training
    reward = paper_reward(rule="official")       # to compare with published runs

Both give -1 for a wrong format, 0 for a wrong answer, else the answer's accuracy plus 0.1 for using search and python.
"official" reads the flat transcript with the rule of `aepo_env.rewards.arpo_training`. "corrected" reads what the
protocol parsed out of the policy's own text, and compares answers with `aepo_env.rewards.answers`. The differences:

- page and tool text can neither break nor make the format, nor count as an answer or a tool use;
- numbers keep sign, point and fraction bar; maths is compared as maths; "A" is an answer;
- the bonus needs a search and a python call that ran without a fault, and an answer that is fully right.

Source: ARPO (arXiv:2507.19849) and AEPO (arXiv:2510.14545), rewards; reasons for each deviation: `docs/rewards.md`.
"""

from typing import Literal

from aepo_env.rewards.answers import MathsEqual, answer_credit
from aepo_env.rewards.arpo_training import TOOL_BONUS, official_score
from aepo_env.rewards.maths import maths_equal
from aepo_env.rewards.reward import FinishedEpisode, Reward, Score

WRONG_FORMAT = -1.0
BONUS_TOOLS = frozenset({"search", "python"})


def paper_reward(rule: Literal["corrected", "official"] = "corrected", *, maths: MathsEqual = maths_equal) -> Reward:
    """The reward under one of the two rules; totals in {-1} and [0, 1.1].

    Parts: "format" (1 or 0), "accuracy" in [0, 1], "tool_bonus" (0 or 0.1).
    maths: (prediction, answer) -> equal, for accepted answers that are maths; corrected rule only.
    Raises ValueError for another rule.
    """
    if rule == "official":
        return _official
    if rule != "corrected":
        raise ValueError(f"rule is 'corrected' or 'official', not {rule!r}")
    return lambda episode: _corrected(episode, maths)


def _official(episode: FinishedEpisode) -> Score:
    result = official_score(episode.response(), episode.task.answers)
    if result.score < 0.0:
        return _wrong_format()
    bonus = TOOL_BONUS if result.score > result.f1_score else 0.0
    return Score(result.score, {"format": 1.0, "accuracy": result.f1_score, "tool_bonus": bonus})


def _corrected(episode: FinishedEpisode, maths: MathsEqual) -> Score:
    if episode.answer is None or any(turn.malformed for turn in episode.turns):
        return _wrong_format()
    accuracy = answer_credit(episode.answer, episode.task.answers, maths)
    ran = {call.tool for turn in episode.turns for call in turn.calls if not (call.fault or call.refused)}
    bonus = TOOL_BONUS if accuracy == 1.0 and ran >= BONUS_TOOLS else 0.0
    return Score(accuracy + bonus, {"format": 1.0, "accuracy": accuracy, "tool_bonus": bonus})


def _wrong_format() -> Score:
    return Score(WRONG_FORMAT, {"format": 0.0, "accuracy": 0.0, "tool_bonus": 0.0})
