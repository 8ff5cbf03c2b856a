"""The metrics of ARPO's evaluation: per sample for questions and for maths, and over a whole run.

    prediction = prediction_or_tail(extract_answer(output), output)
    metrics = qa_metrics(prediction, ["Paris"])                 # {"em": …, "acc": …, "f1": …, "math_equal": …}
    usage = tool_usage(output)                                  # ToolUsage(python_calls=…, search_calls=…, …)
    overall = summarise([SampleResult(True, metrics, usage), …], headline="f1")

Use these to reproduce published numbers; rules and their oddities are kept as they are (punctuation stays, so "Paris."
is no exact match). The judge is in `judge.py`; pass@k is not part of that evaluation.
Source: evaluation code of github.com/RUC-NLPIR/ARPO at a95cd089 (rules restated, no code taken).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from aepo_env.rewards.equivalence import is_equiv
from aepo_env.rewards.text import normalise_arpo_evaluation, overlap_f1

METRICS = ("em", "acc", "f1", "math_equal")
PRODUCTIVITY_SMOOTHING = 0.1
TAIL_LINES = 5
_RESULTS = (re.compile(r"<r>|</r>"), re.compile(r"<result>|</result>"))


def gold_answers(gold: str | Sequence[str]) -> list[str]:
    """Accepted answers out of a data set's gold field.

    A list is used as it is. A string that begins with "[" is stripped of brackets at both ends and split on commas,
    quotes kept: the interval "[4,5)" is torn into "4" and "5)", as in the published evaluation.
    """
    if not isinstance(gold, str):
        return list(gold)
    return [part.strip() for part in gold.strip("[]").split(",")] if gold.startswith("[") else [gold]


def prediction_or_tail(prediction: str, output: str) -> str:
    """The prediction, or if it is empty the last five lines of the output (double line ends halved first)."""
    return prediction or "\n".join(output.replace("\n\n", "\n").strip().split("\n")[-TAIL_LINES:])


def qa_metrics(prediction: str, gold: str | Sequence[str]) -> dict[str, float]:
    """em, acc, f1 and math_equal of a question's answer, each the best over the references.

    An empty prediction is no valid answer: all 0.
    """
    return _metrics(prediction, gold_answers(gold), articles=False)


def maths_metrics(prediction: str, gold: str | Sequence[str]) -> dict[str, float]:
    """The same for maths: articles stay, and a string is one reference even if it begins with a bracket."""
    return _metrics(prediction, [gold] if isinstance(gold, str) else list(gold), articles=True)


def _metrics(prediction: str, references: Sequence[str], articles: bool) -> dict[str, float]:
    best = dict.fromkeys(METRICS, 0.0)
    if not prediction:
        return best
    predicted = _normalise(prediction, articles)
    for reference in (_normalise(reference, articles) for reference in references):
        values = (
            float(predicted == reference),
            float(reference in predicted),
            overlap_f1(predicted.split(), reference.split()),
            float(is_equiv(predicted, reference)),
        )
        best = {name: max(best[name], value) for name, value in zip(METRICS, values, strict=True)}
    return best


def _normalise(text: str, articles: bool) -> str:
    return " ".join(text.lower().split()) if articles else normalise_arpo_evaluation(text)


class ToolUsage(NamedTuple):
    """Tool calls of one output. output_length: characters outside result blocks."""

    python_calls: int
    search_calls: int
    output_length: int

    @property
    def tool_counts(self) -> int:
        return self.python_calls + self.search_calls

    @property
    def tools_used(self) -> Literal["both", "python", "search", "none"]:
        if self.python_calls and self.search_calls:
            return "both"
        return "python" if self.python_calls else "search" if self.search_calls else "none"


def tool_usage(output: str) -> ToolUsage:
    """Complete, non-overlapping tag pairs of each tool in a transcript, wherever they stand."""
    kept = output
    for tags in _RESULTS:
        kept = _without_blocks(kept, tags)
    return ToolUsage(_pairs(output, "python"), _pairs(output, "search"), len(kept.strip()))


def _pairs(text: str, tag: str) -> int:
    opening, closing = f"<{tag}>", f"</{tag}>"
    count, position = 0, 0
    while (start := text.find(opening, position)) >= 0 and (end := text.find(closing, start)) >= 0:
        count, position = count + 1, end + len(closing)
    return count


def _without_blocks(text: str, tags: re.Pattern[str]) -> str:
    """The text without its complete blocks, in one pass (a lazy `.*?` is quadratic on a page full of opening tags)."""
    kept, position, opened = [], 0, -1
    for tag in tags.finditer(text):
        closing = tag[0].startswith("</")
        if closing and opened >= 0:
            kept.append(text[position:opened])
            position, opened = tag.end(), -1
        elif not closing and opened < 0:
            opened = tag.start()
    return "".join([*kept, text[position:]])


class SampleResult(NamedTuple):
    """One scored sample. valid: whether it had a prediction. metrics: METRICS by name, and "llm_equal" if judged."""

    valid: bool
    metrics: Mapping[str, float]
    usage: ToolUsage


def summarise(samples: Sequence[SampleResult], headline: str) -> dict[str, float]:
    """Means over a run, and the published aggregates.

    headline: the metric tool productivity is computed on: "math_equal" for maths, "f1" for questions, "llm_equal" for
    either when a judge was used. Tool productivity ("m1m2") = headline * c / (c + 0.1) * 100, c = mean tool calls.
    Raises ValueError for no samples or an unknown headline.
    """
    if not samples:
        raise ValueError("no samples to summarise: score at least one")
    names = list(samples[0].metrics)
    if headline not in names:
        raise ValueError(f"headline {headline!r} is none of the samples' metrics {names}")
    count = len(samples)
    overall = {name: sum(sample.metrics[name] for sample in samples) / count for name in names}
    calls = sum(sample.usage.tool_counts for sample in samples) / count
    overall |= {
        "num_valid_answer": float(sum(sample.valid for sample in samples)),
        "tool_call": calls,
        "average_python_calls": sum(sample.usage.python_calls for sample in samples) / count,
        "average_search_calls": sum(sample.usage.search_calls for sample in samples) / count,
        "average_datas_used_tool_number": sum(sample.usage.tool_counts > 0 for sample in samples) / count,
        "tool_productivity": overall[headline] * calls / (calls + PRODUCTIVITY_SMOOTHING) * 100.0,
    }
    return overall
