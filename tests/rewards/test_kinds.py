"""What kind of answer a text is, and exact numbers."""

from fractions import Fraction

import pytest

from aepo_env.rewards.kinds import clean, kind_of, parse_number


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("5", "number"),
        ("-5", "number"),
        ("1,200.50", "number"),
        (r"\$14", "number"),
        (r"45^\circ", "number"),
        (r"10,\!080", "number"),
        (r"\frac{3}{5}", "number"),
        (r"2\sqrt{3}", "maths"),
        ("(4, 5)", "maths"),
        ("3, 6, -2", "maths"),
        ("n + 1", "maths"),
        ("x^2", "maths"),
        ("p - q", "maths"),
        ("a = -1", "maths"),
        ("100!", "maths"),
        ("Paris", "text"),
        (r"\text{Paris}", "text"),
        ("A", "text"),
        ("A, B", "text"),
        ("yes", "text"),
        ("1 October 1950", "text"),
        ("July 13-14", "text"),
        ("1914–1918", "text"),
        ("2019-04-01", "text"),
        ("10/12/2020", "text"),
        ("3:02:24", "text"),
        ("3 : 1", "text"),
        ("4,884 m", "text"),
        ("323–272 BC", "text"),
        ("AC/DC", "text"),
        ("D00224", "text"),
        ("", "text"),
    ],
)
def test_kind(answer: str, kind: str) -> None:
    assert kind_of(clean(answer)) == kind


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-3.5", Fraction(-7, 2)),
        ("1,200", Fraction(1200)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("-1/2", Fraction(-1, 2)),
        (r"-\dfrac{1}{2}", Fraction(-1, 2)),
        (r"\frac{-1}{2}", Fraction(-1, 2)),
        ("1e3", Fraction(1000)),
        ("50 %", Fraction(50)),
        ("€ 7", Fraction(7)),
        ("1/0", None),
        ("1,20", None),
        ("5 km", None),
        ("1 2", None),
        ("", None),
        ("-", None),
        ("9" * 61, None),  # no quadratic work for absurd numbers
    ],
)
def test_number(text: str, value: Fraction | None) -> None:
    assert parse_number(text) == value
