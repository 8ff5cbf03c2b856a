"""A recorded episode is replayed byte for byte, and nobody is called."""

from pathlib import Path
from typing import Any, NoReturn

from aepo_env.cache import CachedEngine, CachedPages, CachedTool, Mode
from aepo_env.corpus import Corpus, Page
from aepo_env.env import ToolEnv
from aepo_env.episode import StopReason
from aepo_env.rewards import REWARDS
from aepo_env.tasks import Task
from aepo_env.tools.browse import BrowseTool
from aepo_env.tools.search import SearchTool

PAGES = [
    Page("https://a.example/keld", "Keld", '<h1>Keld</h1><p>Keld lies on the <a href="sarn">Sarn</a>.</p>'),
    Page("https://a.example/sarn", "Sarn", "<h1>Sarn</h1><p>The Sarn is 212 km long: ünï\u2028cödé.</p>"),
]
TURNS = (
    "<search>where is Keld</search>",
    "<think>The first.</think><browse>1</browse>",
    "<browse>link 1</browse><browse>https://a.example/nowhere</browse>",
    "no call at all",
    "<answer>\\boxed{212 km}</answer>",
)


class Sealed:
    """An engine and page source that must not be called."""

    def search(self, *_: Any) -> NoReturn:
        raise AssertionError("the engine was called")

    def fetch(self, *_: Any) -> NoReturn:
        raise AssertionError("the page source was called")


def played(source: Any, folder: Path, mode: Mode, *, whole_tool: bool) -> list[tuple[Any, ...]]:
    """Everything the environment says over one episode."""
    if whole_tool:
        search: Any = CachedTool(SearchTool(source), folder / "searches.sqlite", mode)
    else:
        search = SearchTool(CachedEngine(source, folder / "searches.sqlite", mode, name="test"))
    pages = CachedPages(source, folder / "pages.sqlite", mode, name="test")
    task = Task("t", "How long is the river of Keld?", ("212 km",))
    env = ToolEnv([task], [search, BrowseTool(pages)], REWARDS["exact_match"])
    said: list[tuple[Any, ...]] = [env.reset(seed=3)]
    said += [env.step(turn) for turn in TURNS]
    assert env.episode.stop_reason is StopReason.ANSWERED
    return said


def test_a_replayed_episode_equals_the_recorded_one_and_makes_no_call(tmp_path: Path) -> None:
    for whole_tool in (True, False):
        folder = tmp_path / str(whole_tool)
        folder.mkdir()
        recorded = played(Corpus.build(PAGES), folder, "record", whole_tool=whole_tool)
        assert "212 km" in recorded[3][0]
        assert "No page at" in recorded[3][0]
        assert recorded[-1][1] == 1.0
        assert played(Sealed(), folder, "replay", whole_tool=whole_tool) == recorded


def test_another_episode_than_the_recorded_one_ends_by_a_fault(tmp_path: Path) -> None:
    env = ToolEnv(
        [Task("t", "?", ("a",))],
        [CachedTool(SearchTool(Corpus.build(PAGES)), tmp_path / "searches.sqlite", "record")],
        REWARDS["exact_match"],
    )
    env.reset(seed=3)
    env.step("<search>Keld</search>")
    env = ToolEnv(
        [Task("t", "?", ("a",))],
        [CachedTool(SearchTool(Sealed()), tmp_path / "searches.sqlite", "replay")],
        REWARDS["exact_match"],
    )
    env.reset(seed=3)
    *_, truncated, info = env.step("<search>Sarn</search>")
    assert (truncated, info["stop_reason"], info["valid"]) == (True, StopReason.TOOL_FAULT, False)
