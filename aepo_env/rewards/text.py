"""Answers as text: exact match, token F1 and contained answer, under the normalisations others published.

    exact_match("The Eiffel Tower!", ["Eiffel Tower"])              # 1.0
    token_f1("Paris France", ["Paris"])                             # 0.667
    token_f1("well, yes", ["yes"], rule=HOTPOTQA)                   # 0.0: yes and no must match exactly

Every function takes one answer or several, of which any one is right, and gives the best. `TextRule` says what a rule
normalises away; the four constants are the published ones. None of them is fit for numbers ("-5" equals "5" without
punctuation): use `aepo_env.rewards.answers.answer_credit` for answers of any kind.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

ARTICLES = frozenset({"a", "an", "the"})
YES_NO = frozenset({"yes", "no", "noanswer"})
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_squad(text: str) -> str:
    """Lower case, ASCII punctuation deleted, articles dropped, white space collapsed (SQuAD 1.1; Search-R1's EM)."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def normalise_arpo_evaluation(text: str) -> str:
    """Lower case, articles dropped, white space collapsed; punctuation stays (the ARPO evaluation, question answering).

    Since punctuation stays, "Paris." and "Paris" differ, and the "a" of "a-b" goes.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().strip()).split())


def normalise_arpo_training(text: str) -> str:
    """What ARPO's training reward compares: the steps of `normalise_squad`, named apart since its traps are known.

    "A" becomes "", "-5" becomes "5", "3.5" becomes "35", "1/2" becomes "12".
    """
    return normalise_squad(text)


class TextRule(NamedTuple):
    """How two answers are compared as text.

    normalise: applied to both sides. closed: normalised answers that only count when equal, never by overlap.
    empty_equal: whether two answers that normalise to nothing have F1 1 (SQuAD 2.0) or 0 (no common token).
    """

    name: str
    normalise: Callable[[str], str]
    closed: frozenset[str] = frozenset()
    empty_equal: bool = True


SQUAD = TextRule("squad", normalise_squad)
HOTPOTQA = TextRule("hotpotqa", normalise_squad, closed=YES_NO)
ARPO_EVALUATION = TextRule("arpo-evaluation", normalise_arpo_evaluation, empty_equal=False)
ARPO_TRAINING = TextRule("arpo-training", normalise_arpo_training, closed=YES_NO, empty_equal=False)


def as_answers(answers: str | Sequence[str]) -> tuple[str, ...]:
    """One accepted answer or several, as a tuple."""
    return (answers,) if isinstance(answers, str) else tuple(answers)


def exact_match(prediction: str, answers: str | Sequence[str], rule: TextRule = SQUAD) -> float:
    """1.0 if the prediction equals an answer after normalisation, else 0.0."""
    normalised = rule.normalise(prediction)
    return float(any(normalised == rule.normalise(answer) for answer in as_answers(answers)))


def contains_answer(prediction: str, answers: str | Sequence[str], rule: TextRule = SQUAD) -> float:
    """1.0 if a normalised answer is a substring of the normalised prediction, else 0.0.

    An answer that normalises to nothing is contained in no prediction, but equals one that does so too.
    """
    normalised = rule.normalise(prediction)
    references = (rule.normalise(answer) for answer in as_answers(answers))
    return float(any(reference in normalised if reference else not normalised for reference in references))


def token_f1(prediction: str, answers: str | Sequence[str], rule: TextRule = SQUAD) -> float:
    """F1 of the token multisets, the best over the answers; in [0, 1]."""
    normalised = rule.normalise(prediction)
    return max((_f1(normalised, rule.normalise(answer), rule) for answer in as_answers(answers)), default=0.0)


def _f1(prediction: str, answer: str, rule: TextRule) -> float:
    if prediction != answer and (prediction in rule.closed or answer in rule.closed):
        return 0.0
    if not prediction and not answer:
        return float(rule.empty_equal)
    return overlap_f1(prediction.split(), answer.split())


def overlap_f1(prediction: Sequence[str], answer: Sequence[str]) -> float:
    """F1 of two token lists as multisets; 0.0 when they share no token."""
    common = sum((Counter(prediction) & Counter(answer)).values())
    return 2.0 * common / (len(prediction) + len(answer)) if common else 0.0
