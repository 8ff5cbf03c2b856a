r"""What kind of answer a text is: a number, maths, or plain text; and the exact value of a number.

    kind_of("-3.5")  ==  "number"        kind_of(r"\frac{\pi}{2}")  ==  "maths"        kind_of("1914-1918")  ==  "text"
    parse_number("$1,200.50")            # Fraction(2401, 2)

A rule of thumb, made for accepted answers of question and maths data sets; `aepo_env.rewards.answers` says what follows
from each kind.
"""

import re
import unicodedata
from fractions import Fraction
from typing import Literal

MAX_NUMBER = 60  # characters of the longest text read as a number
MAX_EXPRESSION = 1000  # characters of the longest text read as maths

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s?\\?[$€£¥]?\s?(?P<whole>{_DIGITS}?)(?P<point>\.[0-9]+)?"
    r"(?P<exponent>[eE][-+]?[0-9]{1,2})?(?:/(?P<below>[0-9]+))?\s?(?:\\?%|°|\^\\circ|\^\{\\circ\})?\.?"
)
_FRACTION = re.compile(r"(?P<sign>[-+]?)\\[td]?frac\{(?P<above>-?[0-9]+)\}\{(?P<below>[0-9]+)\}")
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mbox)\{([^{}]*)\}")
_THIN_SPACE = re.compile(r"\\[!,;] ?")
_DASHES = str.maketrans("‐‑‒–—−", "------")

_DATE_OR_RANGE = re.compile(r"[0-9]+(?:\s*[-/.:]\s*[0-9]+)+")
_LATEX = re.compile(r"\\[a-zA-Z{]|[\^√π∞∪∩≤≥≠]")
_ALGEBRA = re.compile(r"[0-9a-zA-Z+\-*/=<>()\[\]{},.|!_\s]+")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3})")
_WORD = re.compile(r"[a-zA-Z]{2,}")
_FUNCTIONS = frozenset({"sin", "cos", "tan", "log", "ln", "exp", "sqrt", "pi"})
_OPERATOR = re.compile(r"[-+*/=<>(\[_,]|(?<=[0-9a-zA-Z)])!")
_LETTER_SUM = re.compile(r"[a-zA-Z](?:\s*[-+*/]\s*[a-zA-Z])+")


def clean(answer: str) -> str:
    r"""An answer without what only dresses it: compatibility forms, odd dashes, `$…$`, `\text{…}`, thin spaces."""
    answer = unicodedata.normalize("NFKC", answer).translate(_DASHES)
    answer = _THIN_SPACE.sub("", _TEXT_COMMAND.sub(r"\1", answer)).strip()
    if len(answer) > 2 and answer[0] == answer[-1] == "$":
        answer = answer[1:-1].strip()
    return answer


def kind_of(answer: str) -> Literal["number", "maths", "text"]:
    """How an answer (cleaned) is to be compared.

    number: it is one number, perhaps with a sign, point, fraction bar, currency, per cent or degree sign.
    maths: it has LaTeX commands, or consists of digits, single letters and function names with an operator.
    text: everything else. Dates, ranges, times, ratios and versions ("1914-1918", "3:02:24") are text, since their
    signs are no arithmetic: as a difference 1914-1918 would equal 1915-1919.
    """
    if parse_number(answer) is not None:
        return "number"
    if len(answer) > MAX_EXPRESSION or _DATE_OR_RANGE.fullmatch(answer):
        return "text"
    if has_latex(answer) or _LETTER_SUM.fullmatch(answer):
        return "maths"
    answer = _THOUSANDS.sub("", answer)
    words = {word.lower() for word in _WORD.findall(answer)}
    symbols = _ALGEBRA.fullmatch(answer) and words <= _FUNCTIONS
    return "maths" if symbols and re.search("[0-9=]", answer) and _OPERATOR.search(answer) else "text"


def has_latex(answer: str) -> bool:
    """Whether an answer has LaTeX commands, a power or maths characters."""
    return bool(_LATEX.search(answer))


def parse_number(text: str) -> Fraction | None:
    r"""The exact value of a text that is one number (`\frac{1}{2}` is) and nothing else; None for any other text."""
    text = text.strip()
    if len(text) > MAX_NUMBER:
        return None
    fraction = _FRACTION.fullmatch(text)
    if fraction:
        return _signed(fraction["sign"], Fraction(int(fraction["above"])), int(fraction["below"]))
    match = _NUMBER.fullmatch(text)
    if match is None or not (match["whole"] or match["point"]):
        return None
    digits = (match["whole"] or "0").replace(",", "") + (match["point"] or "") + (match["exponent"] or "")
    return _signed(match["sign"], Fraction(digits), int(match["below"] or 1))


def _signed(sign: str, above: Fraction, below: int) -> Fraction | None:
    if below == 0:
        return None
    return -above / below if sign == "-" else above / below
