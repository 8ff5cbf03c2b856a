r"""Finding the final answer in a raw transcript, as ARPO's evaluation does: the last answer block, the last box in it.

    extract_answer("... <answer>It is \[ \boxed{42} \]</answer>")      # "42"

For episodes of this gym it is not needed (`episode.answer` was read by the protocol, from policy text only): this reads
whatever transcript it is given, tool results included. Use it to score transcripts made elsewhere.
"""

from aepo_env.boxed import BOX, closing_brace

FRAME = r"\fbox"


def extract_answer(text: str) -> str:
    """The prediction in a transcript, "" when there is none.

    The last answer block wins; without one, or with an empty one, the whole text is searched for a box. A block without
    a box is taken as it stands, not stripped.
    """
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, end) if end >= 0 else -1
    block = text[start + len("<answer>") : end] if start >= 0 else ""
    if not block:
        return _unwrapped(last_box(text.strip()))
    return _unwrapped(last_box(block.strip())) or block


def last_box(text: str) -> str:
    r"""The last `\boxed…` (else the last `\fbox…`) with its braces; to the end of the text when they do not balance."""
    start = text.rfind(BOX)
    start = text.rfind(FRAME) if start < 0 else start
    if start < 0:
        return ""
    end = closing_brace(text, start)
    return text[start:] if end < 0 else text[start : end + 1]


def _unwrapped(box: str) -> str:
    content = _inside(box, BOX + "{")
    if content is None:
        return box
    words = _inside(content, r"\text{")
    return content if words is None else words


def _inside(text: str, opening: str) -> str | None:
    return text[len(opening) : -1] if text.startswith(opening) and text.endswith("}") else None
