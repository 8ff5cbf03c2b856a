"""ARPO's evaluation metrics and aggregates, expected values from the rules by hand."""

import pytest

from aepo_env.rewards.arpo_evaluation import (
    SampleResult,
    ToolUsage,
    gold_answers,
    maths_metrics,
    prediction_or_tail,
    qa_metrics,
    summarise,
    tool_usage,
)


@pytest.mark.parametrize(
    ("prediction", "gold", "em", "acc", "f1", "math_equal"),
    [
        ("The Paris", ["Paris"], 1, 1, 1, 1),
        ("Paris.", ["Paris"], 0, 1, 0, 0),  # punctuation stays, so the tokens differ too
        ("Paris France", ["London", "Paris"], 0, 1, 2 / 3, 0),
        ("x = 5", ["5"], 0, 1, 0.5, 1),  # one of three tokens: 2 * 1 / (3 + 1)
        ("-5", ["5"], 0, 1, 0, 0),
        ("A", ["A"], 1, 1, 0, 1),  # both normalise to nothing: equal, contained, no common token
        ("", ["Paris"], 0, 0, 0, 0),
    ],
)
def test_qa_metrics(prediction: str, gold: list[str], em: float, acc: float, f1: float, math_equal: float) -> None:
    assert qa_metrics(prediction, gold) == pytest.approx({"em": em, "acc": acc, "f1": f1, "math_equal": math_equal})


def test_each_metric_takes_its_own_best_reference() -> None:
    metrics = qa_metrics("x=1/2", [r"\frac12", "x=1/2 or so"])
    assert metrics == pytest.approx({"em": 0, "acc": 0, "f1": 0.5, "math_equal": 1})


def test_maths_keeps_articles() -> None:
    assert maths_metrics("a + b", "b")["f1"] == pytest.approx(0.5)
    assert qa_metrics("a + b", "b")["f1"] == pytest.approx(2 / 3)


def test_a_gold_string_in_brackets_is_torn_at_its_commas() -> None:
    assert gold_answers("['Paris', 'Lutetia']") == ["'Paris'", "'Lutetia'"]
    assert gold_answers("[4,5)") == ["4", "5)"]
    assert gold_answers(["[4,5)"]) == ["[4,5)"]
    assert maths_metrics("[4,5)", "[4,5)")["em"] == 1.0


def test_empty_prediction_falls_back_to_the_last_five_lines() -> None:
    assert prediction_or_tail("", "1\n2\n\n3\n4\n5\n6\n") == "2\n3\n4\n5\n6"
    assert prediction_or_tail("kept", "1") == "kept"
    assert prediction_or_tail("", "") == ""


def test_tool_usage_counts_complete_pairs_outside_results_only_for_length() -> None:
    output = "ab<search>q</search><result><python>x</python></result><search>open<r>zz</r>"
    usage = tool_usage(output)
    assert (usage.python_calls, usage.search_calls, usage.tool_counts, usage.tools_used) == (1, 1, 2, "both")
    assert usage.output_length == len("ab<search>q</search><search>open")


def test_aggregates() -> None:
    right = SampleResult(True, {"f1": 1.0}, ToolUsage(1, 2, 10))
    wrong = SampleResult(False, {"f1": 0.0}, ToolUsage(0, 0, 10))
    overall = summarise([right, wrong], headline="f1")
    assert overall["f1"] == 0.5
    assert overall["num_valid_answer"] == 1
    assert overall["tool_call"] == 1.5
    assert overall["average_datas_used_tool_number"] == 0.5
    assert overall["tool_productivity"] == pytest.approx(0.5 * 1.5 / 1.6 * 100)  # 46.875


def test_aggregates_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarise([], headline="f1")
    with pytest.raises(ValueError, match="llm_equal"):
        summarise([SampleResult(True, {"f1": 1.0}, ToolUsage(0, 0, 0))], headline="llm_equal")
