"""Puzzle: one generated data puzzle, before it is put into words.

A puzzle kind is a function `(random, difficulty) -> Puzzle`; the family files (`table`, `text`, `dates`,
`number_theory`) hold them. Every kind states some data, a first question about it and a further question about the
same data. A one-call task asks the first only; a task with state asks the second, which only the first one's result
makes readable (`seal.py`).

The value of an `Ask` is computed here, in this process, by the kind itself; its `code` is what the scripted oracle
runs in the python tool. The two are written separately, so that the oracle's success checks both.

Left out: questions whose answer is a name from the data or a small count (they could be guessed).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from aepo_env.worlds.code.difficulty import Difficulty


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to compute.

    Attributes:
        wordings: ways to ask it; `{name}` stands for a parameter.
        code: Python that sets `result` from the live variables. In a second question `$name` stands for a parameter
            as it is read from the opened message; in a first question the parameters are written out.
        value: the right result, an integer or a text (ISO date, letters).
        parameters: by name. In a second question they appear in every wording in this order, are integers, ISO dates
            or single-quoted text, and no other number or quoted text stands before the last of them.
    """

    wordings: tuple[str, ...]
    code: str
    value: int | str
    parameters: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Data with two questions about it.

    Attributes:
        given: the data as the question shows it, with a sentence that says how to read it.
        setup: Python that makes the live variables from the data; lines end in a newline.
        first: asked about the data; its value is an integer (it becomes the key of the sealed message).
        then: asked about the same data and what the first question left behind.
    """

    given: str
    setup: str
    first: Ask
    then: Ask


Kind = Callable[[Random, Difficulty], Puzzle]

CONSONANTS = "bdfgklmnprstvz"
VOWELS = "aeiou"


def invented_word(random: Random, syllables: int) -> str:
    """A pronounceable lower-case word without meaning, two letters per syllable ("kavori")."""
    return "".join(random.choice(CONSONANTS) + random.choice(VOWELS) for _ in range(syllables))


def invented_words(random: Random, count: int, syllables: int) -> list[str]:
    """`count` different invented words, in the order drawn."""
    words: dict[str, None] = {}
    while len(words) < count:
        words[invented_word(random, syllables)] = None
    return list(words)


def number(random: Random, digits: int) -> int:
    """A positive integer of exactly `digits` decimal digits."""
    return random.randrange(10 ** (digits - 1), 10**digits)


def text_block(name: str, lines: list[str]) -> str:
    """Python source that sets `name` to these lines as one string."""
    body = "\n".join(lines)
    return f'{name} = """{body}"""\n'
