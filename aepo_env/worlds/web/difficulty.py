"""The dial of the generated web: every setting from what a tiny model can learn to what a strong one does not saturate.

    generated_web(difficulty="easy")                                        # a preset by name
    generated_web(difficulty=replace(PRESETS["medium"], distractors=6))     # dataclasses.replace: one setting changed

Presets: "tiny" is for a model of about a million parameters with a thousand tokens of context (pages of 45-60 tokens,
one layout, twelve relations, 1-3 hops, and differences of two years, so that some questions need python); "easy" has
every kind of entity and family on short, plain pages; "medium" is an ordinary web; "hard" has long pages that also
state facts of others, exact namesakes, other names, more steps.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from aepo_env.worlds.web.relations import RELATIONS
from aepo_env.worlds.web.schema import KINDS

FAMILIES = ("1-hop", "2-hop", "3-hop", "4-hop", "comparison", "counting", "arithmetic")
LAYOUTS = ("prose", "infobox", "table", "list")
_QUESTION_SETTINGS = ("mix", "question_wordings", "nouns", "reference_hops", "terms", "alias_starts")
NAMESAKES = ("shared word", "letter", "of", "number", "same")


@dataclass(frozen=True, slots=True)
class Difficulty:
    """All settings of a world. The first group shapes pages, the second questions.

    Attributes:
        kinds: kinds of entities; more kinds mean more sorts of pages to tell apart.
        relations: ids of the relations in use; more relations mean more wordings to know. Empty means all of `kinds`.
        facts_per_page: at most so many facts stand on one article; longer pages need more reading.
        layouts: out of "prose", "infobox", "table", "list", one drawn per article.
        wordings: how many of a relation's sentences (and labels) pages use; 1 is a fixed phrase.
        short_subjects: whether sentences may say "The town" or a surname for the article's subject.
        distractors: sentences per article that state nothing one could ask about.
        neighbour_facts: sentences per article that state a true fact of *another* entity.
        clutter: navigation, banners, scripts, footers round the article.
        dead_links: share of articles with a link to a page that does not exist.
        aliases: share of entities with a second name, which is a redirect and stands on the article.
        namesakes: share of entities that have a near-namesake.
        namesake_ways: how these come about: "shared word" (a surname), "letter" (one letter off), "of" (Keld of Merin),
            "number" (Keld II), "same" (equal names; only further facts tell them apart).
        syllables: fewest and most syllables of a name word; long names are harder to copy.
        name_patterns: how many of a kind's name patterns are used; 1 is "{a}", "{a} {b}", "{a} Works", ...
        words: how many common words each word relation chooses from (at most 40).
        grouped_numbers: whether some pages write 12,345 for 12345.
        lists: whether there are list pages ("People born in Keld"); counting questions need them.
        list_limit: longest list that gets a page.
        mix: weights of the question families.
        question_wordings: how many of the wordings of each question form are used (at most 6).
        nouns: how many nouns per relation questions use ("birthplace", "place of birth", "home town").
        reference_hops: comparison names its two entities through so many hops ("the birthplace of ..."), counting and
            arithmetic through up to so many; 0 names them directly.
        terms: how many numbers an arithmetic question combines, at most 3.
        alias_starts: share of questions that call an entity with a second name by that name.
    """

    kinds: tuple[str, ...] = tuple(KINDS)
    relations: tuple[str, ...] = ()
    facts_per_page: int = 6
    layouts: tuple[str, ...] = LAYOUTS
    wordings: int = 6
    short_subjects: bool = True
    distractors: int = 3
    neighbour_facts: int = 0
    clutter: bool = True
    dead_links: float = 0.2
    aliases: float = 0.1
    namesakes: float = 0.3
    namesake_ways: tuple[str, ...] = NAMESAKES
    syllables: tuple[int, int] = (2, 3)
    name_patterns: int = 6
    words: int = 40
    grouped_numbers: bool = False
    lists: bool = True
    list_limit: int = 40
    mix: tuple[tuple[str, float], ...] = (
        ("1-hop", 0.10), ("2-hop", 0.30), ("3-hop", 0.20), ("4-hop", 0.05),
        ("comparison", 0.15), ("counting", 0.10), ("arithmetic", 0.10),
    )  # fmt: skip
    question_wordings: int = 6
    nouns: int = 3
    reference_hops: int = 1
    terms: int = 2
    alias_starts: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no world can be made of, in words."""
        _check_names("kinds", self.kinds, tuple(KINDS))
        _check_names("relations", self.relations, tuple(RELATIONS), may_be_empty=True)
        _check_names("layouts", self.layouts, LAYOUTS)
        _check_names("namesake_ways", self.namesake_ways, NAMESAKES)
        _check_names("mix", tuple(family for family, _ in self.mix), FAMILIES)
        if any(weight < 0 for _, weight in self.mix) or sum(weight for _, weight in self.mix) <= 0:
            raise ValueError(f"Expected mix weights of at least 0, not all 0, got {self.mix}.")
        for name in ("facts_per_page", "wordings", "name_patterns", "question_wordings", "nouns", "terms"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} of at least 1, got {getattr(self, name)}.")
        if not 1 <= self.syllables[0] <= self.syllables[1] <= 6:
            raise ValueError(f"Expected syllables as (fewest, most) between 1 and 6, got {self.syllables}.")
        if not 4 <= self.words <= 40:
            raise ValueError(f"Expected words between 4 and 40, got {self.words}.")
        for relation in self.used_relations():
            target = RELATIONS[relation].target
            if RELATIONS[relation].leads_to_entity and target not in self.kinds:
                raise ValueError(f"Relation {relation} leads to kind {target!r}: add that kind or drop the relation.")

    def used_relations(self) -> tuple[str, ...]:
        """Ids of the relations pages state: those asked for, or all that stay within `kinds`."""
        wanted = self.relations or tuple(
            name for name, one in RELATIONS.items() if not one.leads_to_entity or one.target in self.kinds
        )
        return tuple(name for name in wanted if RELATIONS[name].kind in self.kinds)

    def digest(self, *, pages_only: bool = False) -> str:
        """A short stable fingerprint of all settings, or of those that shape pages."""
        settings = asdict(self)
        for name in _QUESTION_SETTINGS if pages_only else ():
            del settings[name]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _check_names(setting: str, got: tuple[str, ...], known: tuple[str, ...], may_be_empty: bool = False) -> None:
    wrong = [name for name in got if name not in known]
    if wrong or not (got or may_be_empty):
        raise ValueError(f"Expected {setting} out of {', '.join(known)}; got {', '.join(wrong) or 'none at all'}.")


PRESETS: dict[str, Difficulty] = {
    "tiny": Difficulty(
        kinds=("person", "town", "film", "company"),
        relations=(
            "person.birthplace", "person.employer", "person.mentor", "person.profession",
            "town.mayor", "town.founding_year", "town.export",
            "film.director", "film.star", "film.setting",
            "company.founder", "company.headquarters",
        ),
        facts_per_page=4, layouts=("prose",), wordings=2, short_subjects=False, distractors=0, clutter=False,
        dead_links=0.0, aliases=0.0, namesakes=0.2, namesake_ways=("shared word", "letter"), syllables=(2, 2),
        name_patterns=1, words=8, lists=False, question_wordings=1, nouns=1, reference_hops=0,
        mix=(("1-hop", 1.0), ("2-hop", 1.0), ("3-hop", 1.0), ("arithmetic", 0.5)),
    ),
    "easy": Difficulty(
        facts_per_page=5, layouts=("prose", "infobox"), wordings=5, short_subjects=False, distractors=0, clutter=False,
        dead_links=0.0, aliases=0.0, namesakes=0.2, namesake_ways=("shared word", "letter", "number"),
        name_patterns=2, list_limit=15, nouns=1, reference_hops=0,
        mix=(
            ("1-hop", 0.25), ("2-hop", 0.30), ("3-hop", 0.15), ("4-hop", 0.02),
            ("comparison", 0.10), ("counting", 0.08), ("arithmetic", 0.10),
        ),
    ),
    "medium": Difficulty(),
    "hard": Difficulty(
        distractors=6, neighbour_facts=3, dead_links=0.4, aliases=0.3, namesakes=0.5, syllables=(2, 4),
        grouped_numbers=True, terms=3, alias_starts=0.5,
        mix=(
            ("1-hop", 0.05), ("2-hop", 0.20), ("3-hop", 0.20), ("4-hop", 0.15),
            ("comparison", 0.15), ("counting", 0.10), ("arithmetic", 0.15),
        ),
    ),
}  # fmt: skip
"""The dial's named positions, easy to hard."""


def as_difficulty(difficulty: "str | Difficulty") -> Difficulty:
    """A preset by name, or the object itself. Raises ValueError that lists the names."""
    if isinstance(difficulty, Difficulty):
        return difficulty
    if difficulty not in PRESETS:
        raise ValueError(f"Expected difficulty {', '.join(PRESETS)} or a Difficulty object, got {difficulty!r}.")
    return PRESETS[difficulty]
