"""Text on its way to the policy, made harmless and cut to length, and to a person who misspelt a name.

clean("a\\x00  b\\n c")                     # "a b c"
cut("several words", 10)                 # "several…", at the end of a word
cut_telling("x" * 30, 10)                # ten x's and "[cut: 20 more characters]"
did_you_mean("serch", ["search"])        # "; did you mean 'search'?": the end of a message, else "."
"""

import difflib
import re
from collections.abc import Iterable

_HOSTILE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` on one line, without control, zero-width and direction characters."""
    return " ".join(_HOSTILE.sub("", text).split())


def cut(text: str, characters: int) -> str:
    """The beginning of `text`, at most `characters` long, ending at the end of a word where one is near."""
    if len(text) <= characters:
        return text
    end = max(characters - 1, 0)
    space = text.rfind(" ", end - 30 if end > 60 else end // 2, end + 1)
    return text[: space if space > 0 else end].rstrip() + "…" if characters > 0 else ""


def cut_telling(text: str, characters: int) -> str:
    """The text, or its first `characters` and a line that says how much is missing."""
    return text if len(text) <= characters else f"{text[:characters]}\n[cut: {len(text) - characters} more characters]"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known name closest to it, or a full stop where none is close."""
    close = difflib.get_close_matches(given.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else "."
