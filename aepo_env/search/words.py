"""Words: how text and queries are cut into the words that the index knows.

    words("The Café's 3 O'Brien films")  ->  ["the", "cafes", "3", "obrien", "films"]
    query_words("who directed the film")  ->  ["directed", "film"]

The same cut is made for pages and for queries, so no tokenizer of the database ever sees raw text, and a word holds
nothing that a query language could mistake for syntax: letters and digits only. Stemming is left to the index (Porter).
Left out: word segmentation (Chinese and Japanese are cut into single characters) and languages other than English in
the list of stop words.
"""

import re
import unicodedata

LONGEST_WORD = 64  # characters; the rest of a longer one is cut off
LONGEST_QUERY = 4_000  # characters read of a query
MOST_QUERY_WORDS = 48  # distinct words searched for, the first ones

_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Chinese characters: a word each
_WORD = re.compile(rf"[{_SINGLE}]|[^\W_{_SINGLE}]+")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc`\u00b4]")
_MARKS = re.compile("[\u0300-\u036f]+")
# Letters that Unicode does not take apart into a plain letter and a mark.
SPELLED_OUT = {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t"}
_SPELLED_OUT = str.maketrans(SPELLED_OUT)

_ENGLISH_STOP_WORDS = """
a about after all also am an and any are as at be been before being between both but by can could did do does during
each either every few for from further had has have having he her here hers him his how i if in into is it its itself
just many may me might more most much must my no nor not of off on once only or other our out over own same shall she
should so some such than that the their them then there these they this those through to too under until up upon us
very was we were what when where which while who whom whose why will with would you your
"""
STOP_WORDS = frozenset(_ENGLISH_STOP_WORDS.split())


def fold(text: str) -> str:
    """`text` without case, accents and apostrophes, compatibility characters resolved (NFKC)."""
    text = _APOSTROPHES.sub("", text)
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFKC", _MARKS.sub("", text).casefold().translate(_SPELLED_OUT))


def words(text: str) -> list[str]:
    """The words of `text` in order, folded; letters and digits only, at most `LONGEST_WORD` characters each."""
    return [word[:LONGEST_WORD] for word in _WORD.findall(fold(text))]


def query_words(query: str) -> list[str]:
    """The distinct words to search for, in order: without stop words unless nothing else is there."""
    found = dict.fromkeys(words(query[:LONGEST_QUERY]))
    telling = [word for word in found if word not in STOP_WORDS]
    return (telling or list(found))[:MOST_QUERY_WORDS]


def title_key(title: str) -> str:
    """What two titles have in common that count as the same: their words (or, without any, their characters)."""
    title = title[:LONGEST_QUERY]
    return " ".join(words(title)) or "".join(title.split()).casefold()
