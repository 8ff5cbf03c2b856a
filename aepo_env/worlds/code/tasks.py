"""CodeTasks: an endless-in-practice sequence of generated data puzzles, made when asked for.

Task i depends on (seed, split, difficulty, i) alone. A task belongs to a split by its content: 1 in 8 contents are
test, 1 in 8 dev, the rest train (a checksum of what is computed, apart from wording), so tasks of two splits are never
equal, whatever their seeds.
"""

from collections.abc import Sequence
from random import Random
from typing import overload
from zlib import crc32

from aepo_env.tasks import Task
from aepo_env.worlds.code import dates, number_theory, table, text, tiny
from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.draft import Draft, draft_puzzle
from aepo_env.worlds.code.puzzle import Kind
from aepo_env.worlds.world import SPLITS, Split

LENGTH = 10_000_000  # a sequence needs a length; this one is longer than any training

KINDS: dict[str, dict[str, Kind]] = {
    "table": table.KINDS,
    "text": text.KINDS,
    "dates": dates.KINDS,
    "number-theory": number_theory.KINDS,
}


def split_of(content: str) -> Split:
    """The split that a task with this content belongs to."""
    remainder = crc32(content.encode()) % 8
    return "test" if remainder == 0 else "dev" if remainder == 1 else "train"


class CodeTasks(Sequence[Task]):
    """Tasks by index, each made anew at every access (a few milliseconds at most)."""

    def __init__(self, split: Split, seed: int, difficulty: Difficulty) -> None:
        if split not in SPLITS:
            raise ValueError(f"expected split to be one of {SPLITS}, got {split!r}")
        self.split, self.seed, self.difficulty = split, seed, difficulty

    def __len__(self) -> int:
        return LENGTH

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(LENGTH))]
        place = index + LENGTH if index < 0 else index
        if not 0 <= place < LENGTH:
            raise IndexError(f"code tasks are numbered 0 to {LENGTH - 1}, got {index}")
        # The generator is seeded with text, which Python hashes by SHA-512: equal in every process.
        random = Random(f"code tasks|{self.seed}|{self.split}|{self.difficulty!r}|{place}")
        family = random.choice(self.difficulty.families)
        state = random.random() < self.difficulty.state_share
        kind, draft = self._draw(random, family, state)
        while split_of(draft.content) != self.split:
            kind, draft = self._draw(random, family, state)
        return self._task(place, family, kind, draft)

    def _draw(self, random: Random, family: str, state: bool) -> tuple[str, Draft]:
        if self.difficulty.short:
            short = (tiny.TWO_CALLS if state else tiny.ONE_CALL)[family]
            name = random.choice(list(short))
            return name, short[name](random, self.difficulty)
        name = random.choice(list(KINDS[family]))
        return name, draft_puzzle(KINDS[family][name], random, self.difficulty, state)

    def _task(self, place: int, family: str, kind: str, draft: Draft) -> Task:
        return Task(
            id=f"code-{self.difficulty.name}-{self.split}-{self.seed}-{place}",
            question=draft.question,
            answers=(draft.answer,),
            family=f"code/{family}",
            metadata={
                "kind": kind,
                "state": draft.state,
                "calls": 2 if draft.state else 1,
                "wording": draft.wording,
                "plan": {
                    "first": draft.first,
                    "then": draft.then,
                    "reads": list(draft.reads),
                    "branches": dict(draft.branches),
                },
            },
        )
