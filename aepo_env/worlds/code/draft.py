"""Draft: a puzzle put into words, with the oracle's plan for it.

`draft_puzzle` turns a puzzle into a one-call question or, with state, into one whose second half is sealed
(`seal.py`). The tiny kinds (`tiny.py`) make their drafts directly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.puzzle import Kind
from aepo_env.worlds.code.seal import NOTICES, STREAM_CODE, STREAM_ENDINGS, opening_code, seal


@dataclass(frozen=True, slots=True)
class Draft:
    """What becomes a Task.

    Attributes:
        question: as the policy reads it.
        answer: computed by the puzzle's own program.
        content: what the task is, apart from its wording; equal contents are equal tasks.
        first: the oracle's first cell.
        then: its second cell, `$name` standing for a value to be read from the first one's output; "" if there is none.
        reads: those names, in the order in which the values are printed.
        branches: instead of `then`, the second cell by what the first one prints.
        wording: which wording was drawn, for reports and tests.
    """

    question: str
    answer: str
    content: str
    first: str
    then: str = ""
    reads: tuple[str, ...] = ()
    branches: Mapping[str, str] = field(default_factory=dict)
    wording: int = 0

    @property
    def state(self) -> bool:
        """Whether a second call must go on with the first one's live variables."""
        return bool(self.then or self.branches)


def draft_puzzle(kind: Kind, random: Random, difficulty: Difficulty, state: bool) -> Draft:
    """A puzzle of this kind in words, as a one-call task or with a sealed second question."""
    puzzle = kind(random, difficulty)
    wording = random.randrange(len(puzzle.first.wordings))
    question = f"{puzzle.given}\n{puzzle.first.wordings[wording]}".strip()
    code = puzzle.setup + puzzle.first.code
    if not state:
        return Draft(question, str(puzzle.first.value), code, code + "print(result)\n", wording=wording)
    then = puzzle.then
    message = random.choice(then.wordings).format(**then.parameters)
    value, ending = then.value, ""
    drawn = isinstance(value, int) and random.random() < difficulty.stream_share
    if drawn:
        message += random.choice(STREAM_ENDINGS)
    sealed, draw = seal(message, int(puzzle.first.value))
    if drawn and isinstance(value, int):
        value, ending = value + draw, STREAM_CODE
    return Draft(
        question=f"{question}\n{random.choice(NOTICES).format(sealed=sealed)}",
        answer=str(value),
        content=f"{code}{then.code}{dict(then.parameters)}{drawn}",
        first=code + opening_code(sealed),
        then=f"{then.code}{ending}print(result)\n",
        reads=tuple(then.parameters),
        wording=wording,
    )
