"""Text scorers. Expected values were written down from the published rules, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepo_env.rewards.text import (
    ARPO_EVALUATION,
    ARPO_TRAINING,
    HOTPOTQA,
    SQUAD,
    contains_answer,
    exact_match,
    normalise_arpo_evaluation,
    normalise_arpo_training,
    normalise_squad,
    token_f1,
)

RULES = (SQUAD, HOTPOTQA, ARPO_EVALUATION, ARPO_TRAINING)
WORDS = st.lists(st.sampled_from(["the", "Paris", "a", "France.", "yes", "-5", "5", "don't"]), max_size=5).map(" ".join)


@pytest.mark.parametrize(
    ("text", "squad", "evaluation"),
    [
        ("The Eiffel  Tower!", "eiffel tower", "eiffel tower!"),
        ("A", "", ""),
        ("-5", "5", "-5"),
        ("3.5", "35", "3.5"),
        ("1/2", "12", "1/2"),
        (r"\frac{1}{2}", "frac12", r"\frac{1}{2}"),
        ("Theatre of an Actor", "theatre of actor", "theatre of actor"),
        ("a-b", "ab", "-b"),
        ("\tO'Neill\n", "oneill", "o'neill"),
    ],
)
def test_normalisations_follow_their_published_steps(text: str, squad: str, evaluation: str) -> None:
    assert normalise_squad(text) == squad
    assert normalise_arpo_training(text) == squad
    assert normalise_arpo_evaluation(text) == evaluation


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("Paris France", "Paris", 2 / 3),  # precision 1/2, recall 1
        ("the Paris", "Paris", 1.0),
        ("b b c", "b c c", 2 / 3),  # multisets: b and c once each
        ("London", "Paris", 0.0),
    ],
)
def test_f1_by_hand(prediction: str, answer: str, expected: float) -> None:
    assert token_f1(prediction, answer) == pytest.approx(expected)


def test_yes_and_no_must_be_equal_where_the_rule_says_so() -> None:
    assert token_f1("yes indeed", "yes", SQUAD) == pytest.approx(2 / 3)
    assert token_f1("yes indeed", "yes", HOTPOTQA) == 0.0
    assert token_f1("no", "no way", ARPO_TRAINING) == 0.0
    assert token_f1("Yes.", "yes", HOTPOTQA) == 1.0


def test_a_lone_article_is_nothing_to_the_published_rules() -> None:
    assert token_f1("A", "A", ARPO_TRAINING) == 0.0
    assert exact_match("A", "the", SQUAD) == 1.0


def test_contains_answer_needs_something_to_contain() -> None:
    assert contains_answer("It is Paris, France.", "paris") == 1.0
    assert contains_answer("London", "A") == 0.0
    assert contains_answer("London", ["Paris", "London"]) == 1.0


def test_one_answer_as_a_plain_string_is_not_a_list_of_letters() -> None:
    assert exact_match("P", "Paris") == 0.0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(first=WORDS, second=WORDS)
def test_f1_is_symmetric_and_within_bounds(rule: object, first: str, second: str) -> None:
    assert isinstance(rule, type(SQUAD))
    score = token_f1(first, second, rule)
    assert score == token_f1(second, first, rule)
    assert 0.0 <= score <= 1.0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(prediction=WORDS, answer=WORDS)
def test_exact_match_implies_full_f1(rule: object, prediction: str, answer: str) -> None:
    assert isinstance(rule, type(SQUAD))
    if exact_match(prediction, answer, rule) and (rule.empty_equal or rule.normalise(answer)):
        assert token_f1(prediction, answer, rule) == 1.0


@given(prediction=WORDS, answers=st.lists(WORDS, max_size=4), data=st.data())
def test_order_of_answers_is_irrelevant(prediction: str, answers: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(answers))
    for metric in (exact_match, token_f1, contains_answer):
        assert metric(prediction, answers) == metric(prediction, shuffled)
