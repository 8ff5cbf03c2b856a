"""House rules that can be read off the source: who may import whom, how large things get, what is never named.

The rules stand in tables below, for rooms that do not exist yet too, so that they hold from a room's first file on.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.readme import ROOT

PACKAGES = ("aepo_env", "algorithms", "baselines", "benchmarks")
HOUSE = (*PACKAGES, "tests")

# Whole packages each may import. `late` may be imported by that one module, inside functions only.
MAY_IMPORT = {
    "aepo_env": {"aepo_env"},
    "algorithms": {"aepo_env", "algorithms"},
    "baselines": {"aepo_env", "algorithms", "baselines"},
    "benchmarks": {"aepo_env", "benchmarks"},
}
LATE = {
    "benchmarks.agents": {"algorithms", "baselines"},
    "benchmarks.controls": {
        "algorithms"
    },  # a command that trains: it says what is wrong with its line before torch loads
    "benchmarks.gradient_factors": {"algorithms"},  # draws what they do; nothing imports it but its test
}
# A timing of a package imports it; nothing imports a timing.
MAY_TIME = {"benchmarks.speed.tree": {"algorithms"}}

# Inside `algorithms`: room -> rooms it may import besides itself. A file beside the rooms that is not named here is an
# algorithm (aepo.py, grpo.py, ...): a composition of parts.
GROUND = {"algorithm", "batch", "options", "tree"}
PARTS = {"rollout", "advantage", "loss"}
ROOMS = {
    "algorithm": {"batch", "options", "tree"},
    "batch": {"tree"},
    "options": set(),
    "tree": set(),
    **dict.fromkeys(PARTS, GROUND),
    "policy": {"tree"},
    "training": GROUND | PARTS | {"policy", "report"},
    "report": GROUND,
    "commands": GROUND | PARTS | {"policy", "report", "training"},
}
COMPOSITION = GROUND | PARTS

# The parts work on tensors: no models, no optimisers, no processes.
BEYOND_TENSORS = ("transformers", "torch.nn", "torch.optim", "torch.distributed", "torch.multiprocessing")

# aepo_env stands alone: imported at module top may be these, everything else late, where it is used.
EARLY = {"aepo_env", "gymnasium", "numpy"} | sys.stdlib_module_names

TEXTS = {".py", ".md", ".toml", ".txt", ".cfg", ".json", ".yaml", ".yml", ""}

LONGEST_FILE = 500
LONGEST_FUNCTION = 60

# Written so that no pattern matches itself.
NEVER_NAMED = {
    "a path of the machine it was written on": r"(?<![\w.])/wor[k]/(shared|main|venv|wt-|\.\w)|\.pyen[v]\b",
    "a package index's host": r"pypi\.or[g]|pythonhosted\.or[g]|registry\.npmj[s]|deb\.debian\.or[g]",
}


class Import:
    """One imported module: its full name, its line, and whether it is imported when the importing module is."""

    def __init__(self, name: str, line: int, early: bool) -> None:
        self.name, self.line, self.early = name, line, early

    def is_in(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(module: str, source: str, is_package: bool = False) -> Iterator[Import]:
    """Every import in `source`, but those only a type checker sees."""
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(source), True)]
    while waiting:
        node, early = waiting.pop()
        if isinstance(node, ast.If) and is_type_checking(node.test):
            waiting += [(child, early) for child in node.orelse]
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, early) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                base = ".".join([*parents, *filter(None, [base])])
            # `from a import b` may import the module a.b: name the longest there can be.
            yield from (Import(f"{base}.{alias.name}", node.lineno, early) for alias in node.names)
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting += [(child, early and not late) for child in ast.iter_child_nodes(node)]


def room_of(name: str) -> str:
    """The room inside a package: "algorithms.policy.local" -> "policy"."""
    return name.partition(".")[2].partition(".")[0]


def room_violation(module: str, found: Import) -> str | None:
    """What `found` breaks of the rules inside `algorithms`."""
    here, there = room_of(module), room_of(found.name)
    if here in PARTS and found.is_in(*BEYOND_TENSORS) and not found.is_in("torch.nn.functional"):
        return f"{here} may know torch's tensors, not {found.name}"
    if not found.is_in("algorithms") or here in ("", "run", there):
        return None
    known = set(ROOMS) | {"run"}
    allowed = ROOMS.get(here, COMPOSITION)
    # What is no room is an algorithm or a name defined in the package: for training and the commands only.
    if there in allowed or (here in ("training", "commands") and there not in known):
        return None
    return f"algorithms.{here} may not import algorithms.{there}"


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Every import rule that `source`, as the module `module`, breaks."""
    package = module.partition(".")[0]
    broken = []
    for found in imports(module, source, is_package):
        top = found.name.partition(".")[0]
        late_here = (not found.early and top in LATE.get(module, set())) or top in MAY_TIME.get(module, set())
        if top in HOUSE and top not in MAY_IMPORT[package] and not late_here:
            broken.append(f"{module}:{found.line}: {package} may not import {found.name}")
        elif package == "aepo_env" and found.early and top not in EARLY:
            broken.append(f"{module}:{found.line}: {top} must be imported late, inside the function that needs it")
        if package == "algorithms" and (problem := room_violation(module, found)):
            broken.append(f"{module}:{found.line}: {problem}")
    return broken


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def long_functions(source: str) -> list[str]:
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = [(node, (node.end_lineno or 0) - node.lineno + 1) for node in functions]
    return [f"{node.name} has {length} lines" for node, length in lengths if length > LONGEST_FUNCTION]


def named(text: str) -> list[str]:
    """What `text` names that the repository never does."""
    found = ((what, re.search(pattern, text)) for what, pattern in NEVER_NAMED.items())
    return [f"{what}: {match.group()!r}" for what, match in found if match]


def test_every_module_keeps_the_import_rules() -> None:
    files = sources(*PACKAGES)
    assert files
    broken = [
        problem
        for file in files
        for problem in violations(module_name(file), file.read_text("utf-8"), file.name == "__init__.py")
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("aepo_env.env", "import algorithms"),
        ("aepo_env.env", "def f():\n    from benchmarks.speed import gym"),
        ("aepo_env.env", "from tests import readme"),
        ("aepo_env.browser.reader", "from bs4 import BeautifulSoup"),
        ("aepo_env.browser.reader", "try:\n    import httpx\nexcept ImportError:\n    httpx = None"),
        ("algorithms.aepo", "import baselines.suite"),
        ("algorithms.tree", "from algorithms.rollout import independent"),
        ("algorithms.tree", "from . import loss"),
        ("algorithms.loss.clip", "from ..advantage.group import normalise"),
        ("algorithms.loss.clip", "from torch import optim"),
        ("algorithms.rollout.arpo", "def f():\n    from transformers import AutoModel"),
        ("algorithms.policy.local", "from algorithms.algorithm import Algorithm"),
        ("algorithms.policy.local", "from algorithms.aepo import AEPO"),
        ("algorithms.grpo", "from algorithms.training import trainer"),
        ("algorithms.training.trainer", "from algorithms.run import main"),
        ("algorithms.training.trainer", "from algorithms.commands import train"),
        ("algorithms.commands.train", "from algorithms.run import main"),
        ("benchmarks.run", "def f():\n    import algorithms"),
        ("benchmarks.agents", "import algorithms"),
        ("benchmarks.controls", "from algorithms.training import trainer"),
        ("benchmarks.gradient_factors", "from algorithms.training import known"),
        ("benchmarks.controls", "def f():\n    from baselines import suite"),
        ("benchmarks.swapped", "def f():\n    from algorithms.training import trainer"),
    ],
)
def test_forbidden_imports_are_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("aepo_env.env", "import gymnasium\nimport numpy as np\nfrom aepo_env.tasks import Task"),
        ("aepo_env.browser.reader", "def f():\n    from bs4 import BeautifulSoup"),
        ("aepo_env.browser.reader", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bs4"),
        (
            "algorithms.loss.clip",
            "import torch\nfrom torch.nn import functional\nfrom algorithms.tree import TokenTree",
        ),
        ("algorithms.loss.clip", "from .aggregation import token_mean\nfrom ..tree import TokenTree"),
        ("algorithms.aepo", "from algorithms.rollout.aepo import EntropyBalanced\nfrom algorithms.loss import clip"),
        ("algorithms.training.trainer", "from algorithms.aepo import AEPO\nfrom algorithms.policy import local"),
        ("algorithms.run", "from algorithms.commands import train"),
        ("algorithms.commands.train", "def f():\n    from algorithms.training.trainer import Trainer"),
        ("algorithms.commands.listing", "def f():\n    from algorithms.aepo import AEPO"),
        ("baselines.suite", "from algorithms.grpo import GRPO"),
        ("benchmarks.agents", "def f():\n    from baselines.agents import oracle"),
        ("benchmarks.controls", "def f():\n    from algorithms.training.trainer import Trainer"),
        ("benchmarks.speed.tree", "from algorithms.tree import TokenTree"),
    ],
)
def test_permitted_imports_pass(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_relative_imports_of_a_package_are_resolved_from_itself() -> None:
    assert [found.name for found in imports("a.b", "from . import c", is_package=True)] == ["a.b.c"]
    assert [found.name for found in imports("a.b", "from .. import c", is_package=True)] == ["a.c"]
    assert [found.name for found in imports("a.b", "from . import c")] == ["a.c"]


@pytest.mark.parametrize("file", sources(*HOUSE), ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_stay_small(file: Path) -> None:
    source = file.read_text("utf-8")
    assert len(source.splitlines()) <= LONGEST_FILE
    if "tests" not in file.relative_to(ROOT).parts:
        assert long_functions(source) == []


def test_a_long_function_is_found() -> None:
    body = "\n".join(["    pass"] * LONGEST_FUNCTION)
    assert long_functions(f"class A:\n  async def long(self):\n{body}".replace("    ", "      ")) != []
    assert long_functions("def short():\n" + body.removesuffix("\n    pass")) == []


def own_texts() -> Iterator[Path]:
    """Every text file of the checkout but what git ignores (see .gitignore)."""
    ignored = re.compile(
        r"\.git|\.venv.*|__pycache__|build|dist|runs|.*\.egg-info|\.(mypy|ruff|pytest)_cache|\.hypothesis"
    )
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not ignored.fullmatch(name)]
        yield from (Path(folder, name) for name in files if name != ".git" and Path(name).suffix in TEXTS)


def test_nothing_names_a_machine_or_an_index() -> None:
    texts = list(own_texts())
    assert ROOT / ".ci" / "run" in texts
    found = {str(file.relative_to(ROOT)): named(file.read_text("utf-8", "replace")) for file in texts}
    assert {file: problems for file, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        (f"see {'/'}work/shared/data", True),
        (f"{'/'}home/alice/.{'pyenv'}/bin", True),
        (f"https://{'pypi'}.org/simple", True),
        ("a workspace/work_item and the framework/work the box's /work/data /tmp/work/main", False),
        ("the sandbox's /home/user/file", False),
    ],
)
def test_names_of_machines_are_recognised(text: str, is_named: bool) -> None:
    assert bool(named(text)) is is_named
