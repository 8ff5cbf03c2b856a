"""Questions about a generated world, made one at a time from its facts.

    tasks = WebTasks(graph, count=100_000)
    tasks[17]                               # depends on the world's key, the difficulty and 17 only

`task.metadata` holds the plan an oracle follows, the addresses of the pages that prove the answer, and the answer's
kind. Every question has one right answer, no answer stands in its question, and none is a name borne by two entities.
Left out: questions that no page answers.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple, overload

from aepo_env.tasks import Task
from aepo_env.worlds.web.graph import Graph
from aepo_env.worlds.web.pages import bare_name, list_address
from aepo_env.worlds.web.phrases import ARITHMETIC, COMPARISON, COUNTING, LOOKUP
from aepo_env.worlds.web.relations import RELATIONS
from aepo_env.worlds.web.schema import KINDS, WORDS, Relation
from aepo_env.worlds.web.walks import Unsuitable, Walk, Walker

_MOST_STEPS = 4  # pages an arithmetic question needs: a solver with a dozen tool calls must be able to open each
_NAMED_GROUPS = 0.85  # share of counting questions about an entity ("towns in Keld March"), the rest about a word
_SIZE_POWER = 0.3  # how much oftener a common size of group is asked for than a rare one: 0 not at all, 1 by its share
_TRIES = 400  # draws per question before another family takes its place


class _Draft(NamedTuple):
    """A question before it becomes a task."""

    question: str
    answers: tuple[str, ...]
    kind: str
    plan: dict[str, Any]
    gold: list[str]


class WebTasks(Sequence[Task]):
    """Tasks of one world, made when asked for."""

    def __init__(self, graph: Graph, *, count: int, name: str):
        """`name` begins every task's id."""
        self._graph = graph
        self._count = count
        self._name = name
        self._walker = Walker(graph)

    def of_families(self, families: Sequence[str]) -> "WebTasks":
        """The same world's tasks of these families ("web/2-hop") alone, in the shares they have among each other.

        Raises ValueError for a family the difficulty does not have.
        """
        known = [f"web/{family}" for family, weight in self._graph.difficulty.mix if weight]
        if not families or set(families) - set(known):
            raise ValueError(f"Expected families out of {', '.join(known)}, got {', '.join(families) or 'none'}.")
        mix = tuple((family, weight) for family, weight in self._graph.difficulty.mix if f"web/{family}" in families)
        graph = replace(self._graph, difficulty=replace(self._graph.difficulty, mix=mix))
        return WebTasks(graph, count=self._count, name=f"{self._name}/{'+'.join(family for family, _ in mix)}")

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        """Task `index`. Raises IndexError past the end."""
        if isinstance(index, slice):
            return [self._make(place) for place in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(f"Expected a task below {self._count}, got {index}.")
        return self._make(index % self._count)

    def __iter__(self) -> Iterator[Task]:
        return (self._make(index) for index in range(self._count))

    def _make(self, index: int) -> Task:
        rng = random.Random(f"{self._graph.key}/task/{index}")
        families, weights = zip(*self._graph.difficulty.mix, strict=True)
        drawn = rng.choices(families, weights)[0]
        # A small or odd world may have no question of the drawn family: then the next one that it has.
        for family in (drawn, *(one for one, weight in self._graph.difficulty.mix if weight and one != drawn)):
            for _ in range(_TRIES):
                try:
                    draft = self._draft(family, rng)
                except Unsuitable:
                    continue
                metadata = {"plan": draft.plan, "gold": draft.gold, "answer_kind": draft.kind}
                return Task(f"{self._name}/{index}", draft.question, draft.answers, f"web/{family}", metadata)
        raise ValueError("This world has no question of any wanted family: use more pages, relations or families.")

    def _draft(self, family: str, rng: random.Random) -> _Draft:
        makers: dict[str, Callable[[random.Random], _Draft]] = {
            "comparison": self._comparison,
            "counting": self._counting,
            "arithmetic": self._arithmetic,
        }
        draft = makers[family](rng) if family in makers else self._lookup(rng, int(family[0]))
        if any(answer.lower() in draft.question.lower() for answer in draft.answers):
            raise Unsuitable
        return draft

    def _lookup(self, rng: random.Random, hops: int) -> _Draft:
        """What is the R of the R of X?"""
        walk = self._walker.walk(rng, hops)
        relation = RELATIONS[walk.relations[-1]]
        answers = self._answers(relation, walk.value)
        shortcuts = {self._graph.text(one.id, value) for one, value in self._graph.facts(walk.entities[0])}
        if hops > 1 and answers[0] in shortcuts:  # the answer would stand on the first page already
            raise Unsuitable
        question = self._form(rng, LOOKUP).format(chain=walk.chain(self._walker.nouns(rng, walk)))
        plan = {"operation": "lookup", "walks": [_told(walk)]}
        return _Draft(question, answers, _answer_kind(relation), plan, self._walker.gold(walk))

    def _comparison(self, rng: random.Random) -> _Draft:
        """A further fact of whichever of two entities has more of something."""
        walks = self._two_of_a_kind(rng)
        kind = self._graph.kind_of(walks[0].end)
        facts = [{one.id: value for one, value in self._graph.facts(walk.end)} for walk in walks]
        common = [RELATIONS[name] for name in facts[0] if name in facts[1]]
        measures = [one for one in common if one.numeric and facts[0][one.id] != facts[1][one.id]]
        if not measures or len(common) < 2:
            raise Unsuitable
        measure = rng.choice(measures)
        asked = rng.choice([one for one in common if one is not measure])
        if self._graph.text(asked.id, facts[0][asked.id]) == self._graph.text(asked.id, facts[1][asked.id]):
            raise Unsuitable  # a coin would do
        largest = rng.random() < 0.5
        winner = max((0, 1), key=lambda side: facts[side][measure.id] * (1 if largest else -1))
        names = [self._reference(rng, walk) for walk in walks]
        question = self._form(rng, COMPARISON).format(
            a=names[0], b=names[1], kind=KINDS[kind].noun, kinds=KINDS[kind].plural,
            compare=measure.compare[largest], noun=self._walker.noun(rng, asked),
        )  # fmt: skip
        answers = self._answers(asked, facts[winner][asked.id])
        told = [_told(walk) | {"measure": measure.id} for walk in walks]
        plan = {"operation": "largest" if largest else "smallest", "walks": told, "asked": asked.id}
        return _Draft(question, answers, _answer_kind(asked), plan, self._walker.gold(*walks, ends=True))

    def _counting(self, rng: random.Random) -> _Draft:
        """How many entities have one value: the length of a list page."""
        relation, value, members = self._group(rng)
        plan: dict[str, Any] = {"operation": "count", "list": relation.id, "walks": [], "word": ""}
        gold = [list_address(self._graph, relation, value)]
        if relation.leads_to_entity:
            hops = rng.randint(0, self._graph.difficulty.reference_hops)
            walk = self._walk_to(rng, value) if hops else self._walker.walk(rng, 0, start=value)
            described = self._reference(rng, walk)
            plan["walks"] = [_told(walk)]
            gold = [*self._walker.gold(walk), *gold]
        else:
            described = plan["word"] = self._graph.text(relation.id, value)
        question = self._form(rng, COUNTING).format(members=relation.members.format(o=described))
        return _Draft(question, (str(len(members)),), "count", plan, gold)

    def _arithmetic(self, rng: random.Random) -> _Draft:
        """A calculation with two or three numbers read from pages."""
        operations = [
            name
            for name, (expression, _) in ARITHMETIC.items()
            if self._graph.difficulty.terms > 2 or "{z}" not in expression
        ]
        operation = rng.choice(operations)
        expression, forms = ARITHMETIC[operation]
        use_years = operation == "difference" and rng.random() < 0.5
        terms = [self._number(rng, use_years) for _ in range(3 if "{z}" in expression else 2)]
        is_repeated = len({walk.end for walk in terms}) < len(terms)
        clues = sum(walk.start["clue"] is not None for walk in terms)
        if is_repeated or clues > 1 or sum(len(walk.relations) for walk in terms) > _MOST_STEPS:
            raise Unsuitable
        values = dict(zip("xyz", (walk.value for walk in terms), strict=False))
        result = _calculate(operation, values)
        if result < 10:  # small results could be guessed
            raise Unsuitable
        described = {
            letter: "the " + walk.chain(self._walker.nouns(rng, walk))
            for letter, walk in zip("xyz", terms, strict=False)
        }
        question = self._form(rng, forms).format(**described)
        question = question[0].upper() + question[1:]
        plan = {"operation": operation, "expression": expression, "walks": [_told(walk) for walk in terms]}
        return _Draft(question, (str(result),), "number", plan, self._walker.gold(*terms))

    def _number(self, rng: random.Random, use_years: bool) -> Walk:
        """A walk that ends in a year, or in a number."""
        target = "year" if use_years else "number"
        for _ in range(20):  # here, not by drawing the whole question again: most walks end elsewhere
            walk = self._walker.walk(rng, 1 + rng.randint(0, self._graph.difficulty.reference_hops))
            if RELATIONS[walk.relations[-1]].target == target:
                return walk
        raise Unsuitable

    def _two_of_a_kind(self, rng: random.Random) -> list[Walk]:
        """Walks to two different entities of one kind that has numbers."""
        hops = self._graph.difficulty.reference_hops
        first = self._walker.walk(rng, hops, to_entity=True, start=None if hops else self._start_with_number(rng))
        kind = self._graph.kind_of(first.end)
        for _ in range(50):
            start = None if hops else rng.choice(self._graph.kinds[kind])
            second = self._walker.walk(rng, hops, to_entity=True, start=start)
            is_clued_twice = first.start["clue"] is not None and second.start["clue"] is not None
            if self._graph.kind_of(second.end) == kind and second.end != first.end and not is_clued_twice:
                return [first, second]
        raise Unsuitable

    def _start_with_number(self, rng: random.Random) -> int:
        return self._walker.entity(rng, numeric=True)

    def _walk_to(self, rng: random.Random, target: int) -> Walk:
        """A walk of one step that ends at `target`. Raises Unsuitable when none is found soon."""
        names = [name for name in self._graph.columns if RELATIONS[name].target == self._graph.kind_of(target)]
        rng.shuffle(names)
        for name in names:
            for _ in range(50):
                start = rng.choice(self._graph.kinds[RELATIONS[name].kind])
                if self._graph.value(start, name) == target:
                    walk = self._walker.walk(rng, 1, to_entity=True, start=start)
                    if walk.end == target:
                        return walk
        raise Unsuitable

    @cached_property
    def _groups(self) -> dict[bool, dict[int, list[tuple[Relation, int, list[int]]]]]:
        """Groups with a list page: whether the value is an entity (else a word) -> size -> groups."""
        groups: dict[bool, dict[int, list[tuple[Relation, int, list[int]]]]] = {}
        for group in self._graph.listed():
            groups.setdefault(group[0].leads_to_entity, {}).setdefault(len(group[2]), []).append(group)
        return groups

    def _group(self, rng: random.Random) -> tuple[Relation, int, list[int]]:
        """A group with a list page, of a size drawn nearly evenly."""
        # There are few groups by words ("towns whose main export is tea"): asked often, they would be learnt by heart.
        by_size = self._groups.get(rng.random() < _NAMED_GROUPS)
        if not by_size:
            raise Unsuitable
        # By number of groups nearly every answer would be 2 or 3; evenly, a few large groups would be asked for ever.
        sizes = sorted(by_size)
        size = rng.choices(sizes, [len(by_size[size]) ** _SIZE_POWER for size in sizes])[0]
        return rng.choice(by_size[size])

    def _reference(self, rng: random.Random, walk: Walk) -> str:
        """The entity a walk ends at, in words: "Keld" or "the birthplace of Mira Tol"."""
        nouns = self._walker.nouns(rng, walk)
        return "the " + walk.chain(nouns) if nouns else walk.mention

    def _form(self, rng: random.Random, forms: tuple[str, ...]) -> str:
        return rng.choice(forms[: self._graph.difficulty.question_wordings])

    def _answers(self, relation: Relation, value: int) -> tuple[str, ...]:
        """Every accepted way to write a value."""
        text = self._graph.text(relation.id, value)
        if relation.leads_to_entity:
            if bare_name(self._graph, value) != text:
                raise Unsuitable  # two entities bear this name
            return (text, self._graph.aliases[value]) if value in self._graph.aliases else (text,)
        grouped = f"{value:,}"
        return (text, grouped) if relation.target == "number" and grouped != text else (text,)


def _told(walk: Walk) -> dict[str, Any]:
    """A walk as an oracle is told it: where to start and which relations to follow."""
    return {"start": walk.start, "relations": list(walk.relations)}


def _answer_kind(relation: Relation) -> str:
    return "word" if relation.target in WORDS else relation.target


def _calculate(operation: str, values: dict[str, int]) -> int:
    """The result of an arithmetic question."""
    x, y, z = values["x"], values["y"], values.get("z", 1)
    results: dict[str, Callable[[], int]] = {
        "sum": lambda: x + y,
        "difference": lambda: abs(x - y),
        "product": lambda: x * y,
        "product minus": lambda: x * y - z,
        "remainder": lambda: x * y % z,
    }
    return results[operation]()
