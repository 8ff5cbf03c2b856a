"""search-o1: reasoning that searches, and reads digests instead of pages (Search-o1, arXiv:2501.05366).

    aepo_env.play(env, SearchO1(env, writer, pages=2))

Pages are long and mostly beside the point, and break a chain of thought. So after each search the first pages found are
opened, and the model, asked apart from its reasoning, condenses them with the query and the reasoning so far in view
(the paper's reason-in-documents). Only that digest enters the reasoning. It is rendered as a result: tags in it are
defused, whatever a page made the model write.

Pages are opened where the environment has the tool browse and calls and turns are left; else the snippets are all there
is. The episode's record holds the pages, as the environment gave them.
"""

import re
from typing import Any

import gymnasium

from baselines.agents.scene import Scene
from baselines.agents.words import DIGEST, SEARCH_O1, call, chat
from baselines.agents.writer import Message, Writer, turn

_HIT = re.compile(r"^\d+\. ", re.MULTILINE)
_TAIL = 4_000  # characters of the reasoning that a digest is made in view of


class SearchO1:
    """See the module's docstring. pages: how many of the pages found are opened.

    Raises ValueError for an environment without the tool search.
    """

    def __init__(self, env: "gymnasium.Env[str, str]", writer: Writer, *, pages: int = 2) -> None:
        scene = Scene(env)
        self._tool = scene.require("search", "search-o1")
        self._protocol = scene.protocol
        self._opens = pages if scene.tool("browse") else 0
        self._writer = writer
        self._question = self._query = ""
        self._found = ""  # results of a search whose pages are being opened
        self._messages: list[Message] = []

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """See `aepo_env.agent.Agent`."""
        if info["turn"] == 0:
            self._question, self._query, self._found = observation, "", ""
            system = f"{self._protocol.system_prompt([self._tool])}\n{SEARCH_O1}"
            self._messages = chat(system, observation)
        elif self._found:  # the pages are here
            self._hear(f"{self._found}\n{observation}", info)
        elif any(each.tool == "search" and not each.refused for each in info["calls"]):
            self._query = "; ".join(each.argument for each in info["calls"] if each.tool == "search")
            count = min(self._opens, len(_HIT.findall(observation)), info["left"]["tool_calls"])
            if count and info["left"]["turns"] > 2:  # one to open them, one to go on
                self._found = observation
                return "".join(call("browse", f"result {number}") for number in range(1, count + 1))
            self._hear(observation, info)
        else:  # malformed, or a call of a tool that was not offered
            self._messages.append({"role": "user", "content": observation})
        text = turn(self._writer, self._messages, self._protocol.stop)
        self._messages.append({"role": "assistant", "content": text})
        return text

    def _hear(self, found: str, info: dict[str, Any]) -> None:
        """Let the digest of what was found into the reasoning."""
        reasoning = "".join(each["content"] for each in self._messages if each["role"] != "system")
        asked = (
            f"Question: {self._question}\n\nReasoning so far:\n{reasoning[len(self._question) :][-_TAIL:]}\n\n"
            f"Query: {self._query}\n\nFound:\n{found}"
        )
        digest = self._writer.write(chat(DIGEST, asked)).text.strip()
        left = info["left"]
        last = "\n(Answer now: no more searches.)" if left["turns"] <= 1 or left["tool_calls"] < 1 else ""
        self._messages.append({"role": "user", "content": self._protocol.render(f"{digest}{last}")})
        self._found = ""
