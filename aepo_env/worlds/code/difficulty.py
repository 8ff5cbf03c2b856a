"""Difficulty: how large and how long generated code tasks are; four named settings from tiny to hard."""

from dataclasses import dataclass

FAMILIES = ("table", "text", "dates", "number-theory")


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The dial of the code tasks.

    Attributes:
        name: goes into task ids; give your own settings your own name.
        rows: lines of data in a puzzle (tables, lists, logs, dates).
        digits: decimal digits of the numbers in it.
        state_share: share of tasks that need state across two calls.
        stream_share: share of those whose second question also draws from the generator that opened it.
        families: which families are drawn, with equal chance.
        short: fixed-shape one-line questions for policies of about a million parameters (`tiny.py`); rows, digits
            and stream_share then bound the numbers but no data blocks, wordings or sealed messages appear.
    """

    name: str
    rows: int
    digits: int
    state_share: float = 0.6
    stream_share: float = 0.5
    families: tuple[str, ...] = FAMILIES
    short: bool = False

    def __post_init__(self) -> None:
        unknown = [family for family in self.families if family not in FAMILIES]
        if unknown or not self.families:
            raise ValueError(f"families must be some of {FAMILIES}, got {self.families}")
        if self.rows < 3 or not 2 <= self.digits <= 6:
            raise ValueError(f"expected rows >= 3 and 2 <= digits <= 6, got rows={self.rows}, digits={self.digits}")
        if not (0 <= self.state_share <= 1 and 0 <= self.stream_share <= 1):
            raise ValueError("state_share and stream_share are probabilities between 0 and 1")


DIFFICULTIES = {
    "tiny": Difficulty("tiny", rows=3, digits=2, short=True),
    "easy": Difficulty("easy", rows=5, digits=2),
    "medium": Difficulty("medium", rows=12, digits=3),
    "hard": Difficulty("hard", rows=32, digits=4, state_share=0.75, stream_share=1.0),
}
