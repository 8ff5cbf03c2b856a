"""Parts of a long text: where to cut it, which part a place is in, and where words stand in it.

    starts = part_starts(text, 2000)              # [0, 1987, …]: cut at line ends, else between words
    part_text(text, starts[1], 2000)              # the second part
    passage(text, "born in", 17)                  # the next place of these words from 17 on, round and round

Used by the browse tool. A cut never moves: it depends on the text and the length alone.
"""

import re
from bisect import bisect_right

from aepo_env.search.snippet import plain_letters

_PASSAGE = 600  # characters shown around a place that was found, at most
_MOST_WORDS = 30


def part_starts(text: str, characters: int) -> list[int]:
    """Where the parts of `text` begin; each at most `characters` long. [0] for a text of one part."""
    starts = [0]
    while len(text) - starts[-1] > characters:
        starts.append(_end(text, starts[-1], characters))
    return starts


def part_number(starts: list[int], offset: int) -> int:
    """The number (from 1) of the part that `offset` lies in."""
    return bisect_right(starts, offset)


def part_text(text: str, offset: int, characters: int, *, around: bool = False) -> str:
    """The part that begins at `offset`; with `around`, a passage of some lines that holds `offset` early on."""
    if not around:
        return text[offset : _end(text, offset, characters)].strip()
    characters = min(characters, _PASSAGE)
    start = max(text.rfind("\n", 0, offset) + 1, offset - characters // 3)
    if start > 0 and text[start - 1] not in "\n ":
        space = text.find(" ", start, offset)
        start = space + 1 if space >= 0 else start
    end = _end(text, start, characters)
    before = "… " if start > 0 and text[start - 1] != "\n" else ""
    return before + text[start:end].strip() + (" …" if end < len(text) and text[end - 1] != "\n" else "")


def passage(text: str, words: str, start: int) -> int | None:
    """Where `words` stand next from `start` on, else from the beginning; None if nowhere.

    Case, accents, punctuation and numbers of links ("[4]") between the words do not matter.
    """
    wanted = re.findall(r"\w+", plain_letters(words))[:_MOST_WORDS]
    if not wanted:
        place = text.find(words, start)
        place = place if place >= 0 else text.find(words)
        return place if place >= 0 else None
    between = r"\b[^\w\[]{0,5}+(?:\[[0-9]{1,4}\])?\W{0,5}\b"
    pattern = re.compile(r"\b" + between.join(re.escape(word) for word in wanted), re.IGNORECASE)
    folded = plain_letters(text)
    match = pattern.search(folded, start) or pattern.search(folded)
    return match.start() if match else None


def _end(text: str, start: int, characters: int) -> int:
    """Where a part that begins at `start` ends: at a line's end, else behind a space, else after `characters`."""
    limit = start + characters
    if limit >= len(text):
        return len(text)
    for separator in ("\n", " "):
        # Not in the first half: a short line before a long paragraph would make a part of its own.
        place = text.rfind(separator, start + characters // 2, limit)
        if place > start:
            return place + 1
    return limit
