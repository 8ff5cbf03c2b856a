"""Reads a fact off the text of a page or snippet, by the wordings that pages use.

    read_value(text, "town.mayor", "Keld")               # "Mira Tol", or None
    read_value(snippet, "town.mayor", "Keld", snippet=True)

The oracle reads with it, and tests prove with it that a page says what the graph says. It knows wordings, never values.
"""

import re
from functools import cache

from aepo_env.worlds.web.pages import short_subjects
from aepo_env.worlds.web.relations import RELATIONS, relations_of
from aepo_env.worlds.web.schema import WORDS

_LINK_MARK = re.compile(r" ?\[\d+\]")
_NUMERAL = re.compile(r" \([IVX]+\)$")
_NAME = r"[A-Za-z][^.!?:|\n…]*?"
_ENTITY = r"[A-Z][^.!?:|\n…]*?"
_VALUE = {"year": r"\d{4}", "number": r"\d[\d,]*"} | {pool: "|".join(WORDS[pool]) for pool in WORDS}


def without_marks(text: str) -> str:
    """Page text without the numbers that the browse tool puts behind links."""
    return _LINK_MARK.sub("", text)


def read_value(text: str, relation: str, title: str, *, snippet: bool = False) -> str | None:
    """The value of `relation` that `text` states for the page's subject `title`; None when it does not.

    A snippet is one line that may begin or end anywhere: there only whole sentences and rows count.
    """
    text = without_marks(text)
    sentences, row, row_in_line = _patterns(relation)
    subjects = _subjects(RELATIONS[relation].kind, title)
    found = next((one for pattern in sentences for one in pattern.finditer(text) if one["s"] in subjects), None)
    if found is None:
        found = row_in_line.search(_ends_marked(text, title)) if snippet else row.search(text)
    if found is None:
        return None
    value = found["o"].strip()
    return value.replace(",", "") if RELATIONS[relation].target == "number" else value


def _ends_marked(snippet: str, title: str) -> str:
    """A snippet with a mark where the rows above the first sentence of an article end."""
    name = re.escape(_NUMERAL.sub("", title))
    return re.sub(rf" (?={name}(?: is a |, also called )|This article is about )", " ## ", snippet)


def _subjects(kind: str, title: str) -> set[str]:
    """What sentences of an article may call its subject."""
    name = _NUMERAL.sub("", title)
    shorts = short_subjects(kind, name)
    return {title, name, *shorts, *(short[0].lower() + short[1:] for short in shorts)}


@cache
def _patterns(relation_id: str) -> tuple[tuple[re.Pattern[str], ...], re.Pattern[str], re.Pattern[str]]:
    """What states this relation: sentences (subject in group s, value in group o), a row, a row within one line."""
    relation = RELATIONS[relation_id]
    value = f"(?P<o>{_VALUE.get(relation.target, _ENTITY)})"
    sentences = [
        re.escape(template).replace(r"\{s\}", f"(?P<s>{_NAME})").replace(r"\{o\}", value)
        for template in relation.sentences
    ]
    # "a" may have become "an" before a vowel; escaped blanks stay blanks.
    sentences = [re.sub(r"\b([aA])\\ \(\?P<o>", r"\1n?\\ (?P<o>", sentence) for sentence in sentences]
    labels = "|".join(re.escape(label) for label in relation.labels)
    all_labels = "|".join(re.escape(label) for other in relations_of(relation.kind) for label in other.labels)
    row_end = rf"(?=\s+(?:-\s+)?(?:{all_labels})\s*[:|]|\s+##|\s*$)"
    return (
        tuple(re.compile(rf"(?:(?<=[.!?] )|(?<=\n)){sentence}(?=\s|$)") for sentence in sentences),
        re.compile(rf"^[-*•\s|]*(?:{labels})\s*[:|]\s*{value}[\s|]*$", re.MULTILINE),
        re.compile(rf"(?:^|\s)(?:{labels})\s*[:|]\s*{value}{row_end}"),
    )


def listed_entries(text: str) -> list[str]:
    """The entries of a list page, from its text as the browse tool shows it."""
    _, _, body = without_marks(text).partition("This list names all ")
    entries = []
    for line in body.splitlines()[1:]:
        entry = re.sub(r"^[-*•\s|]*(?:\d+\s*[|.:]\s*)?|[\s|]+$", "", line)
        if entry and entry != "Name" and not re.match(r"No\.|\(?part \d|page \d|—", entry, re.IGNORECASE):
            entries.append(entry)
    return entries
