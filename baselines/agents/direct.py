"""direct and retrieve: an answer at once, from memory or after one search.

    agent = Direct(env, writer)
    agent = Retrieve(env, writer)
    aepo_env.play(env, agent)

direct calls no tool: what it reaches, a model knows already. retrieve is the plainest form of retrieval-augmented
generation: one search, whose words are the question's, then an answer with the results in the prompt (Lewis et al.,
arXiv:2005.11401, without its training of the retriever).

`learned`: for policies that know the gym's own turns and no instructions. They get the environment's messages and write
a turn; where it calls a tool, they go on behind the thought before it, with the answer begun for them.
"""

from typing import Any

import gymnasium

from aepo_env.protocols.protocol import Answer, TextProtocol
from baselines.agents.scene import Scene
from baselines.agents.words import DIRECT, RETRIEVE, as_answer, call, chat
from baselines.agents.writer import Message, Writer, turn

_END = ("</answer>",)
_BEGUN = r"<answer>\boxed{"


class Direct:
    """Answers from what the model knows."""

    def __init__(self, env: "gymnasium.Env[str, str]", writer: Writer, *, learned: bool = False) -> None:
        self._protocol = Scene(env).protocol
        self._writer, self._learned = writer, learned

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """See `aepo_env.agent.Agent`."""
        if self._learned:
            return _go_on(self._writer, list(info["messages"]), self._protocol)
        return as_answer(turn(self._writer, chat(DIRECT, observation), _END), self._protocol)


class Retrieve:
    """Searches with the question's own words, once, and answers.

    Raises ValueError for an environment without the tool search.
    """

    def __init__(self, env: "gymnasium.Env[str, str]", writer: Writer, *, learned: bool = False) -> None:
        scene = Scene(env)
        scene.require("search", "retrieve")
        self._protocol = scene.protocol
        self._writer, self._learned = writer, learned
        self._question = ""
        self._messages: list[Message] = []

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """See `aepo_env.agent.Agent`."""
        if info["turn"] == 0:
            self._question, search = observation, call("search", observation)
            self._messages = [*info["messages"], {"role": "assistant", "content": search}]
            return search
        if self._learned:
            heard = [*self._messages, {"role": "user", "content": observation}]
            return _go_on(self._writer, heard, self._protocol)
        asked = chat(RETRIEVE, f"{self._question}\n\nSearch results:\n{observation}")
        return as_answer(turn(self._writer, asked, _END), self._protocol)


def _go_on(writer: Writer, messages: list[Message], protocol: TextProtocol) -> str:
    """The turn of a policy, which has to hold the answer: its thought, and where it then calls a tool, the answer.

    It is stopped where a call begins: one that is not run need not be written, nor run into the limit of tokens.
    """
    calls = tuple(each.replace("</", "<") for each in protocol.stop if each not in _END)
    text = turn(writer, messages, (*_END, *calls))
    if isinstance(protocol.parse(text), Answer):
        return text
    thought, closing, _ = text.rpartition("</think>")
    begun = f"{thought}{closing}{_BEGUN}"
    return begun + turn(writer, [*messages, {"role": "assistant", "content": begun}], protocol.stop)
