"""Reads a fact off the text of a page or snippet, by the wordings that pages use.

    read_value(text, "town.mayor", "Keld")               # "Mira Tol", or None
    read_value(snippet, "town.mayor", "Keld", snippet=True)

The oracle reads with it, and tests prove with it that a page says what the graph says. It knows wordings, never values.
"""

import re
from functools import lru_cache

from aepo_env.worlds.web.pages import short_subjects
from aepo_env.worlds.web.relations import RELATIONS
from aepo_env.worlds.web.schema import KINDS, WORDS

_LINK_MARK = re.compile(r" ?\[\d+\]")
_NUMERAL = re.compile(r" \([IVX]+\)$")
_ENTITY = r"[A-Z][^.!?:|\n…]*?"
_VALUE = {"year": r"\d{4}", "number": r"\d[\d,]*"} | {pool: "(?:" + "|".join(WORDS[pool]) + ")" for pool in WORDS}


def without_marks(text: str) -> str:
    """Page text without the numbers that the browse tool puts behind links."""
    return _LINK_MARK.sub("", text)


def read_value(text: str, relation: str, title: str, *, snippet: bool = False) -> str | None:
    """The value of `relation` that `text` states for the page's subject `title`; None when it does not.

    A snippet may begin or end in the middle of a sentence: there only whole sentences count, and rows do not.
    """
    text = without_marks(text)
    sentence, row = _patterns(relation, title)
    found = sentence.search(text)
    if found is None and not snippet:
        found = row.search(text)
    if found is None:
        return None
    value = next(group for group in found.groups() if group is not None).strip()
    return value.replace(",", "") if RELATIONS[relation].target == "number" else value


@lru_cache(maxsize=4096)
def _patterns(relation_id: str, title: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a sentence and what a row look like that state this relation of this subject."""
    relation = RELATIONS[relation_id]
    value = _VALUE.get(relation.target, _ENTITY)
    name = _NUMERAL.sub("", title)
    names = [name, *short_subjects(relation.kind, name)]
    subject = "(?:" + "|".join(re.escape(one) for one in names + [one[0].lower() + one[1:] for one in names]) + ")"
    sentences = "|".join(_sentence_pattern(template, subject, value) for template in relation.sentences)
    labels = "|".join(re.escape(label) for label in relation.labels)
    return (
        re.compile(rf"(?:(?<=[.!?] )|(?<=\n))(?:{sentences})(?=\s|$)"),
        re.compile(rf"^[-*•\s|]*(?:{labels})\s*[:|]\s*({value})[\s|]*$", re.MULTILINE),
    )


def _sentence_pattern(template: str, subject: str, value: str) -> str:
    pattern = re.escape(template).replace(r"\{s\}", subject).replace(r"\{o\}", f"({value})")
    # Escaped blanks stay blanks; "a" may have become "an" before a vowel.
    return re.sub(r"([aA])\\ \(", r"\1n?\\ (", pattern)


def kind_of_relation(relation: str) -> str:
    """The noun for the subject of a relation ("town")."""
    return KINDS[RELATIONS[relation].kind].noun


def listed_entries(text: str) -> list[str]:
    """The entries of a list page, from its text as the browse tool shows it."""
    _, _, body = without_marks(text).partition("This list names all ")
    entries = []
    for line in body.splitlines()[1:]:
        entry = re.sub(r"^[-*•\s|]*(?:\d+\s*[|.:]\s*)?|[\s|]+$", "", line)
        if entry and entry != "Name" and not re.match(r"No\.|\(?part \d|page \d|—", entry, re.IGNORECASE):
            entries.append(entry)
    return entries
