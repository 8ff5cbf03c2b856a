"""Contenders: what a comparison's line asks to be compared, each with a name of its own.

    contenders(["aepo", "aepo:official", "mine=grpo"], grid=["loss.high=0.2,0.28"], ablate=None)

`NAME`, `NAME:VARIANT`, `LABEL=NAME[:VARIANT]`, or `all` for every algorithm there is; every one of them is crossed with
every combination of the grid.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aepo_env.text import did_you_mean
from algorithms.names import NAMES
from baselines.suite import ABLATIONS, SUITE

ALL = "all"
"""Every algorithm, in the order of `algorithms.names`."""

_SPELLING = re.compile(r"(?:(?P<label>[^=]+)=)?(?P<name>[^:=]+)(?::(?P<variant>[^:=]+))?")
_LABEL = re.compile(r"[\w+. -]{1,60}")
_SAME_FOR_ALL = ("seed", "environment", "evaluation", "model", "threads", "device")


class Contender(NamedTuple):
    """label: what it is called. algorithm, variant: of `algorithms.run`. settings: what makes it differ from these."""

    label: str
    algorithm: str
    variant: str | None
    settings: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        """The beginning of its command line."""
        variant = [] if self.variant is None else ["--variant", self.variant]
        return [self.algorithm, *variant, *(word for one in self.settings.items() for word in ("--set", "=".join(one)))]


def contenders(
    names: Sequence[str], *, variant: str | None = None, grid: Sequence[str] = (), ablate: str | None = None
) -> list[Contender]:
    """All contenders, in the order of the line; without names and ablation the suite.

    Raises:
        ValueError: an unknown algorithm, a grid that cannot be read, or two contenders of one name.
    """
    named = [name for one in names for name in (NAMES if one == ALL else (one,))]
    found = [_named(one, variant) for one in (named or ([] if ablate else SUITE))]
    if ablate is not None:
        if ablate not in ABLATIONS:
            raise ValueError(
                f"--ablate knows the parts of {', '.join(ABLATIONS)}; got {ablate!r}{did_you_mean(ablate, ABLATIONS)}"
            )
        if ablate not in [one.label for one in found]:
            found.insert(0, _named(ablate, variant))
        found += [Contender(label, ablate, variant, settings) for label, settings in ABLATIONS[ablate].items()]
    crossed = [
        _with(one, dict(combination))
        for one in found
        for combination in itertools.product(*(_axis(text) for text in grid))
    ]
    labels = [one.label for one in crossed]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"Two contenders are called {twice[0]!r}: give one another name, as in other={twice[0]}.")
    return crossed


def _named(text: str, variant: str | None) -> Contender:
    parts = _SPELLING.fullmatch(text)
    if parts is None:
        raise ValueError(f"A contender is NAME, NAME:VARIANT or LABEL=NAME; got {text!r}.")
    name = parts["name"]
    if name not in NAMES:
        raise ValueError(f"There is no algorithm {name!r}{did_you_mean(name, NAMES)} There are {', '.join(NAMES)}.")
    if parts["variant"] and variant and parts["variant"] != variant:
        raise ValueError(f"{text} contradicts --variant {variant}: leave one out.")
    label = parts["label"] or text
    if not _LABEL.fullmatch(label.replace(":", "-")):
        raise ValueError(f"A contender's label has letters, digits and + . - alone, at most 60; got {label!r}.")
    return Contender(label.replace(":", "-"), name, parts["variant"] or variant, {})


def _axis(text: str) -> list[tuple[str, str]]:
    """One setting with each of its values."""
    name, equals, values = text.partition("=")
    listed = [value.strip() for value in values.split(",")]
    if not equals or not name or not all(listed) or len(set(listed)) < len(listed):
        raise ValueError(f"--grid wants NAME=VALUE,VALUE with different values; got {text!r}.")
    if name.partition(".")[0] in _SAME_FOR_ALL:
        raise ValueError(
            f"--grid cannot cross {name}: contenders are compared on the same questions, from the same model and seeds."
        )
    return [(name, value) for value in listed]


def _with(one: Contender, settings: Mapping[str, str]) -> Contender:
    if twice := set(one.settings) & set(settings):
        raise ValueError(f"{one.label} sets {min(twice)} itself: take it out of --grid.")
    added = "".join(f" {name}={value}" for name, value in settings.items())
    return one._replace(label=one.label + added, settings={**one.settings, **settings})
