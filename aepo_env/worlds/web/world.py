"""The generated web: an offline, seeded, endless encyclopaedia of things that do not exist, and questions about it.

    world = generated_web(split="train", seed=0)        # pages are written and indexed at the first call, then opened
    world.corpus.search("Keld", limit=5, seconds=2.0)
    world.tasks[17].question
    episode = play(env, world.oracle(world.tasks[17]))

Any seed gives another world of any size. Train, dev and test worlds share no name and no word of a name, whatever
their seeds. Equal arguments give equal pages and tasks in every process.
"""

from collections.abc import Iterator
from functools import lru_cache

from aepo_env.corpus import Page, cached_corpus
from aepo_env.worlds.web.difficulty import Difficulty, as_difficulty
from aepo_env.worlds.web.graph import Graph
from aepo_env.worlds.web.oracle import WebOracle
from aepo_env.worlds.web.pages import pages as make_pages
from aepo_env.worlds.web.questions import WebTasks
from aepo_env.worlds.world import SPLITS, Split, World

VERSION = 3
"""Raise it whenever equal arguments give other pages than before: it is part of the name of cached indexes."""


def generated_web(
    *,
    split: Split = "train",
    seed: int = 0,
    pages: int = 2500,
    difficulty: str | Difficulty = "medium",
    tasks: int = 100_000,
) -> World:
    """A world with its index, tasks and oracle.

    Args:
        split: "train", "dev" or "test"; decides the words that names are made of.
        seed: any whole number; another seed is another world.
        pages: articles, at least 24; list pages, pages of equal names and redirects come on top.
        difficulty: "tiny", "easy", "medium", "hard", or a Difficulty object.
        tasks: length of the task sequence. Task i is the same whatever the length.

    Raises:
        ValueError: an argument is not one of these.
    """
    if split not in SPLITS:
        raise ValueError(f"Expected split {', '.join(SPLITS)}, got {split!r}.")
    if tasks < 1:
        raise ValueError(f"Expected at least 1 task, got {tasks}.")
    settings = as_difficulty(difficulty)
    graph = web_graph(split, seed, pages, settings)
    place = f"web-{split}-{seed}-{pages}"
    corpus = cached_corpus(f"{place}-{settings.digest(pages_only=True)}-v{VERSION}", lambda: make_pages(graph, split))
    level = difficulty if isinstance(difficulty, str) else "custom"
    return World(
        name=f"generated web, {level}, {split}, seed {seed}, {pages:,} articles",
        tasks=WebTasks(graph, count=tasks, name=f"{place}-{settings.digest()}"),
        oracle=WebOracle,
        corpus=corpus,
    )


@lru_cache(maxsize=4)
def web_graph(split: Split, seed: int, pages: int, difficulty: Difficulty) -> Graph:
    """The facts of a world, shared by everything in this process that asks for the same one."""
    key = f"{seed}/{split}/{pages}/{difficulty.digest(pages_only=True)}"
    return Graph.build(key=key, split=split, articles=pages, difficulty=difficulty)


def web_pages(
    *, split: Split = "train", seed: int = 0, pages: int = 2500, difficulty: str | Difficulty = "medium"
) -> Iterator[Page]:
    """The pages alone, one at a time: to write them to files, or to build an index of another kind."""
    return make_pages(web_graph(split, seed, pages, as_difficulty(difficulty)), split)
