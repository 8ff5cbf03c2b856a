"""Extraction from a transcript, expected values from the rules by hand."""

import pytest

from aepo_env.rewards.extraction import extract_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"<answer>\[ \boxed{42} \]</answer>", "42"),
        (r"<answer>one</answer> <answer>\boxed{two}</answer>", "two"),  # the last block
        (r"\boxed{1} <answer> plain </answer>", " plain "),  # a block without a box: as it stands
        (r"<answer>\boxed{1} and \boxed{\frac{1}{2}}</answer>", r"\frac{1}{2}"),  # the last box
        (r"<answer>\boxed{\text{Paris}}</answer>", "Paris"),
        (r"<answer>\boxed{in \text{Paris}}</answer>", r"in \text{Paris}"),
        (r"<answer>\fbox{7}</answer>", r"\fbox{7}"),  # a frame is found but not unwrapped
        (r"<answer>\boxed{7</answer>", r"\boxed{7"),  # to the end of the block
        (r"no tags, \boxed{9}", "9"),
        (r"<answer></answer> \boxed{9}", "9"),  # an empty block does not count
        (r"<answer>never closed \boxed{3}", "3"),
        (r"</answer> closed first <answer> \boxed{4}", "4"),
        (r"<answer>\boxed{}</answer>", r"\boxed{}"),  # an empty box: the block as it stands
        ("nothing", ""),
        (r"open \boxed{abc", r"\boxed{abc"),
        ("", ""),
    ],
)
def test_extraction(text: str, expected: str) -> None:
    assert extract_answer(text) == expected
