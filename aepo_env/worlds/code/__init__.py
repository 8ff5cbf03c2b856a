"""Generated data puzzles for the python tool: `generated_code(split="train", difficulty="easy")` makes a World.

Four families (tables, text, dates, number theory) of five or six kinds each; the answer to every task is computed when
the task is made, and can only be had by computing. More than half of the tasks need state across two calls: their
second question is sealed with the first one's result and stands on the live variables of the first call (`seal.py`
says how, and how far that holds). `Difficulty` is the dial, from one-line questions that a policy of a million
parameters can learn ("tiny") to 32-line tables ("hard").

Left out: libraries beyond the standard one, floating-point answers, pages (the world has no corpus).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from aepo_env.worlds.code.difficulty import DIFFICULTIES, Difficulty
from aepo_env.worlds.code.oracle import code_oracle
from aepo_env.worlds.code.tasks import CodeTasks
from aepo_env.worlds.world import Split, World

__all__ = ["Difficulty", "generated_code"]


def generated_code(
    *,
    split: Split = "train",
    seed: int = 0,
    difficulty: Literal["tiny", "easy", "medium", "hard"] | Difficulty = "easy",
    families: Sequence[str] | None = None,
) -> World:
    """A world of code tasks. Equal arguments give equal tasks in every process; splits share none.

    Args:
        split: "train", "dev" or "test". seed: another seed is another sequence of tasks.
        difficulty: a name, or settings of your own.
        families: only these ("code/table"); None: those of the difficulty, by default all four.

    Raises:
        ValueError: an unknown split, difficulty or family.
    """
    if isinstance(difficulty, str):
        if difficulty not in DIFFICULTIES:
            raise ValueError(
                f"expected difficulty to be one of {list(DIFFICULTIES)} or a Difficulty, got {difficulty!r}"
            )
        difficulty = DIFFICULTIES[difficulty]
    if families is not None:
        difficulty = replace(difficulty, families=tuple(family.removeprefix("code/") for family in families))
    tasks = CodeTasks(split, seed, difficulty)
    return World(name=f"generated code, {difficulty.name}, {split}, seed {seed}", tasks=tasks, oracle=code_oracle)
