"""GAIA's own rule: numbers as numbers, lists element by element, everything else as bare letters and digits.

    gaia_match("$17,000", "17000")            # True
    gaia_match("egg, Milk", "egg,milk")       # True
    gaia_match("sea gull", "Seagull")         # True

The gold answer decides which kind is compared. No partial credit. Facts from the scorer published with GAIA
(Mialon et al. 2023, arXiv:2311.12983).
"""

import math
import re
import string
from collections.abc import Sequence

from aepo_env.rewards.text import as_answers

_NO_UNITS = str.maketrans("", "", "$%,")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SEPARATOR = re.compile(r"[,;]")


def gaia_score(prediction: str, answers: str | Sequence[str]) -> float:
    """1.0 if the prediction matches any answer, else 0.0."""
    return float(any(gaia_match(prediction, answer) for answer in as_answers(answers)))


def gaia_match(prediction: str, gold: str) -> bool:
    """Whether a prediction matches one gold answer."""
    if _number(gold) is not None:
        return _same_number(prediction, gold)
    if _SEPARATOR.search(gold):
        return _same_list(_SEPARATOR.split(prediction), _SEPARATOR.split(gold))
    return _bare(prediction, punctuation=False) == _bare(gold, punctuation=False)


def _same_list(predictions: list[str], golds: list[str]) -> bool:
    if len(predictions) != len(golds):
        return False
    for prediction, gold in zip(predictions, golds, strict=True):
        if _number(gold) is not None:
            if not _same_number(prediction, gold):
                return False
        elif _bare(prediction, punctuation=True) != _bare(gold, punctuation=True):
            return False
    return True


def _same_number(prediction: str, gold: str) -> bool:
    predicted = _number(prediction.translate(_NO_UNITS))
    return predicted is not None and predicted == _number(gold)


def _number(text: str) -> float | None:
    """The finite number a text spells, else None ("nan" and "infinity" are words here)."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _bare(text: str, punctuation: bool) -> str:
    """Lower case without white space, with or without punctuation."""
    letters = "".join(text.split()).lower()
    return letters if punctuation else letters.translate(_NO_PUNCTUATION)
