"""The registered environments: `web`, `search` and `code`, each a world, tools and a reward put together.

    gymnasium.make("aepo_env/Web-v0", split="dev", difficulty="easy")
    gymnasium.make("aepo_env/Web-v0", corpus="factbook")
    gymnasium.make("aepo_env/Search-v0", corpus="my/pages")
    gymnasium.make("aepo_env/Code-v0", tasks="maths.jsonl", reward="maths")

Every argument is plain data, so that an `EnvSpec` can be written as JSON. For anything that is not (a tool, a reward or
a task set of your own) build a `ToolEnv` from its parts, as these functions do.
"""

import dataclasses
import functools
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from aepo_env.env import ToolEnv
from aepo_env.episode import Limits
from aepo_env.rewards import reward_by_name
from aepo_env.text import did_you_mean
from aepo_env.tools.browse import BrowseTool
from aepo_env.tools.python import PythonTool
from aepo_env.tools.search import SearchTool
from aepo_env.tools.tool import Tool
from aepo_env.worlds.world import World

Split = Literal["train", "dev", "test", "all"]

DEFAULT_DIFFICULTY = "medium"

_MORE = 'give more (training and its evaluation need some forty), or, to play them alone, take split="all"'


def web(
    *,
    corpus: str | os.PathLike[str] = "generated",
    split: Split | None = None,
    world_seed: int = 0,
    difficulty: str | None = None,
    pages: int | None = None,
    families: Sequence[str] | None = None,
    tasks: str | os.PathLike[str] | None = None,
    tools: Sequence[str] = ("search", "browse", "python"),
    search: Mapping[str, Any] | None = None,
    browse: Mapping[str, Any] | None = None,
    python: Mapping[str, Any] | None = None,
    reward: str = "paper",
    limits: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> ToolEnv:
    """Deep search: questions over a web of pages, with search, browse and python.

    Args:
        corpus: "generated" (a fictional web, endless), "factbook" (real facts; extra `factbook`), or a folder.
        split: "train" (default), "dev" or "test": generated worlds of different splits share no name. A folder's
            questions may be split too; its default is "all".
        world_seed: another seed is another generated world; of the Factbook, other questions come first. A folder has
            none.
        difficulty: of the generated web: "tiny", "easy", "medium" (default) or "hard".
        pages: of the generated web; None: as many as the difficulty says.
        families: only tasks of these families ("web/2-hop"); None: all.
        tasks: a file of questions (`aepo_env.task_files`) instead of the corpus' own; the tools search in the corpus.
            Its splits are 80 / 10 / 10 per cent, by a hash of the ids; "all" is the default.
        tools: which of "search", "browse" and "python", in the order the system prompt lists them.
        search, browse, python: settings of those tools, by the names of their arguments.
        reward: a name in `aepo_env.rewards`.
        limits: fields of `Limits` to change.
        render_mode: "ansi" makes `render()` give the transcript.
    """
    world = open_world(
        corpus,
        split=split,
        seed=world_seed,
        difficulty=difficulty,
        pages=pages,
        families=_named("families", families),
        tasks=tasks,
    )
    made = _make_tools(world, _named("tools", tools) or (), {"search": search, "browse": browse, "python": python})
    return _put_together(world, made, reward, limits, render_mode)


def search(*, search: Mapping[str, Any] | None = None, **settings: Any) -> ToolEnv:
    """Search alone: as `web`, with one tool whose snippets are long enough to hold what a short page says.

    Of the generated web's questions only those that search alone can answer (no counting, no arithmetic), unless
    `families` or `tools` say otherwise. The Factbook's oracle browses, so it is of no use here.
    """
    own = settings.get("corpus", "generated") == "generated" and settings.get("tasks") is None
    if "tools" not in settings and "families" not in settings and own:
        settings["families"] = _searchable_families(settings.get("difficulty"))
    settings.setdefault("tools", ("search",))
    return web(search={"snippet_characters": 1_000, **(search or {})}, **settings)


def _searchable_families(difficulty: str | None) -> list[str] | None:
    """The generated web's families whose facts stand in snippets; None where that is all of the difficulty's."""
    from aepo_env.worlds.web.difficulty import as_difficulty

    drawn = [family for family, weight in as_difficulty(difficulty or DEFAULT_DIFFICULTY).mix if weight]
    kept = [f"web/{family}" for family in drawn if family not in ("counting", "arithmetic")]
    return kept if len(kept) < len(drawn) else None


def code(
    *,
    split: str | None = None,
    world_seed: int = 0,
    difficulty: str = DEFAULT_DIFFICULTY,
    families: Sequence[str] | None = None,
    tasks: str | os.PathLike[str] | None = None,
    python: Mapping[str, Any] | None = None,
    reward: str = "paper",
    limits: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> ToolEnv:
    """Data puzzles for the python tool alone; arguments as for `web`."""
    named = _named("families", families)
    if tasks is None:
        world = _generated_code(split or "train", world_seed, difficulty, named)
    else:
        world = _asked(None, tasks, split, named)
    made = _make_tools(world, ("python",), {"python": python})
    return _put_together(world, made, reward, limits, render_mode)


def open_world(
    corpus: str | os.PathLike[str] = "generated",
    *,
    split: Split | None = None,
    seed: int = 0,
    difficulty: str | None = None,
    pages: int | None = None,
    families: tuple[str, ...] | None = None,
    tasks: str | os.PathLike[str] | None = None,
) -> World:
    """The world behind `web`; opened once per process and shared by all environments over it."""
    own = families if tasks is None else None  # of a file's tasks, the families are the file's
    world = _corpus_world(corpus, split, seed, difficulty, pages, own, pages_alone=tasks is not None)
    return world if tasks is None else _asked(world, tasks, split, families)


def _corpus_world(
    corpus: str | os.PathLike[str],
    split: Split | None,
    seed: int,
    difficulty: str | None,
    pages: int | None,
    families: tuple[str, ...] | None,
    *,
    pages_alone: bool,
) -> World:
    """A corpus with its own tasks, which a folder need not have where `pages_alone`."""
    if corpus == "generated":
        return _generated_web(split or "train", seed, difficulty or DEFAULT_DIFFICULTY, pages, families)
    for name, value in (("difficulty", difficulty), ("pages", pages)):
        if value is not None:  # a setting that nothing listens to would be believed
            raise ValueError(
                f"{name} is a setting of the generated web; corpus {str(corpus)!r} has none: leave it out."
            )
    if corpus == "factbook":
        return _factbook(split or "train", seed, families)
    path = Path(corpus)
    if not path.is_dir():
        raise ValueError(
            f'corpus is "generated", "factbook" or a folder of pages; there is no folder {str(corpus)!r}'
            f"{did_you_mean(str(corpus), ('generated', 'factbook'))}"
        )
    if pages_alone:
        from aepo_env.worlds.folder import folder_world

        return folder_world(path.resolve(), questions=[])
    return _folder(path.resolve(), split or "all", families)


def _asked(
    world: World | None, file: str | os.PathLike[str], split: str | None, families: tuple[str, ...] | None
) -> World:
    """The tasks of a file over the pages of a world, or over none."""
    from aepo_env.task_files import read_tasks
    from aepo_env.worlds.folder import select_split
    from aepo_env.worlds.folder.oracle import GoldPagesOracle, SnippetOracle

    read = read_tasks(file)
    kept = [task for task in read if families is None or task.family in families]
    if not kept:
        known = ", ".join(sorted({task.family for task in read}))
        raise ValueError(f"No task of {file} is of the families {', '.join(families or ())}; they are of {known}.")
    if not (chosen := select_split(kept, split or "all")):  # chance puts each into a split
        raise ValueError(
            f"None of the {len(kept)} tasks of {file} falls into split {split!r} (80, 10 and 10 of a hundred are "
            f"train, dev and test): {_MORE}."
        )
    name = f"{Path(file).name}, {split or 'all'}"
    return World(name, chosen, GoldPagesOracle, None if world is None else world.corpus, SnippetOracle)


@functools.lru_cache(maxsize=8)
def _generated_web(
    split: Any, seed: int, difficulty: str, pages: int | None, families: tuple[str, ...] | None
) -> World:
    from aepo_env.worlds.web import generated_web
    from aepo_env.worlds.web.questions import WebTasks

    given = {} if pages is None else {"pages": pages}
    world = generated_web(split=split, seed=seed, difficulty=difficulty, **given)
    if families is None:
        return world
    return dataclasses.replace(world, tasks=cast(WebTasks, world.tasks).of_families(families))


@functools.lru_cache(maxsize=8)
def _generated_code(split: Any, seed: int, difficulty: Any, families: tuple[str, ...] | None) -> World:
    from aepo_env.worlds.code import generated_code

    return generated_code(split=split, seed=seed, difficulty=difficulty, families=families)


@functools.lru_cache(maxsize=8)
def _factbook(split: Any, seed: int, families: tuple[str, ...] | None) -> World:
    from aepo_env.worlds.factbook import DEFAULT_MIX, FAMILIES, factbook_world

    if unknown := [family for family in families or () if family not in FAMILIES]:
        raise ValueError(f"Expected families out of {', '.join(FAMILIES)}, got {', '.join(unknown)}.")
    mix = None if families is None else {family: DEFAULT_MIX.get(family, 1) for family in families}
    return factbook_world(split=split, seed=seed, mix=mix)


def _folder(path: Path, split: Any, families: tuple[str, ...] | None) -> World:
    from aepo_env.worlds.folder import folder_world

    world = folder_world(path, split=split)
    if not world.tasks:  # so it is with few questions: chance puts each into a split
        raise ValueError(
            f"No question of {path} falls into split {split!r} (80, 10 and 10 of a hundred are train, dev and test): "
            f"{_MORE}."
        )
    if families is None:
        return world
    tasks = [task for task in world.tasks if task.family in families]
    if not tasks:
        known = ", ".join(sorted({task.family for task in world.tasks}))
        raise ValueError(f"No question of {path} is of the families {', '.join(families)}; they are of {known}.")
    return dataclasses.replace(world, tasks=tasks)


def _named(setting: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(names, str):
        raise ValueError(f"{setting} is a list of names; got the text {names!r}: write [{names!r}].")
    return None if names is None else tuple(names)


def _make_tools(world: World, names: Sequence[str], settings: Mapping[str, Mapping[str, Any] | None]) -> list[Tool]:
    makers: dict[str, Any] = {"python": PythonTool}
    if world.corpus is not None:
        makers["search"] = functools.partial(SearchTool, world.corpus)
        makers["browse"] = functools.partial(BrowseTool, world.corpus)
    if unknown := [name for name in names if name not in makers]:
        hint = did_you_mean(unknown[0], makers)
        raise ValueError(f"tools are taken from {', '.join(makers)}; got {', '.join(map(repr, unknown))}{hint}")
    if len(set(names)) < len(names):
        raise ValueError(f"Each tool is named once; got {', '.join(names)}.")
    made: list[Tool] = []
    for name in names:
        try:
            made.append(makers[name](**(settings.get(name) or {})))
        except TypeError as error:
            known = ", ".join(list(inspect.signature(makers[name]).parameters))
            raise ValueError(f"The settings of the tool {name!r} do not fit ({error}); there are {known}.") from None
    return made


def _put_together(
    world: World,
    tools: Sequence[Tool],
    reward: str,
    limits: Mapping[str, Any] | None,
    render_mode: str | None,
) -> ToolEnv:
    known = [field.name for field in dataclasses.fields(Limits)]
    if unknown := [name for name in limits or {} if name not in known]:
        raise ValueError(f"limits has no {', '.join(map(repr, unknown))}; there are {', '.join(known)}.")
    all_limits = Limits(**(limits or {}))
    return ToolEnv(world.tasks, tools, reward_by_name(reward), limits=all_limits, world=world, render_mode=render_mode)
