"""How places are named: in a sentence, in a title, in an address.

    in_sentence("Netherlands"), section_title("Netherlands", "Geography"), slug("Côte d'Ivoire")

Left out: where the titles themselves come from (`source`) and whole addresses (`site`).
"""

import re
import unicodedata
from functools import cache

MAIN = ""  # the page of the place itself, as against its section pages
_WITH_ARTICLE = frozenset(
    (
        "Netherlands",
        "Philippines",
        "Maldives",
        "Comoros",
        "Holy See",
        "World",
        "West Bank",
        "Isle of Man",
        "Middle East",
    )
)


@cache
def slug(title: str) -> str:
    """ "Côte d'Ivoire" -> "cote-d-ivoire"."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def in_sentence(title: str) -> str:
    """A title as a sentence names it: "the Netherlands", "the United States", "France"."""
    if title.startswith("The "):
        return "the " + title[4:]
    needs = (
        re.match(r"(United|Republic|Democratic Republic|Central African|Federated|British|French S|Dominican)", title)
        or re.search(r"(Islands|Territory|Lands|Strip|Refuges|Union|Republic|Region)$", title)
        or title in _WITH_ARTICLE
    )
    return f"the {title}" if needs else title


def section_title(title: str, section: str) -> str:
    """The title of a section page of the place `title` ("Geography of France"); the place's own for no section."""
    return title if section == MAIN else f"{section} of {in_sentence(title)}"
