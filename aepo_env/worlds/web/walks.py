"""Random walks over a world's facts: the raw material of questions.

A walk starts at an entity that the question names and follows relations; every step has exactly one stated value.
"""

import random
from dataclasses import dataclass
from typing import Any

from aepo_env.worlds.web.graph import UNSTATED, Graph
from aepo_env.worlds.web.pages import article_address, bare_name
from aepo_env.worlds.web.phrases import CLUES
from aepo_env.worlds.web.relations import RELATIONS
from aepo_env.worlds.web.schema import Relation


class Unsuitable(Exception):
    """A draw that makes no good question (too easy to guess, ambiguous, facts missing): draw again."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A start and the relations followed from it.

    Attributes:
        mention: the start as the question says it ("Keld", "the Mira Tol whose trade is baker").
        start: what an oracle is told of the start: {"name": ..., "clue": [relation, value] or None}.
        relations: ids followed.
        entities: the start and every entity stepped on (the last value is not among them when it is no entity).
        value: the last value, UNSTATED for a walk of no steps.
    """

    mention: str
    start: dict[str, Any]
    relations: tuple[str, ...]
    entities: tuple[int, ...]
    value: int

    @property
    def end(self) -> int:
        """The last entity stepped on."""
        return self.entities[-1]

    def chain(self, nouns: list[str]) -> str:
        """ "mayor of the birthplace of Mira Tol": the relations, last first, and the mention."""
        return " of the ".join(reversed(nouns)) + " of " + self.mention if nouns else self.mention


class Walker:
    """Draws walks in one world."""

    def __init__(self, graph: Graph):
        self.graph = graph
        kinds = {RELATIONS[name].kind for name in graph.columns}
        self._kinds = [kind for kind in graph.kinds if kind in kinds]
        self._numeric_kinds = [
            kind
            for kind in self._kinds
            if any(RELATIONS[name].numeric and RELATIONS[name].kind == kind for name in graph.columns)
        ]

    def entity(self, rng: random.Random, *, numeric: bool = False) -> int:
        """An entity, every kind as likely as any other."""
        kinds = self._numeric_kinds if numeric else self._kinds
        if not kinds:
            raise Unsuitable
        return rng.choice(self.graph.kinds[rng.choice(kinds)])

    def walk(self, rng: random.Random, hops: int, *, to_entity: bool = False, start: int | None = None) -> Walk:
        """A walk of `hops` steps; with `to_entity` the last value is an entity too. Raises Unsuitable."""
        first = self.entity(rng) if start is None else start
        entities, relations, value = [first], [], UNSTATED
        for step in range(hops):
            is_last = step == hops - 1
            facts = [
                (one, fact)
                for one, fact in self.graph.facts(entities[-1])
                if one.leads_to_entity or (is_last and not to_entity)
            ]
            if not facts:
                raise Unsuitable
            relation, value = rng.choice(facts)
            relations.append(relation.id)
            if relation.leads_to_entity:
                if value in entities:
                    raise Unsuitable
                entities.append(value)
        mention, told = self._mention(rng, first, relations)
        return Walk(mention, told, tuple(relations), tuple(entities), value)

    def nouns(self, rng: random.Random, walk: Walk) -> list[str]:
        """One noun per relation of the walk."""
        return [self.noun(rng, RELATIONS[name]) for name in walk.relations]

    def noun(self, rng: random.Random, relation: Relation) -> str:
        """A noun for a relation, out of those the difficulty uses."""
        return rng.choice(relation.nouns[: self.graph.difficulty.nouns])

    def gold(self, *walks: Walk, ends: bool = False) -> list[str]:
        """Addresses of the articles that a solver has to see, in order; with `ends`, those the walks end at too."""
        entities = [entity for walk in walks for entity in walk.entities[: None if ends else len(walk.relations)]]
        return list(dict.fromkeys(article_address(self.graph, entity) for entity in entities))

    def _mention(self, rng: random.Random, entity: int, relations: list[str]) -> tuple[str, dict[str, Any]]:
        """How a question names an entity: by title, by its second name, or by an equal name and a further fact."""
        graph = self.graph
        title, name = graph.titles[entity], bare_name(graph, entity)
        if name != title:
            return self._clue(rng, entity, name, relations)
        if entity in graph.aliases and rng.random() < graph.difficulty.alias_starts:
            return graph.aliases[entity], {"name": graph.aliases[entity], "clue": None, "alias_of": title}
        return title, {"name": title, "clue": None}

    def _clue(self, rng: random.Random, entity: int, name: str, relations: list[str]) -> tuple[str, dict[str, Any]]:
        """A fact that only this bearer of the name has, and that the question does not ask for."""
        graph = self.graph
        facts = [(one, value) for one, value in graph.facts(entity) if one.id not in relations]
        rng.shuffle(facts)
        for relation, value in facts:
            others = [other for other in graph.same_name[name] if other != entity]
            if all(graph.value(other, relation.id) != value for other in others):
                text = graph.text(relation.id, value)
                phrase = rng.choice(CLUES).format(name=name, noun=self.noun(rng, relation), value=text)
                phrase = phrase if phrase.startswith("The ") else f"the {phrase}"
                return phrase, {"name": name, "clue": [relation.id, text]}
        raise Unsuitable
