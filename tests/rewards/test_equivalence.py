"""String equivalence: one row per rewriting step, expected values from the rules by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepo_env.rewards.equivalence import is_equiv, rewrite


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\n2", "12"),
        (r"1\!000", "1000"),
        (r"a\\b", r"a\b"),
        (r"\tfrac{1}{2}", r"\frac{1}{2}"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\left(1\right)", "(1)"),
        (r"a\leftarrow b", "aarrowb"),  # also inside a longer command
        (r"45^\circ", "45"),
        (r"45^{\circ}", "45"),
        (r"\$14", "14"),
        (r"5\text{ cm}", "5"),
        (r"5\text{cm}", r"5\text{cm}"),  # without the space it is no unit
        (r"50\%", "50"),
        ("50%", "50%"),
        (r"\\\%%", ""),  # dropped twice: the first leaves another behind
        ("x .5", "x0.5"),
        ("{.5}", "{0.5}"),
        (".5", r"\frac{1}{2}"),  # 0.5 first, then the half
        ("", ""),
        ("x = 5", "5"),
        ("xyz=5", "xyz=5"),
        ("a=b=5", "a=b=5"),
        (r"\sqrt3", r"\sqrt{3}"),
        (r"\sqrt12", r"\sqrt{1}2"),
        (r"\frac12", r"\frac{1}{2}"),
        (r"\frac1{72}", r"\frac{1}{72}"),
        (r"\frac{1}2", r"\frac{1}2"),
        (r"\frac123", r"\frac{1}{2}3"),
        (r"\frac1", r"\frac1"),
        ("0.5", r"\frac{1}{2}"),
        ("3/4", r"\frac{3}{4}"),
        ("-3/4", r"\frac{-3}{4}"),
        ("03/4", "03/4"),
        ("+3/4", "+3/4"),
        ("a/b", "a/b"),
        ("1/2/3", "1/2/3"),
        ("1,000", "1,000"),
    ],
)
def test_rewriting_step(text: str, expected: str) -> None:
    assert rewrite(text) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (r"\tfrac12", "1/2", True),
        ("0.25", "1/4", False),  # spelling only
        (r"5\text{ a}\text{ b}", r"5\text{ a}\text{ b}", True),  # two units: compared as they are
        (r"5\text{ a}\text{ b}", "5", False),
        (r"\sqrt", r"\sqrt", True),  # no argument: compared as they are
        (r"\frac", r"\frac ", False),
        (r"\sqrt\sqrt{2}", r"\sqrt\sqrt{2} ", False),  # the first root has no argument
        ("A", "a", False),
    ],
)
def test_equivalence(first: str, second: str, expected: bool) -> None:
    assert is_equiv(first, second) is expected


@given(
    first=st.text(alphabet=r"\fracsqt{}12/=. ", max_size=30),
    second=st.text(alphabet=r"\fracsqt{}12/=. ", max_size=30),
)
def test_never_raises_and_is_symmetric(first: str, second: str) -> None:
    assert is_equiv(first, second) == is_equiv(second, first)
    assert is_equiv(first, first)
