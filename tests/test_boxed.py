"""Boxes: their content, braces matched."""

import pytest

from aepo_env.boxed import closing_brace, unbox


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{a}", "a"),
        ("\\boxed{a} or \\boxed{b}", "b"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\text{New {York}}} .", "\\text{New {York}}"),
        ("\\boxed{never closed", "never closed"),
        ("\\boxed{}", ""),
        ("  no box ", "no box"),
    ],
)
def test_unbox(text: str, expected: str) -> None:
    assert unbox(text) == expected


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [("{}", 0, 1), ("a{b{c}d}e", 0, 7), ("{b{c}d}e", 2, 4), ("{{}", 0, -1), ("none", 0, -1), ("", 0, -1)],
)
def test_the_closing_brace_is_the_matching_one(text: str, start: int, expected: int) -> None:
    assert closing_brace(text, start) == expected
