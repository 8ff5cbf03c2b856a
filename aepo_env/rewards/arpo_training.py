r"""ARPO's training reward exactly as its code computes it, on the flat transcript, traps included.

    result = official_score("<think>…</think><answer>\[ \boxed{Paris} \]</answer>", ["Paris"])
    result.score        # -1.0 wrong format; 0.0 wrong answer; F1, or F1 + 0.1 with both tools

For comparison with published runs. Known traps, kept: text of a page or tool result counts as much as the policy's own;
"A" normalises to nothing and earns 0; "-5" equals "5" and "3.5" equals "35"; one result serves a search and a python
call; the tool bonus needs only two closing tags anywhere and also comes with a partly right answer.
`aepo_env.rewards.paper` has the corrected rule.
Source: deep_research.compute_score of github.com/RUC-NLPIR/ARPO at a95cd089 (rules restated, no code taken).
"""

from collections.abc import Sequence
from typing import NamedTuple

from aepo_env.boxed import BOX, closing_brace
from aepo_env.rewards.extraction import last_box
from aepo_env.rewards.text import ARPO_TRAINING, token_f1

TOOL_BONUS = 0.1
_SPACED_BOX = BOX + " "
_BRACED_BOX = BOX + "{"


class OfficialScore(NamedTuple):
    """score: in {-1} and [0, 1.1]. reason: why, in words. answer: what was read as such. f1_score: its token F1."""

    score: float
    reason: str
    answer: str
    f1_score: float


def official_score(response: str, answers: str | Sequence[str], end_of_sequence: str = "") -> OfficialScore:
    """Score of a flat response. end_of_sequence: the tokenizer's text for it, dropped once from the end if given."""
    fault = format_fault(response)
    if fault:
        return OfficialScore(-1.0, f"bad format: {fault}", "", 0.0)
    if end_of_sequence:
        response = response.removesuffix(end_of_sequence)
    start = response.find("<answer>") + len("<answer>")
    end = response.find("</answer>", start)
    if end < 0:
        return OfficialScore(-1.0, "no answer block is left", "", 0.0)
    answer = _boxed(response[start:end])
    if answer is None:
        return OfficialScore(-1.0, "no readable box in the answer", "", 0.0)
    f1 = token_f1(answer, answers, ARPO_TRAINING)
    if f1 == 0.0:
        return OfficialScore(0.0, "right format, wrong answer", answer, 0.0)
    if "</search>" in response and "</python>" in response:
        return OfficialScore(f1 + TOOL_BONUS, "right answer with search and python", answer, f1)
    return OfficialScore(f1, "right answer", answer, f1)


def format_fault(response: str) -> str:
    """What is wrong with the format of a flat response; "" when nothing is."""
    thoughts = response.count("<think>")
    if thoughts == 0 or thoughts != response.count("</think>"):
        return "think tags are missing or unpaired"
    if response.count("<answer>") != 1 or response.count("</answer>") != 1:
        return "not exactly one answer block"
    for tool in ("search", "python"):
        if not _results_follow(response, tool):
            return f"a {tool} call without its result"
    start, end = response.find("<answer>"), response.find("</answer>")
    if start > end:
        return "the answer block closes before it opens"
    block = response[start:end]
    return "" if _BRACED_BOX in block and "}" in block else "no box in the answer"


def _results_follow(response: str, tool: str) -> bool:
    """Whether each opening tag is followed by its closing tag and a result block, in this order (and nothing more)."""
    position = 0
    while (opening := response.find(f"<{tool}>", position)) >= 0:
        closing = response.find(f"</{tool}>", opening)
        result = response.find("<result>", opening)
        result_end = response.find("</result>", result) if result >= 0 else -1
        if not opening < closing < result < result_end:
            return False
        position = result_end
    return True


def _boxed(block: str) -> str | None:
    r"""Content of the last box; None when it has no closing brace, or is an `\fbox`.

    A box written with a space instead of a brace, anywhere in the block, takes precedence and ends at the next "$".
    """
    if _SPACED_BOX in block:
        return block.rsplit(_SPACED_BOX, 1)[1].split("$", 1)[0]
    box = last_box(block)
    closed = closing_brace(box, 0) == len(box) - 1
    return box[len(_BRACED_BOX) : -1] if closed and box.startswith(_BRACED_BOX) else None
