"""The facts of one generated world: entities with names, and for each relation one column of values.

    graph = Graph.build(key="0/train/...", split="train", articles=2500, difficulty=PRESETS["medium"])
    graph.value(entity, "town.mayor")      # an entity, a year, a number, a word's place in its pool; or UNSTATED
    graph.text("town.mayor", value)        # as pages write it

An entity is a number; entities of one kind are consecutive. Everything is drawn from `key` alone. The graph is the only
thing held in memory (about 250 bytes an entity): pages are made from it one at a time.
"""

import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from aepo_env.worlds.web.difficulty import Difficulty
from aepo_env.worlds.web.names import MAX_SAME_NAME, Namer, numbered
from aepo_env.worlds.web.relations import RELATIONS, relations_of
from aepo_env.worlds.web.schema import KINDS, WORDS, Relation
from aepo_env.worlds.world import Split

UNSTATED = -1
FEWEST_ARTICLES = 24


@dataclass(slots=True)
class Graph:
    """Entities and facts. Built once, never changed.

    Attributes:
        key: what everything was drawn from.
        kinds: the kinds in use with their first entity and the one after their last.
        titles: per entity, unique.
        aliases: second names by entity.
        same_name: entities by the bare name that several of them have ("Mira Keld" -> two or more).
        namesake: entities that have a near-namesake of any sort.
        columns: relation id -> values of that relation's kind, in the order of its entities.
    """

    key: str
    difficulty: Difficulty
    kinds: dict[str, range] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)
    aliases: dict[int, str] = field(default_factory=dict)
    same_name: dict[str, list[int]] = field(default_factory=dict)
    namesake: set[int] = field(default_factory=set)
    columns: dict[str, "array[int]"] = field(default_factory=dict)

    @classmethod
    def build(cls, *, key: str, split: Split, articles: int, difficulty: Difficulty) -> "Graph":
        """Draw a world of `articles` entities. Raises ValueError when there are too few for every kind."""
        if articles < FEWEST_ARTICLES:
            raise ValueError(f"Expected at least {FEWEST_ARTICLES} pages, got {articles}.")
        graph = cls(key, difficulty)
        start = 0
        for kind, size in _sizes(difficulty.kinds, articles).items():
            graph.kinds[kind] = range(start, start + size)
            start += size
        _name_all(graph, Namer(random.Random(f"{key}/names"), split, difficulty))
        for name in difficulty.used_relations():
            graph.columns[name] = _column(graph, RELATIONS[name], random.Random(f"{key}/{name}"))
        _settle_capitals(graph)
        _leave_out_facts(graph, random.Random(f"{key}/facts"))
        return graph

    def kind_of(self, entity: int) -> str:
        """The kind of an entity."""
        return next(kind for kind, members in self.kinds.items() if entity in members)

    def value(self, entity: int, relation: str) -> int:
        """The value, or UNSTATED when no page says it. Raises KeyError for a relation this world does not use."""
        return self.columns[relation][entity - self.kinds[RELATIONS[relation].kind].start]

    def text(self, relation: str, value: int) -> str:
        """A value as pages write it, numbers without separators."""
        target = RELATIONS[relation].target
        if target in KINDS:
            return self.titles[value]
        return WORDS[target][value] if target in WORDS else str(value)

    def facts(self, entity: int) -> list[tuple[Relation, int]]:
        """The stated facts of an entity, in the table's order."""
        known = [one for one in relations_of(self.kind_of(entity)) if one.id in self.columns]
        return [(one, value) for one in known if (value := self.value(entity, one.id)) != UNSTATED]

    def groups(self, relation: str) -> dict[int, list[int]]:
        """Who has which value: value -> entities, for one relation. Built anew at each call."""
        members: dict[int, list[int]] = {}
        for entity in self.kinds[RELATIONS[relation].kind]:
            value = self.value(entity, relation)
            if value != UNSTATED:
                members.setdefault(value, []).append(entity)
        return members

    def listed(self) -> Iterator[tuple[Relation, int, list[int]]]:
        """Every group that has a list page: relation, value, members (2 to `list_limit`)."""
        for name in self.columns:
            if self.difficulty.lists and RELATIONS[name].members:
                for value, members in sorted(self.groups(name).items()):
                    if 2 <= len(members) <= self.difficulty.list_limit:
                        yield RELATIONS[name], value, members


def _sizes(kinds: tuple[str, ...], articles: int) -> dict[str, int]:
    """Entities per kind by their shares, at least two of each, `articles` in all."""
    total = sum(KINDS[kind].share for kind in kinds)
    sizes = {kind: max(2, int(articles * KINDS[kind].share / total)) for kind in kinds}
    largest = max(sizes, key=lambda kind: sizes[kind])
    sizes[largest] += articles - sum(sizes.values())
    return sizes


def _name_all(graph: Graph, namer: Namer) -> None:
    """Give every entity a title; some are made as namesakes of an earlier one of their kind."""
    rng = random.Random(f"{graph.key}/namesakes")
    bare: list[str] = []  # names before equal ones were numbered
    # A namesake makes two entities alike, so about half the wanted share is enough; chains make it less than two each.
    chance = graph.difficulty.namesakes * 0.7
    for kind, members in graph.kinds.items():
        for entity in members:
            title = None
            if entity > members.start and rng.random() < chance:
                model = rng.randrange(members.start, entity)
                way = rng.choice(graph.difficulty.namesake_ways)
                if way == "same":
                    title = _same_name(graph, namer, bare[model], model, entity)
                else:
                    title = namer.namesake(bare[model], kind, way)
                if title is not None:
                    graph.namesake.update((model, entity))
                    bare.append(bare[model] if way == "same" else title)
            if title is None:
                title = namer.title(kind)
                bare.append(title)
            graph.titles.append(title)
            if rng.random() < graph.difficulty.aliases:
                graph.aliases[entity] = namer.plain_word()


def _same_name(graph: Graph, namer: Namer, name: str, model: int, entity: int) -> str | None:
    """Number the model and its new equal; None when there are too many of that name, or the number is taken."""
    bearers = graph.same_name.get(name, [model])
    if len(bearers) >= MAX_SAME_NAME or not namer.take(numbered(name, len(bearers))):
        return None
    graph.same_name[name] = bearers
    bearers.append(entity)
    graph.titles[model] = numbered(name, bearers.index(model))
    return numbered(name, len(bearers) - 1)


def _column(graph: Graph, relation: Relation, rng: random.Random) -> "array[int]":
    """Values of one relation for all entities of its kind."""
    column = array("q")
    for entity in graph.kinds[relation.kind]:
        if relation.target in KINDS:
            pool = graph.kinds[relation.target]
            value = entity
            while value == entity:  # nobody is their own mentor
                value = pool.start + int(len(pool) * rng.random() ** relation.skew)
        elif relation.target in WORDS:
            value = rng.randrange(graph.difficulty.words)
        elif relation.target == "year":
            value = rng.randint(relation.low, relation.high)
        else:
            # Log-uniform: a town of a thousand is as likely as one of a hundred thousand.
            value = min(relation.high, int(relation.low * (relation.high / relation.low) ** rng.random()))
        column.append(value)
    return column


def _settle_capitals(graph: Graph) -> None:
    """A region's capital lies in that region: its choice of region gives way."""
    capitals, regions = graph.columns.get("region.capital"), graph.columns.get("town.region")
    if capitals is None or regions is None:
        return
    towns = graph.kinds["town"]
    chosen = random.Random(f"{graph.key}/capitals").sample(towns, min(len(towns), len(capitals)))
    for place, region in enumerate(graph.kinds["region"]):
        town = chosen[place % len(chosen)]
        capitals[place] = town
        regions[town - towns.start] = region


def _leave_out_facts(graph: Graph, rng: random.Random) -> None:
    """Keep at most `facts_per_page` facts of each entity."""
    for kind, members in graph.kinds.items():
        names = [one.id for one in relations_of(kind) if one.id in graph.columns]
        surplus = len(names) - graph.difficulty.facts_per_page
        if surplus > 0:
            for place in range(len(members)):
                for name in rng.sample(names, surplus):
                    graph.columns[name][place] = UNSTATED
