"""random: calls and answers made of words that stand in the question and in what was read. The floor of every table.

aepo_env.play(env, Chance(env, generator(0, "task-7")))
"""

import re
from typing import Any

import gymnasium
import numpy as np

from baselines.agents.scene import Scene
from baselines.agents.words import call

_WORD = re.compile(r"[\w.-]*\w")
_LONGEST = 3  # words of a query or an answer


class Chance:
    """Each turn a call or the answer, evenly, while both are possible; of one to three neighbouring words.

    Args:
        generator: where chance comes from; one of its own for each episode.
    """

    def __init__(self, env: "gymnasium.Env[str, str]", generator: np.random.Generator) -> None:
        self._tools = [tool.name for tool in Scene(env).tools]
        self._generator = generator
        self._read = ""

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """See `aepo_env.agent.Agent`."""
        self._read = observation if info["turn"] == 0 else f"{self._read} {observation}"
        words = self._some_words()
        left = info["left"]
        if not self._tools or left["turns"] < 2 or left["tool_calls"] < 1 or self._generator.random() < 0.5:
            return rf"<answer>\boxed{{{words}}}</answer>"
        tool = self._tools[self._generator.integers(len(self._tools))]
        return call(tool, f"print({words!r})" if tool == "python" else words)

    def _some_words(self) -> str:
        words = _WORD.findall(re.sub(r"</?\w+>", " ", self._read)) or ["nothing"]
        count = min(int(self._generator.integers(1, _LONGEST + 1)), len(words))
        start = int(self._generator.integers(len(words) - count + 1))
        return " ".join(words[start : start + count])
