"""The published training reward, golden cases and traps, expected values from the rules by hand."""

import pytest

from aepo_env.rewards.arpo_training import official_score

THINK = "<think>t</think>"
SEARCH = "<search>q</search><result>r</result>"
PYTHON = "<python>c</python><result>r</result>"


def answered(content: str, before: str = THINK) -> str:
    return rf"{before}<answer>\[ \boxed{{{content}}} \]</answer>"


@pytest.mark.parametrize(
    ("response", "gold", "score"),
    [
        (answered("Paris"), "Paris", 1.0),
        (answered("London"), "Paris", 0.0),
        (THINK + "Paris", "Paris", -1.0),  # no answer block
        (answered("Paris", THINK + "<search>q</search>"), "Paris", -1.0),  # a search without a result
        (answered("Paris", ""), "Paris", -1.0),  # no thought
        (answered("Paris France", THINK + SEARCH + PYTHON), "Paris", 2 / 3 + 0.1),  # 0.767
        (answered("Paris", THINK + SEARCH + PYTHON), "Paris", 1.1),
        (answered("Paris", THINK + SEARCH), "Paris", 1.0),
        (answered("London", THINK + SEARCH + PYTHON), "Paris", 0.0),
        (answered("yes indeed"), "yes", 0.0),
        (answered("Lyon Paris"), ["Rome", "Paris Lyon"], 1.0),
    ],
)
def test_golden(response: str, gold: str | list[str], score: float) -> None:
    assert official_score(response, gold).score == pytest.approx(score)


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("A", "A", 0.0),  # an article to the rule
        ("-5", "5", 1.0),
        ("3.5", "35", 1.0),
        ("1/2", "12", 1.0),
        (r"\frac{1}{2}", "frac12", 1.0),
        ("3√3+6", "3√3-6", 1.0),
    ],
)
def test_traps_are_kept(prediction: str, gold: str, score: float) -> None:
    assert official_score(answered(prediction), gold).score == score


@pytest.mark.parametrize(
    "response",
    [
        "<think>" + answered("Paris"),  # unpaired thought
        answered("Paris") + answered("Paris"),  # two blocks
        THINK + r"</answer>\boxed{Paris}<answer>",  # the wrong way round
        THINK + "<answer>Paris</answer>",  # no box
        THINK + r"<answer>\boxed{Paris</answer>",  # box never closed, no brace at all
        THINK + r"<answer>\boxed{{Paris}</answer>",  # a brace, but the box never closes
        THINK + r"<answer>\boxed{Paris} \fbox{x}\boxed</answer>",  # the last box has no content
        answered("Paris", THINK + "<search><result>r</result></search>"),  # result inside the call
        answered("Paris", THINK + "<python>c</python><result>r"),  # result never closed
    ],
)
def test_wrong_formats(response: str) -> None:
    assert official_score(response, "Paris").score == -1.0


def test_order_is_all_that_counts_for_results() -> None:
    one_result_for_both = THINK + "<search>q</search><python>c</python><result>r</result>"
    assert official_score(answered("Paris", one_result_for_both), "Paris").score == pytest.approx(1.1)


def test_text_of_a_page_counts_as_the_policys_own() -> None:
    page = "<search>q</search><result>a page that says </python> somewhere</result>"
    assert official_score(answered("Paris", THINK + page), "Paris").score == pytest.approx(1.1)
    page = "<search>q</search><result>a page that says <answer> somewhere</result>"
    assert official_score(answered("Paris", THINK + page), "Paris").score == -1.0


def test_a_box_with_a_space_takes_what_follows_up_to_a_dollar() -> None:
    response = THINK + r"<answer>\boxed{x} $\boxed Paris$ there</answer>"
    assert official_score(response, "Paris").answer == "Paris"


def test_end_of_sequence_is_dropped_once() -> None:
    assert official_score(answered("Paris") + "<eos>", "Paris", end_of_sequence="<eos>").score == 1.0


def test_result_explains_itself() -> None:
    result = official_score(answered("Paris France"), "Paris")
    assert result.answer == "Paris France"
    assert result.f1_score == pytest.approx(2 / 3)
    assert "right answer" in result.reason
