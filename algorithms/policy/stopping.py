"""Stop strings on token ids: the token that completes one is kept whole.

    matcher = StopMatcher(token_pieces(tokenizer))
    matcher.feed(token, ("</search>", "</answer>"))      # the stop string completed by this token, or None
    matcher.clear()                                       # a new turn: earlier text no longer counts

Text is looked at token by token as it comes, in time that does not grow with the turn. A stop string may span several
tokens and several requests of one turn.

Left out: special tokens that end a turn (compare ids), and text as a person reads it (decode the turn as a whole).
"""

from collections.abc import Sequence
from typing import Any

LONGEST = 128
"""Stop strings may have up to this many characters."""


def token_pieces(tokenizer: Any) -> list[str]:
    """The text each token id adds to a longer text, for a tokenizer of transformers.

    Bytes that are no whole character on their own become U+FFFD, so stop strings should be plain ASCII, as tags are.
    """
    size = len(tokenizer)
    # Some tokenizers drop a space at the start of a text, so each token is decoded behind another one.
    anchor = tokenizer.encode("a", add_special_tokens=False)[-1]
    options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    skip = len(tokenizer.decode([anchor], **options))
    texts = tokenizer.batch_decode([[anchor, token] for token in range(size)], **options)
    return [text[skip:] for text in texts]


class StopMatcher:
    """The end of one turn's text. pieces: the text of each token id."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces
        self._tail = ""

    def clear(self) -> None:
        """Forget the text so far."""
        self._tail = ""

    def feed(self, token: int, stops: Sequence[str]) -> str | None:
        """Add a token; the stop string that ends inside it (the one that ends first), or None."""
        before, text = len(self._tail), self._tail + self._pieces[token]
        self._tail = text[-LONGEST:]
        found: tuple[int, str] | None = None
        for stop in stops:
            at = text.find(stop, max(0, before - len(stop) + 1))
            if at >= 0 and (found is None or at + len(stop) < found[0]):
                found = (at + len(stop), stop)
        return found[1] if found else None


def check_stops(stops: Sequence[str]) -> None:
    """Raise ValueError for stop strings that cannot be looked for."""
    for stop in stops:
        if not 0 < len(stop) <= LONGEST:
            raise ValueError(f"A stop string has 1 to {LONGEST} characters; got {stop!r}.")
