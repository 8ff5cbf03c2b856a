"""Pages of a generated world: articles, list pages, pages for equal names, redirects; made one at a time.

    for page in pages(graph, split="train"):      # aepo_env.corpus.Page, in a fixed order
        ...
    article_address(graph, entity)

An article's layout, order of facts and wordings are drawn per page. Each stated fact stands on its article exactly
once. Left out: pictures, categories as boxes, talk pages.
"""

import random
from collections.abc import Iterator

from aepo_env.corpus import Page
from aepo_env.worlds.web.graph import Graph
from aepo_env.worlds.web.markup import Anchor, Block, Bullets, Facts, Heading, Inline, Paragraph, text_of
from aepo_env.worlds.web.names import name_word, slug
from aepo_env.worlds.web.schema import KINDS, WORDS, Relation
from aepo_env.worlds.web.skeleton import document
from aepo_env.worlds.world import Split

SITE = "https://atlas.example"

DISTRACTORS = (
    "A longer account of {s} is kept in the city archive.",
    "Not every detail about {s} has been confirmed.",
    "Older sources spell the name of {s} in several ways.",
    "Much of what is told about {s} cannot be proved.",
    "{s} has been the subject of a travelling exhibition.",
    "Postcards of {s} are sought after by collectors.",
    "{s} is sometimes mentioned together with {x}.",
    "{s} should not be confused with {x}.",
    "Readers who like {s} often look up {x} as well.",
    "A song about {s} was popular for a while.",
    "Some letters about {s} were lost in a fire.",
    "A radio programme once spent an hour on {s}.",
    "The entry on {s} in older editions is much shorter.",
    "A street in {x} is said to recall {s}.",
    "Schoolbooks mention {s} only in passing.",
)
"""Sentences that state nothing one could ask about; {x} is another entity."""

_DEAD_LINKS = ("An essay called {x} treats {s} at length.", "See also the collection {x}.", "More is found under {x}.")
_INTRODUCTIONS = ("{s} is a {k}.", "{s} is a {k} of some note.", "This article is about {s}, a {k}.")


def article_address(graph: Graph, entity: int) -> str:
    """Where the article about an entity stands."""
    return f"{SITE}/{graph.kind_of(entity)}/{slug(graph.titles[entity])}"


def list_title(graph: Graph, relation: Relation, value: int) -> str:
    """The title of the list page of all entities that have this value: "People born in Keld"."""
    title = relation.members.format(o=graph.text(relation.id, value))
    return title[0].upper() + title[1:]


def list_address(graph: Graph, relation: Relation, value: int) -> str:
    """Where that list page stands."""
    return f"{SITE}/list/{slug(list_title(graph, relation, value))}"


def name_address(name: str) -> str:
    """Where the page stands that lists all bearers of one name."""
    return f"{SITE}/name/{slug(name)}"


def pages(graph: Graph, split: Split) -> Iterator[Page]:
    """Every page of the world; the order and each page are the same in every process."""
    for entity in range(len(graph.titles)):
        yield _page(article_address(graph, entity), graph.titles[entity], article(graph, split, entity), graph)
        if entity in graph.aliases:
            alias = graph.aliases[entity]
            yield Page(_alias_address(alias), alias, redirect=article_address(graph, entity))
    for relation, value, members in graph.listed():
        title = list_title(graph, relation, value)
        yield _page(list_address(graph, relation, value), title, _list_page(graph, title, relation, members), graph)
    for name, bearers in graph.same_name.items():
        yield _page(name_address(name), name, _name_page(graph, name, bearers), graph)


def _page(address: str, title: str, blocks: list[Block], graph: Graph) -> Page:
    html = document(title, blocks, clutter=graph.difficulty.clutter)
    return Page(address, title, html=html, text=text_of(blocks))


def _alias_address(alias: str) -> str:
    return f"{SITE}/also/{slug(alias)}"


def bare_name(graph: Graph, entity: int) -> str:
    """The name without the numeral that keeps equal names apart."""
    title = graph.titles[entity]
    name = title.rpartition(" (")[0]
    return name if name in graph.same_name else title


def article(graph: Graph, split: Split, entity: int) -> list[Block]:
    """The article about one entity, as blocks."""
    rng = random.Random(f"{graph.key}/page/{entity}")
    writer = _Writer(graph, rng, entity)
    layout = rng.choice(graph.difficulty.layouts)
    facts = graph.facts(entity)
    rng.shuffle(facts)
    in_rows = {"prose": 0, "infobox": (len(facts) + 1) // 2}.get(layout, len(facts))
    rows = [writer.row(relation, value) for relation, value in facts[:in_rows]]
    prose = [writer.introduction(), *(writer.fact(relation, value) for relation, value in facts[in_rows:])]

    blocks: list[Block] = [Heading(graph.titles[entity])]
    if layout == "infobox" and rows:
        blocks.append(Facts(rows))
    blocks.extend(_paragraphs(prose, rng))
    if layout == "table" and rows:
        blocks += [Heading("Overview", 2), Facts(rows, rng.choice((("Entry", "Details"), ("Property", "Value"))))]
    if layout == "list" and rows:
        blocks += [Heading("At a glance", 2), Bullets([(f"{label}: ", *value) for label, value in rows])]
    asides = writer.asides(split)
    if asides:
        blocks += [Heading("Notes", 2), *_paragraphs(asides, rng)]
    return blocks


def _paragraphs(sentences: list[Inline], rng: random.Random) -> list[Block]:
    """Sentences in one paragraph, or two when there are many."""
    cut = rng.randrange(2, len(sentences) - 1) if len(sentences) > 4 else len(sentences)
    return [Paragraph(_joined(part)) for part in (sentences[:cut], sentences[cut:]) if part]


def _joined(sentences: list[Inline]) -> Inline:
    return [part for index, sentence in enumerate(sentences) for part in ((" ",) if index else ()) + tuple(sentence)]


class _Writer:
    """Puts facts of one article into words, with the page's own random stream."""

    def __init__(self, graph: Graph, rng: random.Random, entity: int):
        self._graph = graph
        self._rng = rng
        self._entity = entity
        self._kind = graph.kind_of(entity)
        self._name = bare_name(graph, entity)
        self._grouped = graph.difficulty.grouped_numbers and rng.random() < 0.5

    def introduction(self) -> Inline:
        """The first sentence, with the second name if there is one."""
        introductions = _INTRODUCTIONS if self._graph.difficulty.wordings > 2 else _INTRODUCTIONS[:1]
        alias = self._graph.aliases.get(self._entity)
        subject = f"{self._name}, also called {alias}," if alias else self._name
        template = introductions[0] if alias else self._rng.choice(introductions)
        return (template.format(s=subject, k=KINDS[self._kind].noun),)

    def fact(self, relation: Relation, value: int) -> Inline:
        """One fact as a sentence about the article's subject."""
        return self._sentence(relation, value, self._subject())

    def row(self, relation: Relation, value: int) -> tuple[str, Inline]:
        """One fact as label and value."""
        label = self._rng.choice(relation.labels[: self._graph.difficulty.wordings])
        return label, (self._value(relation, value),)

    def asides(self, split: Split) -> list[Inline]:
        """Sentences that do not state a fact of the subject, in random order."""
        rng, settings = self._rng, self._graph.difficulty
        sentences = [
            fill(template, self._name, self._link(rng.randrange(len(self._graph.titles))))
            for template in rng.sample(DISTRACTORS, min(settings.distractors, len(DISTRACTORS)))
        ]
        if rng.random() < settings.dead_links:
            name = f"{name_word(rng, split, 2)} {name_word(rng, split, 3)}"
            sentences.append(fill(rng.choice(_DEAD_LINKS), self._name, Anchor(name, f"/archive/{slug(name)}")))
        for _ in range(settings.neighbour_facts):
            neighbour = rng.choice(self._graph.kinds[self._kind])
            facts = self._graph.facts(neighbour)
            if neighbour != self._entity and facts:
                sentences.append(self._sentence(*rng.choice(facts), self._graph.titles[neighbour]))
        rng.shuffle(sentences)
        return sentences

    def _sentence(self, relation: Relation, value: int, subject: str) -> Inline:
        template = self._rng.choice(relation.sentences[: self._graph.difficulty.wordings])
        return fill(template, subject, self._value(relation, value))

    def _subject(self) -> str:
        """The subject's name, or what articles call it for short."""
        if not self._graph.difficulty.short_subjects or self._rng.random() < 0.6:
            return self._name
        return self._rng.choice(short_subjects(self._kind, self._name))

    def _value(self, relation: Relation, value: int) -> str | Anchor:
        if relation.leads_to_entity:
            return self._link(value)
        if relation.target in WORDS:
            return self._graph.text(relation.id, value)
        return f"{value:,}" if self._grouped and relation.target == "number" else str(value)

    def _link(self, target: int) -> Anchor:
        """A link to an article: relative in one of three ways, or through its redirect."""
        graph, rng = self._graph, self._rng
        kind, name = graph.kind_of(target), slug(graph.titles[target])
        if target in graph.aliases and rng.random() < 0.5:
            href = f"/also/{slug(graph.aliases[target])}"
        elif kind == self._kind and rng.random() < 0.5:
            href = name
        else:
            href = rng.choice(("..", "")) + f"/{kind}/{name}"
        return Anchor(graph.titles[target], href)


def short_subjects(kind: str, name: str) -> tuple[str, ...]:
    """What an article calls its subject besides its name: "The town", a surname."""
    return tuple(short.format(last=name.split()[-1]) for short in KINDS[kind].shorts)


def fill(template: str, subject: str, value: str | Anchor) -> Inline:
    """A sentence from a template with {s} for the subject and {o} or {x} for the value, which may be a link."""
    is_short = subject.startswith("The ") and subject.count(" ") == 1  # "The town"; titles have more words
    if is_short and not template.startswith("{s}"):
        subject = subject[0].lower() + subject[1:]
    text = value.text if isinstance(value, Anchor) else value
    if text[0] in "aeiou":
        template = template.replace(" a {o}", " an {o}").replace("A {o}", "An {o}")
    before, mark, after = template.replace("{x}", "{o}").replace("{s}", subject).partition("{o}")
    return (before, value, after) if mark else (before,)


def _list_page(graph: Graph, title: str, relation: Relation, members: list[int]) -> list[Block]:
    rng = random.Random(f"{graph.key}/list/{title}")
    order = rng.sample(members, len(members))
    entries = [Anchor(graph.titles[member], f"../{relation.kind}/{slug(graph.titles[member])}") for member in order]
    introduction = Paragraph(("This list names all " + title[0].lower() + title[1:] + ".",))
    if rng.random() < 0.5:
        return [Heading(title), introduction, Bullets([(entry,) for entry in entries])]
    rows = [(str(number), (entry,)) for number, entry in enumerate(entries, 1)]
    return [Heading(title), introduction, Facts(rows, ("No.", "Name"))]


def _name_page(graph: Graph, name: str, bearers: list[int]) -> list[Block]:
    entries = [
        (Anchor(graph.titles[one], f"../{graph.kind_of(one)}/{slug(graph.titles[one])}"),) for one in sorted(bearers)
    ]
    return [Heading(name), Paragraph((f"The name {name} may mean:",)), Bullets(entries)]
