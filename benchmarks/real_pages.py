"""How well the tools reach real pages: index times, and what oracles solve through search and browse alone.

    python -m benchmarks.real_pages                                  # the Factbook, 500 questions of each family
    python -m benchmarks.real_pages --folder DIR                     # a folder of pages and questions as well
    python -m benchmarks.real_pages --split test --questions 200 --sandbox unboxed_unsafe

Prints, for each world: pages, seconds to build the index (into a fresh cache folder), milliseconds to open it again.
For the Factbook: whether every hop of every question stands on its page; per family, how many distinct questions the
split has, the oracle's share of right answers, its mean and largest number of tool calls, and how often the answer
already stands in the snippets of a search for the question. For a folder, per source: the share of gold pages found by
their titles, of questions with every gold page found, and of right answers.
The oracles' calculations run in the named sandbox.
"""

import argparse
import functools
import os
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from aepo_env.agent import play
from aepo_env.browser.reader import plain_text
from aepo_env.corpus import Corpus
from aepo_env.env import ToolEnv
from aepo_env.episode import Episode
from aepo_env.rewards.reward import Score
from aepo_env.tasks import Task
from aepo_env.tools.browse import BrowseTool
from aepo_env.tools.python import PythonTool
from aepo_env.tools.search import SearchTool
from aepo_env.tools.tool import Tool
from aepo_env.worlds.factbook import FAMILIES, FactbookTasks, factbook_corpus
from aepo_env.worlds.factbook.oracle import FactbookOracle
from aepo_env.worlds.folder import folder_world
from aepo_env.worlds.folder.oracle import GoldPagesOracle
from aepo_env.worlds.world import SPLITS, World


def exactly(episode: Episode) -> Score:
    """1 when the answer is one of the accepted ones, letter for letter."""
    right = float(episode.answer in episode.task.answers)
    return Score(right, {"exact": right})


def make_env(tasks: Sequence[Task], corpus: Corpus, sandbox: str) -> ToolEnv:
    """Search, browse and python over `corpus`, with the default limits."""
    tools: list[Tool] = [SearchTool(corpus), BrowseTool(corpus)]
    if sandbox:
        tools.append(PythonTool(sandbox=sandbox))  # type: ignore[arg-type]
    return ToolEnv(tasks, tools, exactly)


def report_index(name: str, open_corpus: Callable[[], Corpus]) -> Corpus:
    """Builds and opens an index; prints its size and both times."""
    started = time.perf_counter()
    pages = len(open_corpus())
    built = time.perf_counter() - started
    started = time.perf_counter()
    corpus = open_corpus()
    opened = time.perf_counter() - started
    print(f"{name}: {pages:,} pages, built in {built:.1f} s, opened in {opened * 1000:.1f} ms", flush=True)
    return corpus


def in_snippets(task: Task, corpus: Corpus) -> bool:
    """Whether the answer stands in what a search for the question itself shows."""
    snippets = " ".join(hit.snippet for hit in corpus.search(task.question, 5, 10.0))
    return re.search(rf"(?<!\w){re.escape(task.answers[0])}(?![\w,])", snippets) is not None


def report_factbook(split: str, questions: int, sandbox: str) -> None:
    """One line per family."""
    corpus = report_index("factbook", factbook_corpus)
    report_proofs(corpus)
    for family in FAMILIES:
        tasks = FactbookTasks(split, 0, {family: 1})
        asked = tasks[:questions]
        env = make_env(asked, corpus, sandbox)
        episodes = [play(env, FactbookOracle(task), options={"task": task}) for task in asked]
        right = sum(episode.answer in episode.task.answers for episode in episodes)
        calls = [len(episode.calls()) for episode in episodes]
        told = sum(in_snippets(task, corpus) for task in asked)
        print(
            f"  {family}: {len(tasks):,} questions in {split}; oracle {right}/{len(asked)} = {right / len(asked):.1%}, "
            f"calls {sum(calls) / len(calls):.1f} on average, at most {max(calls)}; "
            f"answer in the question's own snippets {told / len(asked):.1%}",
            flush=True,
        )
        for episode in episodes:
            if episode.answer not in episode.task.answers:
                print(f"    missed: {episode.task.question} {episode.task.answers} <- {episode.answer}")
        env.close()


def report_proofs(corpus: Corpus) -> None:
    """Looks up every hop of every question, in all splits, on the page that is said to hold it."""

    @functools.cache
    def lines(address: str) -> frozenset[str]:
        return frozenset(plain_text(corpus.fetch(address, 10.0).html).splitlines())

    tasks = hops = wrong = 0
    for split in SPLITS:
        for family in FAMILIES:
            for task in FactbookTasks(split, 0, {family: 1}):
                path = task.metadata["path"]
                tasks, hops = tasks + 1, hops + len(path)
                wrong += sum(hop["text"] not in lines(hop["page"]) for hop in path)
    print(f"  proofs: {tasks:,} questions, {hops:,} hops, {wrong} not on their page", flush=True)


def report_folder(directory: Path) -> None:
    """One line per source of questions."""
    worlds: list[World] = []

    def open_corpus() -> Corpus:
        worlds.append(folder_world(directory))
        assert worlds[-1].corpus is not None
        return worlds[-1].corpus

    corpus = report_index(f"folder {directory.name} (fingerprint and questions read as well)", open_corpus)
    by_family: dict[str, list[Task]] = defaultdict(list)
    for task in worlds[-1].tasks:
        if task.metadata.get("supporting_pages"):
            by_family[task.family].append(task)
    for family, tasks in sorted(by_family.items()):
        env = make_env(tasks, corpus, "")
        pages = found = complete = right = 0
        for task in tasks:
            oracle = GoldPagesOracle(task)
            episode = play(env, oracle, options={"task": task})
            pages += len(oracle.found) + len(oracle.missing)
            found += len(oracle.found)
            complete += not oracle.missing
            right += episode.answer in task.answers
        count = len(tasks)
        print(
            f"  {family}: {count} questions; gold pages found {found}/{pages} = {found / pages:.1%}; "
            f"every gold page {complete / count:.1%}; answered right {right / count:.1%}",
            flush=True,
        )
        env.close()


def main() -> None:
    """Read the arguments and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="a folder of pages and questions with supporting_pages")
    parser.add_argument("--split", default="train", choices=("train", "dev", "test"))
    parser.add_argument("--questions", type=int, default=500, help="of each Factbook family")
    parser.add_argument("--sandbox", default="box", choices=("box", "unboxed_unsafe"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["AEPO_CACHE"] = cache  # so that building is measured, whatever an earlier run left behind
        report_factbook(arguments.split, arguments.questions, arguments.sandbox)
        if arguments.folder:
            report_folder(arguments.folder)


if __name__ == "__main__":
    main()
