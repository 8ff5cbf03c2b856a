"""Snippets: the few words of a page around the words that were searched for.

    snippet("… long text …", ["directed", "film"], 200)

The window with the most different query words is shown, the earliest if several have as many. Matching is by the
beginning of a word (a crude stem), good enough to show why a page was found. Plain text on one line: control and
direction characters are removed, so that a page cannot rewrite what stands around its snippet.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from aepo_env.search.words import SPELLED_OUT, STOP_WORDS
from aepo_env.text import clean, cut

SCANNED = 100_000  # characters of a page looked at
_ELLIPSIS = "… "


def _without_accent(code: int) -> int:
    lower = chr(code).lower()
    letter = SPELLED_OUT.get(lower, unicodedata.normalize("NFKD", lower)[0])
    return ord(letter) if len(letter) == 1 and letter.isascii() else code


# One character for one character, so that places in the folded text are places in the text.
_PLAIN_LETTERS = {code: _without_accent(code) for code in range(0xC0, 0x250)}


def plain_letters(text: str) -> str:
    """`text` with Latin letters freed of accents and lowered where needed, character for character: places stay."""
    return text if text.isascii() else text.translate(_PLAIN_LETTERS)


def snippet(text: str, query: Sequence[str], characters: int) -> str:
    """At most `characters` of `text` around the words in `query` (folded words); its beginning if none is there."""
    text = clean(text[:SCANNED])
    if len(text) <= characters:
        return text
    places = _places(text, query)
    if not places or characters <= 2 * len(_ELLIPSIS):  # no room for a middle part
        return cut(text, characters)
    first, last = _best_window(places, characters - 2 * len(_ELLIPSIS))
    start = _start(text, places[first][0], places[last][1], characters)
    if start == 0:
        return cut(text, characters)
    return _ELLIPSIS + cut(text[start:], characters - len(_ELLIPSIS))


def _places(text: str, query: Sequence[str]) -> list[tuple[int, int, str]]:
    """Where words of the query stand in the text: (start, end, stem), in order."""
    stems = {word if len(word) < 5 else word[: max(4, len(word) - 3)] for word in query if word not in STOP_WORDS}
    stems = stems or set(query)
    if not stems:
        return []
    alternatives = "|".join(sorted((re.escape(stem) for stem in stems), key=lambda stem: (-len(stem), stem)))
    pattern = re.compile(rf"(?<![^\W_])({alternatives})[^\W_]{{0,5}}(?![^\W_])", re.IGNORECASE)
    return [(match.start(), match.end(), match[1].lower()) for match in pattern.finditer(plain_letters(text))]


def _best_window(places: list[tuple[int, int, str]], width: int) -> tuple[int, int]:
    """First and last of the places that fit into `width` characters and show the most different words."""
    inside: Counter[str] = Counter()
    best, best_score, first = (0, 0), (0, 0), 0
    for last, (_, end, stem) in enumerate(places):
        inside[stem] += 1
        while first < last and end - places[first][0] > width:
            leaving = places[first][2]
            inside[leaving] -= 1
            if not inside[leaving]:
                del inside[leaving]
            first += 1
        score = (len(inside), last - first)
        if score > best_score:
            best, best_score = (first, last), score
    return best


def _start(text: str, first: int, end: int, characters: int) -> int:
    """Where to begin: at the text's or sentence's beginning if the words still fit, else a third of the rest before."""
    if end < characters:
        return 0
    room = characters - 2 * len(_ELLIPSIS)
    earliest = max(0, end - room)
    sentence = text.rfind(". ", earliest, max(first, earliest)) + 2
    if sentence >= 2:
        return sentence
    start = max(earliest, first - max(0, room - (end - first)) // 3)
    space = text.find(" ", start, first)
    return space + 1 if space >= 0 else start
