"""What the generated encyclopaedia is about: kinds of entities, kinds of values, and the shape of a relation.

    KINDS["town"].share                    # how much of a world is towns
    Relation("town.mayor", "person", ...)  # every relation there is stands in `relations.RELATIONS`

A relation belongs to one kind of entity and leads to an entity, a year, a number or a common word. Each entity has at
most one value per relation, so that "the mayor of Keld" has one right answer. Left out: units, dates finer than a
year, relations with several values (those are read backwards, from list pages).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity.

    Attributes:
        noun, plural: as pages say it ("a town").
        share: its part of a world's articles (of those kinds that a difficulty uses).
        shorts: what an article calls its subject besides its name ("The town"); {last} is the name's last word.
        patterns: how names are made; {a} and {b} are generated name words, all else is shared by all worlds.
    """

    noun: str
    plural: str
    share: float
    shorts: tuple[str, ...]
    patterns: tuple[str, ...]


KINDS: dict[str, Kind] = {
    "person": Kind("person", "people", 0.34, ("{last}",), ("{a} {b}",)),
    "town": Kind("town", "towns", 0.16, ("The town", "The place"), ("{a}", "{a}", "Port {a}", "{a} Bay", "Upper {a}")),
    "region": Kind(
        "region", "regions", 0.03, ("The region",), ("{a} Province", "{a} March", "Vale of {a}", "{a} Lowlands")
    ),
    "company": Kind(
        "company",
        "companies",
        0.12,
        ("The company", "The firm"),
        ("{a} Works", "{a} Trust", "{a} Mill", "{a} & Sons", "{a} Foundry", "{a} and {b}"),
    ),
    "university": Kind(
        "university",
        "universities",
        0.06,
        ("The university", "The school"),
        ("University of {a}", "{a} College", "{a} Institute", "{a} Academy"),
    ),
    "film": Kind(
        "film",
        "films",
        0.10,
        ("The film", "The picture"),
        ("The {a} {b}", "The Return of {a}", "A Night in {a}", "{a} Rising", "The Last {a}", "Farewell to {a}"),
    ),
    "novel": Kind(
        "novel",
        "novels",
        0.11,
        ("The novel", "The book"),
        ("Letters from {a}", "The House of {a}", "{a} or {b}", "Songs of {a}", "The {a} Papers", "Beyond {a}"),
    ),
    "ship": Kind("ship", "ships", 0.08, ("The ship", "The vessel"), ("SS {a}", "SS {a} {b}", "MV {a}", "Star of {a}")),
}

_POOLS = {
    "profession": (
        "painter baker doctor singer sailor farmer poet judge weaver potter chemist dancer printer tailor miner "
        "botanist carpenter surveyor jeweller gardener cook fencer engraver clockmaker librarian geologist sculptor "
        "tanner violinist notary brewer glazier shepherd astronomer cooper translator saddler mason pilot drummer"
    ),
    "goods": (
        "glass clocks boats paper lamps tea steel wool cheese salt carpets candles honey soap ropes bricks barley "
        "leather silk copper tiles pottery cider linen needles pianos timber tobacco vinegar marble wine amber bells "
        "saddles buttons mustard umbrellas lace cement apples"
    ),
    "emblem": (
        "heron otter badger swan wolf stag lynx falcon beaver hare crane raven bear owl trout fox boar eagle marten "
        "salmon stork ibex viper bison pike moth hedgehog kestrel newt squirrel lark seal finch tortoise magpie goose "
        "weasel cuckoo dormouse plover"
    ),
}
WORDS: dict[str, tuple[str, ...]] = {name: tuple(words.split()) for name, words in _POOLS.items()}
"""Common words as values: the same in every world, so that an answer may be a word without any name in it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation: what it leads to, and every way pages and questions put it.

    Attributes:
        id: "kind.name".
        target: a kind of entity, "year", "number", or a key of WORDS.
        nouns: "the <noun> of <name>" in questions, commonest first.
        labels: heads of rows in infoboxes, tables and lists.
        sentences: prose, with {s} for the subject and {o} for the value, each exactly once.
        low, high: the range of a year or number.
        compare: predicates for the smaller and the larger value ("was founded earlier", "was founded later").
        members: "people born in {o}": the reverse as a list page and in counting questions; empty when there is none.
        skew: how unevenly values are dealt (1 = evenly); above 1 a few values have many members.
    """

    id: str
    target: str
    nouns: tuple[str, ...]
    labels: tuple[str, ...]
    sentences: tuple[str, ...]
    low: int = 0
    high: int = 0
    compare: tuple[str, str] = ("", "")
    members: str = ""
    skew: float = 1.0

    @property
    def kind(self) -> str:
        """The kind of entity that has this relation."""
        return self.id.split(".")[0]

    @property
    def leads_to_entity(self) -> bool:
        """Whether the value has a page of its own."""
        return self.target in KINDS

    @property
    def numeric(self) -> bool:
        """Whether the value is a year or a number."""
        return self.target in ("year", "number")
