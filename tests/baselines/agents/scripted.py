"""What tests of agents share: a writer that says what it was told to, an environment of the tiny web, a library."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium

import aepo_env  # noqa: F401  # registers the environments
from aepo_env.env import ToolEnv
from aepo_env.tools.tool import CallContext, Tool, ToolResult
from baselines.agents.writer import Message, Written
from tests.fakes import make_env

SEARCH = {"limit": 1, "snippet_characters": 1_000, "addresses": False}

Reply = str | Callable[[Sequence[Message]], str]


class Scripted:
    """Writes one reply after the other, and notes what it was asked. A reply may be a function of the messages."""

    def __init__(self, *replies: Reply, finish: str = "stop") -> None:
        self.replies = list(replies)
        self.finish = finish
        self.asked: list[list[Message]] = []
        self.stops: list[tuple[str, ...]] = []

    def write(self, messages: Sequence[Message], stop: Sequence[str] = ()) -> Written:
        self.asked.append([dict(message) for message in messages])
        self.stops.append(tuple(stop))
        reply = self.replies.pop(0)
        text = reply if isinstance(reply, str) else reply(messages)
        return Written(text, self.finish, 10, 5)  # type: ignore[arg-type]

    def close(self) -> None:
        pass


class Library(Tool):
    """A search or browse tool whose results are given."""

    description = "finds"

    def __init__(self, name: str, *results: str) -> None:
        self.name, self._results = name, results

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        number = int(state or 0)
        text = self._results[min(number, len(self._results) - 1)]
        return ToolResult(text, number + 1, results=("https://one.example",) if self.name == "search" else None)


def library(search: Sequence[str], browse: Sequence[str] = (), **limits: Any) -> ToolEnv:
    """An environment whose tools say what they are told to. Its question is "What is 3 and 3?", if asked for task 3."""
    tools = [Library("search", *search)] + ([Library("browse", *browse)] if browse else [])
    return make_env(tools, **limits)


def web(**changes: Any) -> Any:
    """The tiny web, its real search and no interpreter."""
    settings = {"difficulty": "tiny", "families": ["web/1-hop"], "tools": ["search"], "search": SEARCH}
    return gymnasium.make("aepo_env/Web-v0", split="dev", **{**settings, **changes})


def texts(messages: Sequence[Message], *roles: str) -> str:
    """All that messages (of these roles) hold."""
    return "\n".join(each["content"] for each in messages if not roles or each["role"] in roles)
