"""A tree in the terminal: all of it, within the width, and nothing in it that a terminal would obey."""

import re
from typing import Any

import pytest

from algorithms.report.terminal import Look, columns, cut, shown, step_lines, tree_lines
from tests.algorithms.report.made import trace

ATTACK = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eback\u2066\r\x7f"


def text(look: Look, **changes: Any) -> str:
    return "\n".join(tree_lines(trace(**changes), look))


def test_the_tree_is_drawn_with_its_reasons_and_rewards() -> None:
    assert text(Look()) == (
        "step 1, question 0 · web/1-hop · 1 of 3 right · m = 2, gap -0.050 · 1 forks\n"
        "accepted: xx or x x\n"
        "\n"
        "? What is it?\n"
        "├─▸ <answer>x  [2 tokens, entropy 0.35]\n"
        "│ ✗ reward 0 (accuracy 0), advantage -0.700, answered  path 0\n"
        "└─▸ <search>cats</search>  [3 tokens, entropy 0.58]\n"
        "  │ ◂ <result>a page</result>\n"
        "  │   ⑂ forked: draw 0.25 < P 0.80 (entropy rise +1.50)\n"
        "  ├─▸ <answer>xx  [3 tokens, entropy 0.73]\n"
        "  │ ✓ reward 1 (accuracy 1), advantage +1.400, answered  path 1\n"
        "  └─⑂2 ▸ <answer>cats  [2 tokens, entropy 1.30]\n"
        "    ✗ reward 0 (accuracy 0), advantage -0.700, answered  path 2"
    )


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [60, 80, 137])
@pytest.mark.parametrize("word", ["long ", "長い文", "unbroken", "é̂"])
def test_no_line_is_wider_than_the_terminal(width: int, full: bool, word: str) -> None:
    pieces = {str(number): word * 80 for number in range(1, 9)}
    drawn = list(tree_lines(trace(pieces=pieces, task__family=word * 20), Look(width=width, full=full)))
    assert max(map(columns, drawn)) <= width
    assert max(map(columns, drawn)) > width - 12  # and the room is used


def test_all_text_is_there_when_it_is_asked_for() -> None:
    pieces = {str(number): f"start{number} {'middle ' * 60}end{number}\n" for number in range(1, 9)}
    whole = " ".join(re.sub("[│├└─▸◂]", " ", text(Look(width=70, full=True), pieces=pieces)).split())
    assert whole.count("middle") == 60 * 13  # tokens of the tree
    assert "Since the start of path 1" in whole


def test_a_terminal_is_told_nothing_by_a_run() -> None:
    pieces = {str(number): ATTACK for number in range(1, 9)}
    for full in (False, True):
        drawn = text(Look(full=full), pieces=pieces, task__family=ATTACK, task__answers=[ATTACK])
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", drawn)
    assert not re.search("[\x00-\x1f\x7f-\x9f]", "".join(step_lines([trace(task__question=ATTACK)], Look())))
    assert shown(ATTACK).startswith("␛[2J␛]0;owned␇")


def test_colours_come_only_when_asked_for_and_change_no_text() -> None:
    plain, painted = text(Look()), text(Look(colour=True))
    assert "\x1b" not in plain
    assert "\x1b[35m" in painted
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain


def test_a_step_lists_its_questions() -> None:
    heading, line = step_lines([trace(question=4)], Look(width=90))
    assert heading.split() == ["question", "right", "forks", "family", "text"]
    assert line.split() == ["4", "1/3", "1", "web/1-hop", "What", "is", "it?"]


def test_wide_characters_are_cut_where_they_end() -> None:
    assert (columns("日本"), columns("é"), columns("e\u0301")) == (4, 1, 1)
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 6) == "日本語"
    assert cut("abc", 2) == "a…"
