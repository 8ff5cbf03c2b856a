"""Questions: what a run trains on, in a fixed order, with a cursor that a checkpoint holds.

    questions = Questions(config.environment, seed=config.seed)
    env, tasks = questions.next(24)             # tasks of one world; env is an environment over it
    questions.cursor                            # how many were handed out

The generated worlds are endless: after `world_questions` questions the next world opens, so that no page can be learned
by heart. Their seeds keep apart what a cold start saw (from 0 on), what it is checked on, what tokenizers saw, and each
run's own. Other corpora, and questions from a file, are one world, whose questions come again in a new order once all
were asked.
"""

from typing import Any

import gymnasium
import numpy as np

import aepo_env  # noqa: F401  # registers the environments
from aepo_env.env import ToolEnv
from aepo_env.tasks import Task
from algorithms.rollout.streams import generator
from algorithms.training.config import ENVIRONMENTS, EnvironmentSettings

COLD_START_WORLDS = 0
TOKENIZER_WORLDS = 100_000
CHECK_WORLD = 150_000
RUN_WORLDS = 200_000
"""First world seed of each use; a run with seed s starts at RUN_WORLDS + s * WORLDS_OF_A_RUN."""
WORLDS_OF_A_RUN = 10_000


def make_environment(settings: EnvironmentSettings, split: str, world_seed: int = 0) -> Any:
    """An environment of one split over one world."""
    given = dict(settings.arguments)
    if given.get("corpus", "generated") in ("generated", "factbook"):
        given["world_seed"] = world_seed
    return gymnasium.make(ENVIRONMENTS[settings.name], split=split, **given)


class Questions:
    """Training questions in order. Not thread-safe; one per run."""

    def __init__(self, settings: EnvironmentSettings, seed: int, cursor: int = 0) -> None:
        self.settings, self.seed, self.cursor = settings, seed, cursor
        arguments = settings.arguments
        self._generated = arguments.get("corpus", "generated") == "generated" and arguments.get("tasks") is None
        self._world = -1
        self._env: Any = None

    def next(self, count: int) -> tuple[Any, list[Task]]:
        """An environment and its next `count` tasks (fewer where a world ends); the environment is this object's."""
        size = self.settings.world_questions
        if self._generated:
            world, place = divmod(self.cursor, size)
            self._open(world)
            indices = range(place, min(place + count, size))
        else:
            self._open(0)
            size = len(self._inner().tasks)
            round_, place = divmod(self.cursor, size)
            order: list[int] = np.asarray(generator(self.seed, round_, "questions").permutation(size)).tolist()
            indices = order[place : place + count]  # type: ignore[assignment]
        tasks = [self._inner().tasks[index] for index in indices]
        self.cursor += len(tasks)
        return self._env, tasks

    def close(self) -> None:
        """Close the open environment. Idempotent."""
        if self._env is not None:
            self._env.close()
            self._env, self._world = None, -1

    def _inner(self) -> ToolEnv:
        inner = self._env.unwrapped
        assert isinstance(inner, ToolEnv)
        return inner

    def _open(self, world: int) -> None:
        if world == self._world:
            return
        self.close()
        seed = RUN_WORLDS + self.seed * WORLDS_OF_A_RUN + world if self._generated else 0
        self._env, self._world = make_environment(self.settings, "train", seed), world
