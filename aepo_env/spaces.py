"""Unicode: the space of all texts up to a length.

Gymnasium's own `Text` wants a character set, takes seconds to build with all of Unicode and looks at every character
of every observation; this one asks for a `str` of bounded length and nothing else.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Space

_SAMPLE_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;?!<>/\\{}\n" + "äßéñøΩжл中文字日本語—✓😀"
)


MAX_TEXT = 1_000_000


class Unicode(Space[str]):
    """All strings of at most `max_length` characters.

    Args:
        max_length: in characters (code points).
        seed: for `sample`.
    """

    def __init__(self, max_length: int = MAX_TEXT, seed: int | np.random.Generator | None = None) -> None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1; got {max_length}.")
        self.max_length = max_length
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: None = None, probability: None = None) -> str:
        """A random short text; `mask` and `probability` have no meaning here."""
        length = int(self.np_random.integers(0, min(64, self.max_length) + 1))
        return "".join(_SAMPLE_ALPHABET[i] for i in self.np_random.integers(0, len(_SAMPLE_ALPHABET), size=length))

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= self.max_length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode) and other.max_length == self.max_length

    def __hash__(self) -> int:
        return hash(("Unicode", self.max_length))

    def __repr__(self) -> str:
        return f"Unicode({self.max_length})"
