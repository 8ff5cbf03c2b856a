"""Small generated webs for tests, each made once per process, with their indexes in a temporary folder."""

import functools
import os
import re
import tempfile
from unittest import mock

from aepo_env.corpus import Page
from aepo_env.worlds.web import generated_web, web_pages
from aepo_env.worlds.web.difficulty import as_difficulty
from aepo_env.worlds.web.graph import Graph
from aepo_env.worlds.web.world import web_graph
from aepo_env.worlds.world import World

PAGES = 300

_folder = tempfile.TemporaryDirectory(prefix="aepo-web-tests-")


@functools.cache
def world(difficulty: str = "medium", split: str = "train", pages: int = PAGES) -> World:
    with mock.patch.dict(os.environ, AEPO_CACHE=_folder.name):
        return generated_web(split=split, pages=pages, difficulty=difficulty)


def graph(difficulty: str = "medium", split: str = "train", pages: int = PAGES) -> Graph:
    return web_graph(split, 0, pages, as_difficulty(difficulty))


@functools.cache
def pages(difficulty: str = "medium", split: str = "train", count: int = PAGES) -> dict[str, Page]:
    """All pages by address."""
    return {page.address: page for page in web_pages(split=split, pages=count, difficulty=difficulty)}


def hrefs(html: str) -> list[str]:
    return re.findall(r'<a href="([^"]+)"', html.partition("<h1>")[2].partition("</article>")[0])
