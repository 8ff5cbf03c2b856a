"""Writer: what an agent writes with. Messages in, the model's next text out.

    written = writer.write([{"role": "user", "content": "..."}], stop=("</search>", "</answer>"))
    written.text                       # up to and including the stop string that ended it

A conversation opens with "system" and "user" messages; then "assistant" (what the model wrote) and "user" (what it got
back) alternate. Where the last message is an assistant's, the model goes on with it: only local writers can.

A `Backend` gives each episode a writer of its own, so that it can keep what the episode read already, and may write for
many episodes as one batch. `Tally` counts tokens.

Left out: tools in a server's own format: calls are text, in the tags of the environment.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

Message = Mapping[str, str]
Key = tuple[int | str, ...]
Finish = Literal["stop", "end", "length"]


class Written(NamedTuple):
    """What a model wrote.

    text: up to and including the stop string that ended it. finish: a stop string, the model's own end, or the limit of
    tokens. read, written: tokens of the messages, and of the text.
    """

    text: str
    finish: Finish
    read: int
    written: int


class Writer(Protocol):
    """Writes for one episode."""

    def write(self, messages: Sequence[Message], stop: Sequence[str] = ()) -> Written:
        """The next text. Raises OutOfTokens where the messages leave no room, WriterFailed where no text can be had."""
        ...

    def close(self) -> None:
        """The episode is over. Idempotent."""
        ...


class Backend(Protocol):
    """Makes writers. Used from many threads, one an episode."""

    @property
    def label(self) -> str:
        """What the model is called in tables."""
        ...

    def expect(self, threads: int) -> None:
        """So many threads will ask from now on, each until it calls `leave`: a batch can wait for all of them."""
        ...

    def leave(self) -> None:
        """One thread less."""
        ...

    def writer(self, key: Key) -> Writer:
        """A writer for the episode of this name; equal names draw equal random numbers."""
        ...

    def close(self) -> None:
        """Give everything back; whoever still waits gets WriterFailed. Idempotent."""
        ...


class OutOfTokens(Exception):
    """A limit in tokens ends the episode, as it ends a trajectory in training.

    reason: "max_turn_tokens" or "max_context". text: of the turn that was cut; None where none was begun.
    """

    def __init__(self, reason: str, text: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.text = reason, text


class WriterFailed(Exception):
    """No text can be had, through no fault of the model's. The sentence says why and what to do."""


class Tally:
    """A writer that counts what goes through another."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.requests = self.read = self.written = 0

    def write(self, messages: Sequence[Message], stop: Sequence[str] = ()) -> Written:
        """See `Writer.write`."""
        found = self._writer.write(messages, stop)
        self.requests += 1
        self.read += found.read
        self.written += found.written
        return found

    def close(self) -> None:
        """See `Writer.close`."""
        self._writer.close()


def turn(writer: Writer, messages: Sequence[Message], stop: Sequence[str]) -> str:
    """The text of a whole turn. Raises OutOfTokens where the limit cut it."""
    found = writer.write(messages, stop)
    if found.finish == "length":
        raise OutOfTokens("max_turn_tokens", found.text)
    return found.text


_MARKERS = re.compile(r"<(?=\||｜|/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")


def without_markers(text: str) -> str:
    """The text with the marks by which chat formats tell speakers apart taken apart: a page must not speak for a role.

    Of whichever format: what a server uses is not known here.
    """
    return _MARKERS.sub(r"\g<0> ", text)
