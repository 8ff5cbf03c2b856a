"""What a protocol is: how a model's text becomes calls or an answer, and how a result becomes text.

A protocol is stateless. It reads policy text only: pages and tool results pass through `render`, never through `parse`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from aepo_env.tools.tool import Tool

Span = tuple[int, int]  # start and end of what was read, in characters of the policy's text


class Call(NamedTuple):
    """A call the policy made. span covers the whole call, tags included."""

    tool: str
    argument: str
    span: Span


class Calls(NamedTuple):
    """One or more calls, in the order they stand in the text."""

    calls: tuple[Call, ...]


class Answer(NamedTuple):
    """The policy's final answer, boxes unwrapped. span covers the whole answer, tags included."""

    text: str
    span: Span


class Malformed(NamedTuple):
    """A turn that is neither calls nor an answer; the reason is one sentence the policy can act on."""

    reason: str


class TextProtocol(Protocol):
    """A dialect between the policy and the tools."""

    stop: tuple[str, ...]
    """Strings at which generation may stop, each part of the turn's text."""

    def parse(self, text: str) -> Calls | Answer | Malformed:
        """Read one turn of the policy. Never raises, linear in the length of `text`."""
        ...

    def render(self, text: str) -> str:
        """One tool result as the policy sees it; whatever it holds cannot be read as a call, an answer or a result."""
        ...

    def system_prompt(self, tools: Sequence[Tool]) -> str:
        """What a model has to be told to speak this protocol with these tools."""
        ...
