r"""How right a final answer is, for answers of any kind: numbers as numbers, maths as maths, text as text.

    answer_credit("−5", ["5"])                    # 0.0     the sign counts
    answer_credit("1,200.0", ["1200"])            # 1.0
    answer_credit(r"\frac{2\sqrt{2}}{4}", [r"\frac{\sqrt{2}}{2}"])   # 1.0, by the extra `math`
    answer_credit("A", ["A"])                     # 1.0     a letter, not an article
    answer_credit("Paris France", ["Paris"])      # 0.667   token F1

The accepted answer decides how it is compared (`aepo_env.rewards.kinds`). This is the accuracy inside the corrected
training reward; what it changes against the published one, and why, stands in `docs/rewards.md`.
"""

import contextlib
import re
import string
from collections.abc import Callable, Sequence
from fractions import Fraction

from aepo_env.errors import MissingExtra
from aepo_env.rewards.equivalence import is_equiv
from aepo_env.rewards.kinds import clean, has_latex, kind_of, parse_number
from aepo_env.rewards.maths import maths_equal
from aepo_env.rewards.text import ARTICLES, YES_NO, as_answers, overlap_f1

MathsEqual = Callable[[str, str], bool]
FLOAT_TOLERANCE = Fraction(1, 10**9)  # relative: 0.1 + 0.2 as python prints it equals 0.3
MAX_SENTENCE = 1000  # characters searched for a number; a longer prediction is no answer

_NUMBER_IN_TEXT = re.compile(r"(?<![\w.])[-+]?(?:[0-9][0-9,]*)?\.?[0-9]+(?:/[0-9]+)?(?!\w)")
_LOOSE_SIGN = re.compile(r"(?<=[0-9])\s*([:/\-])\s*(?=[0-9])")
# Signs and points that carry a number's meaning stay; all other ASCII punctuation goes without leaving a gap.
_PUNCTUATION = re.compile(
    r"(?P<kept>(?<=[0-9])[./:\-](?=[0-9])|(?<![\w.)])-(?=\.?[0-9])|(?<![\w.])\.(?=[0-9]))"
    rf"|[{re.escape(string.punctuation)}]"
)


def answer_credit(prediction: str, answers: str | Sequence[str], maths: MathsEqual = maths_equal) -> float:
    """How right a prediction is, in [0, 1]: the best over the accepted answers.

    maths: (prediction, answer) -> equal. Asked for accepted answers of kind "maths" whose spelling differs, and for a
    number when the prediction is an expression ("2^{10}" for 1024).
    Raises MissingExtra for an accepted answer in LaTeX when the extra `math` is missing. What a policy writes never
    raises: without the extra an expression does not equal a number, and "P-47" is compared as text.
    """
    return max((_credit(prediction, answer, maths) for answer in as_answers(answers)), default=0.0)


def _credit(prediction: str, answer: str, maths: MathsEqual) -> float:
    wanted, given = clean(answer), clean(prediction)
    kind = kind_of(wanted)
    if kind == "text":
        return text_credit(given, wanted)
    if is_equiv(prediction, answer) or is_equiv(given, wanted):
        return 1.0
    if kind == "maths":
        return float(_same_letters(given, wanted)) or _maths_credit(given, wanted, maths)
    credit = number_credit(given, wanted)
    if credit < 1.0 and kind_of(given) == "maths":
        with contextlib.suppress(MissingExtra):
            return float(maths(given, wanted))
    return credit


def _maths_credit(prediction: str, answer: str, maths: MathsEqual) -> float:
    try:
        return float(maths(prediction, answer))
    except MissingExtra:
        if has_latex(answer):
            raise
        return text_credit(prediction, answer)  # "P-47" only looks like algebra: no reason to stop a run


def _same_letters(first: str, second: str) -> bool:
    """Equal but for case and white space: "p-47" is "P-47", though it reads like algebra."""
    return "".join(first.split()).lower() == "".join(second.split()).lower()


def number_credit(prediction: str, answer: str) -> float:
    """Credit when the accepted answer is a number (both cleaned).

    1.0 for the same value. A prediction with exactly one number in it, the right one, among words ("in 1971", "42 km")
    gets its token F1; one with several numbers gets nothing, so that guesses cannot be listed.
    """
    wanted, given = parse_number(answer), parse_number(_assigned(prediction))
    if wanted is None:
        return 0.0
    if given is not None:
        return float(_same_value(given, wanted))
    numbers = _NUMBER_IN_TEXT.findall(prediction) if len(prediction) <= MAX_SENTENCE else []
    value = parse_number(numbers[0]) if len(numbers) == 1 else None
    if value is None or not _same_value(value, wanted):
        return 0.0
    return 2.0 / (1 + max(2, len(text_tokens(prediction))))  # F1 of n tokens against the one that is right


def _assigned(prediction: str) -> str:
    """The right side of "x = 5"."""
    left, equals, right = prediction.partition("=")
    return right if equals and len(left.strip()) == 1 and left.strip().isalpha() else prediction


def _same_value(first: Fraction, second: Fraction) -> bool:
    if first.denominator == second.denominator == 1:
        return first == second
    return abs(first - second) <= FLOAT_TOLERANCE * max(abs(first), abs(second))


def text_credit(prediction: str, answer: str) -> float:
    """Token F1 that keeps signs, points and lone letters; yes and no count only when they are the whole answer."""
    lone_letter = set(_tokens(answer)) <= ARTICLES  # "A" alone is a choice, not an article
    given, wanted = text_tokens(prediction, lone_letter), text_tokens(answer, lone_letter)
    if not wanted:  # punctuation only: nothing to overlap with
        return float(prediction.strip() == answer.strip())
    if given != wanted and any(len(tokens) == 1 and tokens[0] in YES_NO for tokens in (given, wanted)):
        return 0.0
    return overlap_f1(given, wanted)


def text_tokens(text: str, keep_articles: bool = False) -> list[str]:
    """Lower-case tokens without punctuation, except what carries a number's meaning; articles dropped unless kept.

    A text of articles alone keeps them.
    """
    tokens = _tokens(text)
    content = [token for token in tokens if token not in ARTICLES]
    return tokens if keep_articles or not content else content


def _tokens(text: str) -> list[str]:
    joined = _LOOSE_SIGN.sub(r"\1", text.lower())
    return _PUNCTUATION.sub(lambda match: match["kept"] or "", joined).split()
