"""What a trace must be before anything draws it: fields, kinds of values, and a tree that is one.

    wrong = misfit(json.loads(line))           # None, or the place of the first mistake: "report.forks.0.draw"

A run directory may come from somebody else. What draws traces relies on this: every field they read is there, numbers
are finite, words of a fixed set are of it, and the parents of nodes lead to the prompt. Texts are free, and untrusted.

Left out: fields that nothing draws.
"""

import math
from collections.abc import Mapping
from typing import Any

from algorithms.tree import TokenTree

_OUTCOMES = frozenset(("forked", "draw", "budget", "environment"))
_KINDS = frozenset(("prompt", "policy", "observation"))

# A type; a set of words; a list of one shape; alternatives; a mapping by field, or of any text (...) to one shape.
_FORK = dict.fromkeys(("round", "path", "node", "streak"), int) | dict.fromkeys(
    ("start_level", "level", "rise", "probability", "penalty", "draw"), float
)
_SHAPE: dict[Any, Any] = {
    "step": int,
    "question": int,
    "task": {"question": str, "family": str, "answers": [str]},
    "tree": {
        "nodes": [{"kind": _KINDS, "parent": int, "tokens": [int], "log_probs": [float], "entropies": [float]}],
        "leaves": [{"node": int, "stop_reason": str, "rewards": {...: float}}],
    },
    "pieces": {...: str},
    "apart": {...: [str]},
    "report": {
        "roots": int,
        "gap": (float, None),
        "calls": {...: int},
        "dropped": int,
        "unforkable": int,
        "forks": [{**_FORK, "outcome": _OUTCOMES}],
        "leaves": [{"path": int, "parent": (int, None), "origin": int, "turns": int, "retried": bool}],
    },
    "leaves": [{"solved": bool, "advantage": float, "advantages": ([float], None)}],
}


def misfit(trace: Any) -> str | None:
    """Where a trace is not what `training.traces` writes; None where it is."""
    return _misfit(trace, _SHAPE, "") or _of_tree(trace) or _of_leaves(trace)


def _misfit(value: Any, shape: Any, place: str) -> str | None:
    """The place of the first value of another shape."""
    if isinstance(shape, tuple):
        fits = any(_misfit(value, one, place) is None for one in shape)
        return None if fits else place
    if isinstance(shape, list):
        if not isinstance(value, list):
            return place
        return next((at for n, one in enumerate(value) if (at := _misfit(one, shape[0], f"{place}.{n}"))), None)
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            return place or "all of it"
        named = dict.fromkeys(value, shape[...]) if ... in shape else shape
        below = ((name, of, f"{place}.{name}".lstrip(".")) for name, of in named.items())
        return next((at for name, of, here in below if (at := _misfit(value.get(name), of, here))), None)
    return None if _is(value, shape) else place


def _is(value: Any, kind: Any) -> bool:
    """Of one value. A whole number is a number, true and false are none."""
    if kind is None or isinstance(kind, frozenset):
        return value is None if kind is None else isinstance(value, str) and value in kind
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def _of_tree(trace: dict[str, Any]) -> str | None:
    plain = trace["tree"]
    try:
        tree = TokenTree.from_plain(plain)
    except (ValueError, KeyError, TypeError):
        return "tree"
    if plain["nodes"][0]["parent"] != -1:
        return "tree.nodes.0.parent"
    for node in tree.nodes:
        apart = trace["apart"].get(str(node.index))
        if apart is not None and len(apart) != len(node.tokens):
            return f"apart.{node.index}"
        if apart is None and not all(str(token) in trace["pieces"] for token in node.tokens):
            return "pieces"
    return None


def _of_leaves(trace: dict[str, Any]) -> str | None:
    leaves = trace["tree"]["leaves"]
    for place, told in (("leaves", trace["leaves"]), ("report.leaves", trace["report"]["leaves"])):
        if len(told) != len(leaves):
            return place
    return None if all("total" in leaf["rewards"] for leaf in leaves) else "tree.leaves"
