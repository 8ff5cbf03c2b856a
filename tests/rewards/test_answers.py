"""Credit for answers of any kind. Expected values by hand from the rules in the file under test."""

from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepo_env.errors import MissingExtra
from aepo_env.rewards.answers import answer_credit


def no_maths(prediction: str, answer: str) -> NoReturn:
    raise AssertionError(f"the library must not be asked about {prediction!r} and {answer!r}")


def missing(prediction: str, answer: str) -> NoReturn:
    raise MissingExtra("aepo-env[math]")


@pytest.mark.parametrize(
    ("prediction", "answer", "credit"),
    [
        ("-5", "5", 0.0),
        ("−5", "-5", 1.0),  # a typographic minus is a minus
        ("3.5", "35", 0.0),
        ("1/2", "12", 0.0),
        ("0.5", "1/2", 1.0),
        (r"\frac{1}{2}", "0.5", 1.0),
        ("1,200.0", "1200", 1.0),
        ("0.30000000000000004", "0.3", 1.0),
        ("1000000000001", "1000000000000", 0.0),  # whole numbers are exact
        ("x = 5", "5", 1.0),
        ("$14", r"\$14", 1.0),
        (r"5\text{ cm}", "5", 1.0),
        ("in 1971", "1971", 2 / 3),
        ("42 km", "42", 2 / 3),
        ("1 2 3 4 5", "3", 0.0),  # a list of guesses
        ("1971 or 1972", "1971", 0.0),
        ("forty-two", "42", 0.0),
    ],
)
def test_numbers(prediction: str, answer: str, credit: float) -> None:
    assert answer_credit(prediction, answer, no_maths) == pytest.approx(credit)


@pytest.mark.parametrize(
    ("prediction", "answer", "credit"),
    [
        ("Paris", "Paris", 1.0),
        ("the city of Paris", "Paris", 0.5),  # city of paris: 2 * 1 / (3 + 1)
        (r"\text{Paris}", "paris.", 1.0),
        ("A", "A", 1.0),
        ("A. Paris", "A", 2 / 3),
        ("(A)", "A", 1.0),
        ("B", "A", 0.0),
        ("The Who", "Who", 1.0),
        ("yes", "Yes", 1.0),
        ("yes indeed", "yes", 0.0),
        ("no", "no way", 0.0),
        ("1914 – 1918", "1914-1918", 1.0),
        ("1915-1919", "1914-1918", 0.0),
        ("3:02:24", "30224", 0.0),
        ("30224", "3:02:24", 0.0),
        ("1 : 3", "1:3", 1.0),
        ("3:1", "1:3", 0.0),
        ("October 1, 1950", "1 October 1950", 1.0),
        ("Ｐａｒｉｓ", "Paris", 1.0),  # full-width letters
        ("!!!", "!!!", 1.0),
        ("", "Paris", 0.0),
    ],
)
def test_text(prediction: str, answer: str, credit: float) -> None:
    assert answer_credit(prediction, answer, no_maths) == pytest.approx(credit)


def test_maths_asks_the_library_only_where_spelling_differs() -> None:
    asked: list[tuple[str, str]] = []

    def maths(prediction: str, answer: str) -> bool:
        asked.append((prediction, answer))
        return True

    assert answer_credit(r"\sqrt3", r"\sqrt{3}", maths) == 1.0
    assert asked == []
    assert answer_credit(r"3^{1/2}", r"\sqrt{3}", maths) == 1.0
    assert asked == [("3^{1/2}", r"\sqrt{3}")]
    assert answer_credit("2^{10}", "1024", maths) == 1.0


def test_without_the_extra_only_a_latex_answer_of_the_task_raises() -> None:
    with pytest.raises(MissingExtra, match="math"):
        answer_credit("2", r"\sqrt{3}", missing)
    assert answer_credit("2^{10}", "1024", missing) == 0.0  # what a policy writes never raises
    assert answer_credit("P-48", "P-47", missing) == 0.0
    assert answer_credit("p-47", "P-47", missing) == 1.0


ANSWERS = st.sampled_from(["5", "-5", "Paris", "the Paris", "A", "yes", "1/2", "0.5", "P-47", "1914-1918", ""])


@given(prediction=ANSWERS, answers=st.lists(ANSWERS, max_size=4), data=st.data())
def test_any_one_answer_is_right_in_any_order(prediction: str, answers: list[str], data: st.DataObject) -> None:
    credit = answer_credit(prediction, answers, missing)
    assert credit == answer_credit(prediction, data.draw(st.permutations(answers)), missing)
    assert credit == max([answer_credit(prediction, answer, missing) for answer in answers], default=0.0)
    assert 0.0 <= credit <= 1.0


@given(answer=ANSWERS.filter(bool))
def test_an_answer_is_fully_right_for_itself(answer: str) -> None:
    assert answer_credit(answer, answer, no_maths) == 1.0
