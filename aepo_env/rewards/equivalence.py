r"""String equivalence of maths answers: the rewriting steps of the MATH benchmark, used by ARPO's evaluation.

    is_equiv(r"\tfrac12", "1/2")      # True
    is_equiv("0.25", "1/4")           # False: no arithmetic, only spelling

It knows spelling, not mathematics; `aepo_env.rewards.maths.maths_equal` knows mathematics.
Source of the rules: Hendrycks et al. 2021 (arXiv:2103.03874), steps in their published order.
"""

import re

_DROPPED_FIRST = ("\n", r"\!")
_DROPPED_LATER = (r"\left", r"\right", r"^{\circ}", r"^\circ", r"\$")
_WHOLE_NUMBER = r"(?:0|-?[1-9][0-9]*)"
_PLAIN_FRACTION = re.compile(rf"({_WHOLE_NUMBER})/({_WHOLE_NUMBER})")
_UNIT = r"\text{ "


def is_equiv(first: str, second: str) -> bool:
    """Whether both are spelt alike after rewriting; where rewriting fails, whether they are equal as they are."""
    try:
        return rewrite(first) == rewrite(second)
    except ValueError:
        return first == second


def rewrite(text: str) -> str:
    """The canonical spelling. Raises ValueError where the rules have none (two units, a command without argument)."""
    for dropped in _DROPPED_FIRST:
        text = text.replace(dropped, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    for dropped in _DROPPED_LATER:
        text = text.replace(dropped, "")
    text = (
        _without_unit(text).replace(r"\%", "").replace(r"\%", "")
    )  # twice, as published: the first can make a new one
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    text = "0" + text if text.startswith(".") else text
    text = _right_side(text)
    text = _braced_roots(text).replace(" ", "")
    text = _braced_fractions(text)
    text = r"\frac{1}{2}" if text == "0.5" else text
    plain = _PLAIN_FRACTION.fullmatch(text)
    return rf"\frac{{{plain[1]}}}{{{plain[2]}}}" if plain else text


def _without_unit(text: str) -> str:
    before, *units = text.split(_UNIT)
    if len(units) > 1:
        raise ValueError("more than one unit")
    return before


def _right_side(text: str) -> str:
    r"""The right side of a short assignment: "x = 5" gives " 5"; "x+y=5" is none and stays."""
    left, *rights = text.split("=")
    return rights[0] if len(rights) == 1 and len(left) <= 2 else text


def _braced_roots(text: str) -> str:
    r"""Braces around a one-character argument: `\sqrt3`. Two roots in a row are an error, as the first has none."""
    first, *rest = text.split(r"\sqrt")
    if any(not piece for piece in rest):
        raise ValueError(r"\sqrt without an argument")
    pieces = [piece if piece.startswith("{") else f"{{{piece[0]}}}{piece[1:]}" for piece in rest]
    return r"\sqrt".join([first, *pieces])


def _braced_fractions(text: str) -> str:
    r"""Braces around one-character arguments: `\frac12` and `\frac1{72}`; a braced numerator is left alone."""
    first, *rest = text.split(r"\frac")
    pieces = [first]
    for piece in rest:
        if not piece:
            raise ValueError(r"\frac without arguments")
        if len(piece) == 1 and piece != "{":
            return text  # no denominator: the rules leave the whole text as it is
        pieces.append(_braced_arguments(piece))
    return r"\frac".join(pieces)


def _braced_arguments(piece: str) -> str:
    if piece.startswith("{"):
        return piece
    numerator, denominator, tail = piece[0], piece[1], piece[2:]
    return f"{{{numerator}}}" + (denominator if denominator == "{" else f"{{{denominator}}}") + tail
