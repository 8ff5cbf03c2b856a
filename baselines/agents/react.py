"""react: think, act, read, again, until the model answers (ReAct, arXiv:2210.03629).

    aepo_env.play(env, React(env, writer))

The environment's own protocol is this loop already; the prompt says so in words, where the paper shows examples. With
`learned`, for policies that were trained on the environment's messages, nothing is added to them: that is how training
and `algorithms.run eval` play, to the token.
"""

from typing import Any

import gymnasium

from baselines.agents.scene import Scene
from baselines.agents.words import REACT
from baselines.agents.writer import Message, Writer, turn


class React:
    """One conversation an episode: the model's turns, and between them what the environment said."""

    def __init__(self, env: "gymnasium.Env[str, str]", writer: Writer, *, learned: bool = False) -> None:
        self._stop = Scene(env).stop
        self._writer, self._learned = writer, learned
        self._messages: list[Message] = []

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """See `aepo_env.agent.Agent`."""
        if info["turn"] == 0:
            system, *others = info["messages"]
            words = system["content"] if self._learned else f"{system['content']}\n{REACT}"
            self._messages = [{**system, "content": words}, *others]
        else:
            self._messages.append({"role": "user", "content": observation})
        text = turn(self._writer, self._messages, self._stop)
        self._messages.append({"role": "assistant", "content": text})
        return text
