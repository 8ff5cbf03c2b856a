"""Hostile strings: every scorer answers, and in linear time."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aepo_env.rewards.answers import answer_credit
from aepo_env.rewards.arpo_evaluation import gold_answers, maths_metrics, qa_metrics, tool_usage
from aepo_env.rewards.arpo_training import official_score
from aepo_env.rewards.equivalence import is_equiv
from aepo_env.rewards.extraction import extract_answer
from aepo_env.rewards.gaia import gaia_score
from aepo_env.rewards.judge import read_judgement
from aepo_env.rewards.kinds import clean, kind_of
from aepo_env.rewards.text import contains_answer, exact_match, token_f1

SIZE = 100_000


def never_equal(prediction: str, answer: str) -> bool:
    return False


SCORERS: dict[str, Callable[[str, str], object]] = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "contains_answer": contains_answer,
    "is_equiv": is_equiv,
    "gaia": gaia_score,
    "qa": qa_metrics,
    "maths": maths_metrics,
    "official": official_score,
    "credit": lambda prediction, answer: answer_credit(prediction, answer, never_equal),
    "extract": lambda prediction, answer: extract_answer(prediction),
    "usage": lambda prediction, answer: tool_usage(prediction),
    "gold": lambda prediction, answer: gold_answers(prediction),
    "judgement": lambda prediction, answer: read_judgement(prediction),
    "kind": lambda prediction, answer: kind_of(clean(prediction)),
}
PIECES = [
    "{", "}", r"\boxed{", r"\boxed ", r"\text{", r"\text{ ", r"\frac", r"\frac1", r"\sqrt", r"\sqrt{", "<search>",
    "</search><result>", "<answer>", "<think></think>", "<result>", "<r>", "</result>", "\0", "\ud800", " ", "\n", "1",
    "1 ", "1,", "1-", "-", ".", "1.", "1/", "a ", "the ", "=", "$", "%", r"\!", "\\", "٣", "²", "ß", "_", "_{", "a",
    "a+", "<judgment>", "[,", ";",
]  # fmt: skip


@pytest.mark.parametrize("name", SCORERS)
def test_long_repetition_takes_linear_time(name: str) -> None:
    for piece in PIECES:
        text = (piece * SIZE)[:SIZE]
        started = time.process_time()
        for prediction in ("5" + text, r"<think></think><answer>\boxed{" + text + "}</answer>"):
            SCORERS[name](prediction, "5")
        SCORERS[name]("5", text)
        assert time.process_time() - started < 1.0, piece  # a quadratic step over 100,000 characters takes far longer


@pytest.mark.parametrize("name", SCORERS)
@settings(max_examples=50)
@given(prediction=st.lists(st.sampled_from(PIECES), max_size=12).map("".join), answer=st.text(max_size=8))
def test_no_text_raises(name: str, prediction: str, answer: str) -> None:
    SCORERS[name](prediction, answer)
    SCORERS[name](answer, prediction)
