r"""Boxes: the `\boxed{…}` that holds a final answer. Read by the tags protocol and by rewards alike.

unbox(r"so \[ \boxed{\frac{1}{2}} \]")     # "\frac{1}{2}"
"""

BOX = r"\boxed"


def unbox(text: str) -> str:
    r"""The content of the last `\boxed{…}` in `text`, braces matched; all of `text`, stripped, if there is none.

    A box that is never closed goes on to the end of the text.
    """
    start = text.rfind(BOX + "{")
    if start < 0:
        return text.strip()
    end = closing_brace(text, start)
    return text[start + len(BOX + "{") : len(text) if end < 0 else end].strip()


def closing_brace(text: str, start: int) -> int:
    """Index of the brace that brings the count of open braces, from `start` on, back to 0; -1 when none does."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1
