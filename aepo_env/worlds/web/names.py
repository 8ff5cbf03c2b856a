"""Names for the generated world: made-up words that belong to one split for ever, and near-namesakes of names.

    namer = Namer(random.Random("any text"), split="train", difficulty=PRESETS["medium"])
    namer.title("company")                 # "Brolan Works"; never twice the same
    namer.namesake(title)                  # a title easily taken for it, or None

A name word belongs to train, dev or test by a checksum of its letters, whatever the seed: so no name of one split can
ever turn up in another. Connecting words (SHARED_WORDS) are common to all. Left out: words of real languages; that a
made-up word looks like one now and then does no harm.
"""

import random
import re
import zlib

from aepo_env.search.words import STOP_WORDS
from aepo_env.worlds.web.difficulty import Difficulty
from aepo_env.worlds.web.schema import KINDS, WORDS
from aepo_env.worlds.world import Split

_CONSONANTS = (*"bdfghklmnprstvz", "br", "dr", "gr", "kl", "kr", "pl", "st", "th", "tr")
_VOWELS = "aeiou"
_CODAS = ["", "", "l", "n", "r", "s"]
_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")

SHARED_WORDS = frozenset(
    word.lower()
    for kind in KINDS.values()
    for pattern in kind.patterns
    for word in re.findall(r"[A-Za-z]+", re.sub(r"\{\w\}", " ", pattern))
) | frozenset(numeral.lower() for numeral in _NUMERALS)
"""Words of titles that carry no name (lower case): "the", "of", "works", "ii", ..."""

_NO_NAMES = SHARED_WORDS | STOP_WORDS | {word for pool in WORDS.values() for word in pool}


def split_of(word: str) -> Split:
    """The split a name word belongs to: an eighth is dev, an eighth is test, by CRC-32 of its lower-case letters."""
    eighth = zlib.crc32(word.lower().encode()) % 8
    return "dev" if eighth == 0 else "test" if eighth == 1 else "train"


def slug(title: str) -> str:
    """The part of an address that stands for a title: "Keld & Sons" -> "keld_sons", "Keld (II)" -> "keld-ii"."""
    return re.sub(r"[^a-z0-9-]+", "_", title.lower().replace(" (", "-")).strip("_")


def name_word(rng: random.Random, split: Split, syllables: int) -> str:
    """A name word of `split`, of so many syllables or a few more when short ones are hard to find."""
    for attempt in range(10_000):
        syllable_count = syllables + attempt // 200
        parts = [rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(syllable_count)]
        word = "".join(parts) + rng.choice(_CODAS)
        if _usable(word, split):
            return word.capitalize()
    raise RuntimeError(f"Found no name word for split {split!r} in 10,000 tries.")


def _usable(word: str, split: Split) -> bool:
    return split_of(word) == split and word.lower() not in _NO_NAMES


class Namer:
    """Hands out titles, each once. Needs memory for the slugs of all titles given so far."""

    def __init__(self, rng: random.Random, split: Split, difficulty: Difficulty):
        self._rng = rng
        self._split = split
        self._difficulty = difficulty
        self._taken: set[str] = set()
        self._first_names = [self.word(2) for _ in range(120)]

    def word(self, syllables: int = 0) -> str:
        """A name word of this split; its length is drawn when not given."""
        return name_word(self._rng, self._split, syllables or self._rng.randint(*self._difficulty.syllables))

    def take(self, title: str) -> bool:
        """Reserve a title; False when it, or one that differs in signs alone ("Keld II", "Keld (II)"), was given."""
        key = slug(title).replace("-", "_")
        if key in self._taken:
            return False
        self._taken.add(key)
        return True

    def title(self, kind: str) -> str:
        """A new title for an entity of `kind`."""
        patterns = KINDS[kind].patterns[: self._difficulty.name_patterns]
        for attempt in range(1000):
            extra = attempt // 50  # one more syllable whenever fifty names in a row were taken
            first = self._rng.choice(self._first_names) if kind == "person" else self._longer_word(extra)
            title = self._rng.choice(patterns).format(a=first, b=self._longer_word(extra))
            if self.take(title):
                return title
        raise RuntimeError(f"Found no free name for a {kind} in 1,000 tries.")

    def _longer_word(self, extra: int) -> str:
        return self.word(self._rng.randint(*self._difficulty.syllables) + extra)

    def plain_word(self) -> str:
        """A one-word title that nothing else has: for second names."""
        for _ in range(1000):
            word = self.word(self._rng.randint(3, 4))
            if self.take(word):
                return word
        raise RuntimeError("Found no free second name in 1,000 tries.")

    def namesake(self, title: str, kind: str, way: str) -> str | None:
        """A title that is nearly `title`, made the given way ("same" is not a title's matter); None if none is free."""
        for _ in range(20):
            candidate = self._variant(title, kind, way)
            if candidate is not None and candidate != title and self.take(candidate):
                return candidate
        return None

    def _variant(self, title: str, kind: str, way: str) -> str | None:
        words = title.split()
        places = [i for i, word in enumerate(words) if word.isalpha() and word.lower() not in SHARED_WORDS]
        if not places or "(" in title:
            return None
        if way == "of":
            fits = kind in ("person", "town", "ship") and " of " not in title
            return f"{title} of {self.word()}" if fits else None
        if way == "number":
            if words[-1] in _NUMERALS or kind == "person":
                return None
            return f"{title} {self._rng.choice(_NUMERALS[1:5])}"
        if way == "letter":
            place = self._rng.choice(places)
            changed = self._one_letter_off(words[place])
            return " ".join([*words[:place], changed, *words[place + 1 :]]) if changed else None
        return self._shared_word(words, places, kind)

    def _shared_word(self, words: list[str], places: list[int], kind: str) -> str | None:
        """The same title with one word exchanged: the first name, or what stands round the name word."""
        if kind == "person":
            return " ".join([self._rng.choice(self._first_names), *words[1:]])
        if len(places) > 1:
            return " ".join([*words[: places[-1]], self.word(), *words[places[-1] + 1 :]])
        pattern = self._rng.choice(KINDS[kind].patterns)
        return pattern.format(a=words[places[0]], b=self.word())

    def _one_letter_off(self, word: str) -> str | None:
        """`word` with a vowel or the last consonant exchanged, within the split."""
        places = [place for place, letter in enumerate(word) if letter in _VOWELS or (place and place == len(word) - 1)]
        for _ in range(40):
            place = self._rng.choice(places)
            pool = _VOWELS if word[place] in _VOWELS else "lnrs"
            changed = word[:place] + self._rng.choice(pool) + word[place + 1 :]
            if changed != word and _usable(changed, self._split):
                return changed
        return None


def numbered(name: str, position: int) -> str:
    """The title of one of several entities with equal names: "Mira Keld (II)". `position` starts at 0."""
    return f"{name} ({_NUMERALS[position]})"


MAX_SAME_NAME = 4  # telling more apart would cost an agent a page each
