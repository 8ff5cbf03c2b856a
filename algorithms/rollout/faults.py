"""Faults: what failed of a question's tools, by tool and kind, with the first words of each.

    faults = Faults()
    faults.note("search", "unavailable", "The search failed: no network.")
    failed(summary(reports))                   # {"search": 12}, of metrics
    raise ToolsFailed(f"... {in_words(...)}")

An episode that a fault ended says nothing about the policy and is not trained on, so that whoever reads the metrics
has to be told.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aepo_env.text import clean, cut

JUDGE, HANGS = "reward", "hangs"
"""The name that a judge out of reach is counted under; the kind of a step that was given up."""

_SHOWN = 200  # characters of a fault's words


class ToolsFailed(RuntimeError):
    """Tools fail so that nothing is left to do. The sentence says which, and why."""


@dataclass(slots=True)
class Faults:
    """counts: by (tool, kind). words: of each tool's first, on one line."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)

    def note(self, tool: str, kind: str, message: str) -> None:
        """One fault. message: by whomever; it is cleaned, for it is shown."""
        self.counts[tool, kind] += 1
        self.words.setdefault(tool, cut(clean(message), _SHOWN))


def together(each: "list[Faults]") -> dict[str, dict[str, Any]]:
    """By tool, for metrics: {"search": {"kinds": {"unavailable": 12}, "words": "The search failed: ..."}}."""
    found: dict[str, dict[str, Any]] = {}
    for faults in each:
        for (tool, kind), count in faults.counts.items():
            one = found.setdefault(tool, {"kinds": {}, "words": faults.words[tool]})
            one["kinds"][kind] = one["kinds"].get(kind, 0) + count
    return {tool: {**one, "kinds": dict(sorted(one["kinds"].items()))} for tool, one in sorted(found.items())}


def failed(rollout: Mapping[str, Any]) -> dict[str, int]:
    """How many calls of each tool failed, of `records.summary`. A judge out of reach is no tool's call."""
    return {tool: sum(one["kinds"].values()) for tool, one in rollout.get("faults", {}).items() if tool != JUDGE}


def in_words(faults: Mapping[str, Mapping[str, Any]]) -> str:
    """Of `together`: which tools failed how often, and what the first fault of each said."""
    return "; ".join(f"{tool}, {sum(one['kinds'].values())} times ({one['words']})" for tool, one in faults.items())
