"""list: what a command line may name: algorithms, environments, presets, models, rewards.

python -m algorithms.run list
python -m algorithms.run list --verbose     # and in what each variant differs from the paper's form
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from algorithms.commands.lines import say

HELP = "what there is: algorithms, environments, presets, models, rewards"

ENVIRONMENTS = {
    "web": "questions over a web of pages: search, browse, python",
    "search": "those that search alone can answer",
    "code": "data puzzles for python alone",
}
CORPORA = {
    "generated": "an encyclopaedia of things that do not exist: offline, seeded, endless",
    "factbook": "the CIA World Factbook as linked pages (pip install 'aepo-env[factbook]')",
    "FOLDER": "your own pages and questions (docs/own_pages.md)",
}


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("--verbose", action="store_true", help="with the differences of each variant from its paper")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Print; the exit code."""
    from aepo_env.rewards import REWARDS
    from algorithms.training.config import PRESETS
    from algorithms.training.known import ALGORITHMS
    from algorithms.training.tiny_start import MODELS

    say("algorithms (the first word of a command)")
    for name, variants in ALGORITHMS.items():
        paper = variants["paper"]
        say(f"  {name:<20} {paper.summary} {paper.paper}")
        others = [variant for variant in variants if variant != "paper"]
        if others and not options.verbose:
            say(f"  {'':<20} --variant {', '.join(others)}")
        for variant in others if options.verbose else ():
            say(f"  {'':<20} --variant {variant} differs in")
            for path, ours, theirs in differences(paper, variants[variant]):
                say(f"  {'':<22} {path}: {ours} -> {theirs}")
    models = {**MODELS, "FOLDER": "as save_pretrained writes it", "NAME": "on the Hugging Face hub"}
    kinds = {"--env": ENVIRONMENTS, "--corpus": CORPORA, "--preset": PRESETS, "--model": models}
    for option, known in kinds.items():
        say(f"{option}")
        for name, words in known.items():
            say(f"  {name:<10} {words}")
    say("--reward")
    say(f"  {', '.join(REWARDS)}: docs/rewards.md says what each is")
    return 0


def differences(one: Any, other: Any, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Where two compositions differ: dotted name, the one's value, the other's. A part of another kind is one line."""
    for entry in fields(one):
        path = f"{above}{entry.name}"
        ours, theirs = getattr(one, entry.name), getattr(other, entry.name)
        if ours == theirs:
            continue
        if is_dataclass(ours) and type(ours) is type(theirs):
            yield from differences(ours, theirs, f"{path}.")
        else:
            yield path, _shown(ours), _shown(theirs)


def _shown(value: Any) -> str:
    """A value, or the kind of a part with what it is made of."""
    if is_dataclass(value):
        inside = (getattr(value, entry.name) for entry in fields(value))
        parts = [type(part).__name__ for part in inside if is_dataclass(part)]
        return type(value).__name__ + (f"({', '.join(parts)})" if parts else "")
    return str(value)
