"""Figures of the generated worlds: can an oracle solve them through the tools, can a guesser without tools?

    python -m benchmarks.worlds                                     # every world and difficulty, train
    python -m benchmarks.worlds --world web --difficulty medium --split test --tasks 500
    python -m benchmarks.worlds --stream 100000                     # seconds and memory to write that many pages

One row per family: share of tasks the oracle solves through search, browse and python; tool calls it needs; the best
fitted guess (in the same world, and fitted on train but asked on dev); and how often the answer stands in a snippet of
the question's own search. Another generated world joins by a line in WORLDS.
"""

import argparse
import dataclasses
import itertools
import os
import re
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from aepo_env.agent import Oracle, play
from aepo_env.env import ToolEnv
from aepo_env.episode import Episode
from aepo_env.rewards.reward import Score
from aepo_env.tasks import Task
from aepo_env.tools.python import PythonTool
from aepo_env.tools.tool import Tool
from aepo_env.worlds.code import generated_code
from aepo_env.worlds.code.difficulty import DIFFICULTIES
from aepo_env.worlds.web import PRESETS, generated_web, web_pages
from aepo_env.worlds.world import World
from benchmarks.guesser import Guesser

FITTED_ON = 2000


def web(split: str, difficulty: str, even: bool) -> World:
    """The generated web; with `even`, every family as often as any other (the pages stay the same)."""
    if not even:
        return generated_web(split=split, difficulty=difficulty)  # type: ignore[arg-type]
    settings = PRESETS[difficulty]
    mix = tuple((family, 1.0) for family, _ in settings.mix)
    return generated_web(split=split, difficulty=dataclasses.replace(settings, mix=mix))  # type: ignore[arg-type]


def code(split: str, difficulty: str, even: bool) -> World:
    """The generated puzzles for the python tool; their families are even already."""
    return generated_code(split=split, difficulty=difficulty)  # type: ignore[arg-type]


WORLDS: dict[str, tuple[Callable[[str, str, bool], World], Sequence[str]]] = {
    "web": (web, tuple(PRESETS)),
    "code": (code, tuple(DIFFICULTIES)),
}
"""By name: a maker (split, difficulty, even) -> World, and the difficulties it knows."""


def exact_match(episode: Episode) -> Score:
    """1 for an accepted answer, character for character."""
    right = float(episode.answer in episode.task.answers)
    return Score(right, {"exact match": right})


def tools_for(world: World, sandbox: str) -> list[Tool]:
    """Search and browse over the world's pages, if it has any, and python."""
    tools: list[Tool] = [PythonTool(sandbox)]  # type: ignore[arg-type]
    if world.corpus is not None:
        from aepo_env.tools.browse import BrowseTool
        from aepo_env.tools.search import SearchTool

        tools = [SearchTool(world.corpus), BrowseTool(world.corpus), *tools]
    return tools


def by_family(tasks: Iterable[Task], count: int) -> dict[str, list[Task]]:
    """The first `count` tasks of every family, looking at no more than 20 times as many tasks."""
    families: dict[str, list[Task]] = defaultdict(list)
    for task in itertools.islice(tasks, 20 * count):
        if len(families[task.family]) < count:
            families[task.family].append(task)
    return dict(sorted(families.items()))


def solve(world: World, tasks: Sequence[Task], sandbox: str) -> tuple[float, list[int], list[Task]]:
    """Share solved by the oracle, tool calls of each episode, and the tasks it failed."""
    env = ToolEnv(world.tasks, tools_for(world, sandbox), exact_match, world=world)
    calls, failed = [], []
    for task in tasks:
        episode = play(env, Oracle(env), seed=0, options={"task": task})
        calls.append(sum(len(turn.calls) for turn in episode.turns))
        if not exact_match(episode).total:
            failed.append(task)
    env.close()
    return 1 - len(failed) / len(tasks), calls, failed


def leak(world: World, tasks: Sequence[Task]) -> float:
    """How often an answer stands in a snippet of the search for the question itself."""
    if world.corpus is None:
        return 0.0
    leaks = 0
    for task in tasks:
        shown = " ".join(hit.snippet for hit in world.corpus.search(task.question, 5, 10.0))
        leaks += any(re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", shown) for answer in task.answers)
    return leaks / len(tasks)


def report(name: str, split: str, difficulty: str, count: int, sandbox: str) -> None:
    """Print one world's figures."""
    make = WORLDS[name][0]
    started = time.perf_counter()
    world = make(split, difficulty, False)
    seconds = time.perf_counter() - started
    pages = f"{len(world.corpus):,} pages, " if world.corpus is not None else ""
    print(f"\n{world.name}: {pages}made and indexed in {seconds:.1f} s")

    here = Guesser(world.tasks[:FITTED_ON]).rates(world.tasks[FITTED_ON : 2 * FITTED_ON])
    other = "train" if split != "train" else "dev"
    elsewhere = Guesser(make(other, difficulty, False).tasks[:FITTED_ON]).rates(world.tasks[:FITTED_ON])
    print(f"fitted guesser over the default mix: {here['all']:.1%} (fitted on {other}: {elsewhere['all']:.1%})")
    print(f"{'family':<24}{'tasks':>6}{'oracle':>9}{'calls':>7}{'most':>6}{'guess':>8}{'leak':>8}")
    even = make(split, difficulty, True)
    for family, tasks in by_family(even.tasks, count).items():
        share, calls, failed = solve(even, tasks, sandbox)
        print(
            f"{family:<24}{len(tasks):>6}{share:>9.1%}{sum(calls) / len(calls):>7.1f}{max(calls):>6}"
            f"{here.get(family, 0.0):>8.1%}{leak(even, tasks):>8.1%}",
            flush=True,
        )
        for task in failed[:2]:
            print(f"    failed: {task.id}: {task.question}")


def stream(pages: int, difficulty: str) -> None:
    """Print what it costs to write many pages: the graph is held, the pages are not."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    characters = count = 0
    for page in web_pages(pages=pages, difficulty=difficulty):
        if not count:
            after_graph = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(
                f"graph of {pages:,} articles: {time.perf_counter() - started:.1f} s, {(after_graph - before) >> 10} MB"
            )
        characters += len(page.html)
        count += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - after_graph) >> 10
    seconds = time.perf_counter() - started
    print(f"{count:,} pages, {characters:,} characters in {seconds:.1f} s; memory grew by {grown} MB while writing")


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description="Figures of the generated worlds.")
    parser.add_argument("--world", choices=list(WORLDS), action="append", help="default: all")
    parser.add_argument("--difficulty", action="append", help="default: all of the world's")
    parser.add_argument("--split", default="train", choices=("train", "dev", "test"))
    parser.add_argument("--tasks", type=int, default=100, help="per family for the oracle")
    parser.add_argument("--sandbox", default="box", choices=("box", "unboxed_unsafe"))
    parser.add_argument("--stream", type=int, metavar="PAGES", help="only write so many pages of the web")
    arguments = parser.parse_args()
    if arguments.stream:
        stream(arguments.stream, (arguments.difficulty or ["medium"])[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AEPO_CACHE"] = folder  # so that the seconds are those of the first time
        for name in arguments.world or WORLDS:
            for difficulty in arguments.difficulty or WORLDS[name][1]:
                report(name, arguments.split, difficulty, arguments.tasks, arguments.sandbox)


if __name__ == "__main__":
    main()
