"""World: what an environment acts in - pages to search and browse, tasks to solve, and an oracle that solves them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aepo_env.tasks import Task

if TYPE_CHECKING:
    from aepo_env.agent import Agent
    from aepo_env.corpus import Corpus

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
"""No task is in two of them; what else they keep apart (names, places) each kind of world says."""


@dataclass(frozen=True)
class World:
    """A corpus and the tasks asked about it.

    Attributes:
        name: for messages and reports ("generated web, train, seed 0").
        tasks: any sequence; may be generated lazily, item by item.
        oracle: makes an agent that solves one task through the tools alone: it may know the task's plan (which page,
            which relation, in which order), but takes every value from what the tools answered.
        corpus: the pages; None for worlds without any (code puzzles).
        snippet_oracle: as `oracle`, for environments without browse: it answers from search results alone, as far as
            these show what is asked. None: the oracle is the same there.
    """

    name: str
    tasks: Sequence[Task]
    oracle: "Callable[[Task], Agent]"
    corpus: "Corpus | None" = None
    snippet_oracle: "Callable[[Task], Agent] | None" = None
