"""Caches as the things they stand in front of: CachedTool is a Tool, CachedEngine a SearchEngine, CachedPages a
PageSource.

Values read from a cache file are checked for their shape: a file may come from anybody.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aepo_env.browser.source import Document, FetchFailed, PageNotFound, PageSource
from aepo_env.cache.record_replay import Mode, RecordReplay
from aepo_env.cache.store import CacheError
from aepo_env.search.engine import Hit, SearchEngine, SearchFailed
from aepo_env.tools.tool import CallContext, Fault, Forking, Tool, ToolResult


def _every_episode(context: CallContext) -> str:
    """The default scope: all episodes share."""
    return ""


class CachedTool(Tool):
    """A pure tool behind a cache; looks and forks like the tool inside.

    Args:
        tool: must fork as PURE: with a state, equal arguments need not give equal answers.
        path, mode: see `RecordReplay`.
        version: whatever else changes the tool's answers: index, provider, page size. Part of the key.
        scope: what of the call's context its answer depends on; by default nothing, so that all episodes share.
        canonical: brings arguments that mean the same into one form; by default outer white space does not count.

    Raises:
        ValueError: the tool is not pure. CacheError: see `RecordReplay`.
    """

    def __init__(
        self,
        tool: Tool,
        path: str | os.PathLike[str],
        mode: Mode = "auto",
        *,
        version: str = "",
        scope: Callable[[CallContext], str] = _every_episode,
        canonical: Callable[[str], str] = str.strip,
    ) -> None:
        if tool.forking is not Forking.PURE:
            raise ValueError(
                f"The tool {tool.name!r} keeps a state ({tool.forking}): only pure tools can be cached whole. "
                "Cache what it stands on instead: CachedPages for a page source, CachedEngine for a search engine."
            )
        self.name, self.description, self.forking = tool.name, tool.description, tool.forking
        self._tool, self._version, self._scope, self._canonical = tool, version, scope, canonical
        self._cache = RecordReplay(path, mode)

    def start(self, seed: int) -> Any:
        return self._tool.start(seed)

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        argument = self._canonical(argument)

        def ask() -> Any:
            result = self._tool.call(state, argument, context)
            return result.fault or {"text": result.text, "results": result.results}

        request = ("tool", self.name, self._version, argument, self._scope(context))
        try:
            value = self._cache.answer(request, ask, context.seconds)
            if not isinstance(value, Fault):
                text, results = self._read(value)
                return ToolResult(text, state, results)
        except CacheError as error:
            value = Fault("cache", str(error))
        return ToolResult(value.message, state, fault=value)

    def _read(self, value: Any) -> tuple[str, tuple[str, ...] | None]:
        try:
            results = value["results"]
            return _text(value["text"]), None if results is None else tuple(map(_text, results))
        except (KeyError, TypeError) as error:
            raise _not_ours(self._cache.path) from error

    def fork(self, state: Any, *, rng: str, seed: int) -> Any:
        return self._tool.fork(state, rng=rng, seed=seed)

    def release(self, state: Any) -> None:
        self._tool.release(state)

    def anchor(self, state: Any) -> Any:
        return self._tool.anchor(state)

    def close(self) -> None:
        self._tool.close()
        self._cache.close()


class CachedEngine:
    """A search engine behind a cache.

    Args:
        engine: the engine. path, mode: see `RecordReplay`.
        name: names the engine in the key, with whatever changes its hits ("brave, en, safe").
    """

    def __init__(self, engine: SearchEngine, path: str | os.PathLike[str], mode: Mode = "auto", *, name: str) -> None:
        self._engine, self._name = engine, name
        self._cache = RecordReplay(path, mode)

    def search(self, query: str, limit: int, seconds: float, snippet_characters: int = 200) -> list[Hit]:
        """As the engine's; raises SearchFailed also for what the recording lacks."""
        query = query.strip()

        def ask() -> Any:
            try:
                return [list(hit) for hit in self._engine.search(query, limit, seconds, snippet_characters)]
            except SearchFailed as error:
                return Fault("unavailable", str(error))

        try:
            value = self._cache.answer(("search", self._name, query, limit, snippet_characters), ask, seconds)
            if not isinstance(value, Fault):
                return self._read(value)
        except CacheError as error:
            raise SearchFailed(str(error)) from error
        raise SearchFailed(value.message)

    def _read(self, value: Any) -> list[Hit]:
        try:
            return [Hit(*map(_text, fields)) for fields in value]
        except TypeError as error:
            raise _not_ours(self._cache.path) from error

    def close(self) -> None:
        """Close the cache file. Idempotent."""
        self._cache.close()


class CachedPages:
    """A page source behind a cache. That there is no page at an address is recorded too.

    Titles are left out: behind it pages are opened by address or number, also where the source knows them by title.

    Args:
        source: the page source. path, mode: see `RecordReplay`.
        name: names the source in the key, with whatever changes its pages ("http, en").
    """

    def __init__(self, source: PageSource, path: str | os.PathLike[str], mode: Mode = "auto", *, name: str) -> None:
        self._source, self._name = source, name
        self._cache = RecordReplay(path, mode)

    def fetch(self, address: str, seconds: float) -> Document:
        """As the source's; raises FetchFailed also for what the recording lacks."""

        def ask() -> Any:
            try:
                return {"page": list(self._source.fetch(address, seconds))}
            except PageNotFound as error:
                return {"missing": str(error)}
            except FetchFailed as error:
                return Fault("unavailable", str(error))

        try:
            value = self._cache.answer(("fetch", self._name, address), ask, seconds)
            if not isinstance(value, Fault):
                return self._read(value)
        except CacheError as error:
            raise FetchFailed(str(error)) from error
        raise FetchFailed(value.message)

    def _read(self, value: Any) -> Document:
        try:
            if "missing" not in value:
                return Document(*map(_text, value["page"]))
            missing = _text(value["missing"])
        except (KeyError, TypeError) as error:
            raise _not_ours(self._cache.path) from error
        raise PageNotFound(missing)

    def close(self) -> None:
        """Close the cache file. Idempotent."""
        self._cache.close()


def _text(value: object) -> str:
    """A text read from a cache file, which anybody may have written. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _not_ours(path: Path) -> CacheError:
    return CacheError(f"The cache {path} holds a value of the wrong shape, so it was not written by us: delete it.")
