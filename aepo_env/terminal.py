"""An episode played by a person in the terminal, or watched while the oracle plays it.

Short forms save typing the tags: `search words`, `browse 2`, `answer Paris`; `python` alone opens a cell that an empty
line ends. Anything with a tag in it is sent as it is, so that malformed turns can be tried too.
"""

import sys
import textwrap
from collections.abc import Callable
from typing import Any

import gymnasium

from aepo_env.agent import Agent, Oracle
from aepo_env.env import ToolEnv

_WIDTH = 100
_CELL = "`python` alone opens several lines, which an empty line ends."


class Person:
    """An agent that asks the person at the keyboard. `ask` reads one line after showing a prompt (default: input)."""

    def __init__(self, tools: tuple[str, ...], ask: Callable[[str], str] = input) -> None:
        self._tools = tools
        self._ask = ask

    def act(self, observation: str, info: dict[str, Any]) -> str:
        while True:
            line = self._ask("> ").strip()
            word, _, rest = line.partition(" ")
            word = word.lower().rstrip(":")
            if word == "python" and "python" in self._tools:
                return f"<python>\n{rest or self._cell()}\n</python>"
            if word in self._tools:
                return f"<{word}>{rest}</{word}>"
            if word == "answer":
                return f"<answer>\\boxed{{{rest}}}</answer>"
            if "<" in line:
                return line
            print(f"Write one of: {', '.join(self._tools)}, answer; followed by what to look for or say. Ctrl-D stops.")
            if "python" in self._tools:
                print(_CELL)

    def _cell(self) -> str:
        lines: list[str] = []
        while (line := self._ask("... ")).strip() or not lines:
            lines.append(line)
        return "\n".join(lines)


def play_in_terminal(env: "gymnasium.Env[str, str]", *, seed: int | None = None, oracle: bool = False) -> None:
    """Play one episode of `env`, showing everything that is said.

    Raises:
        EOFError, KeyboardInterrupt: the person left.
    """
    inner = env.unwrapped
    assert isinstance(inner, ToolEnv)
    if sys.stdin is None and not oracle:  # started with a closed standard input
        raise EOFError
    observation, info = env.reset(seed=seed)
    agent: Agent = Oracle(env) if oracle else Person(tuple(tool.name for tool in inner.rules.tools))
    print(f"Task {info['task_id']}  ({inner.episode.task.family})\n")
    print(f"{folded_for_reading(observation)}\n")
    if not oracle:
        _explain(inner)
    ended = False
    while not ended:
        left = info["left"]
        print(f"[{left['turns']} turns and {left['tool_calls']} tool calls left]")
        text = agent.act(observation, info)
        if oracle:
            print(f"{folded_for_reading(text)}\n")
        observation, _, terminated, truncated, info = env.step(text)
        ended = terminated or truncated
        if observation:
            print(f"{folded_for_reading(observation)}\n")
    print(f"Ended: {info['stop_reason']}. Answer given: {info['answer']!r}; right: {inner.episode.task.answers[0]!r}.")
    for name, value in info["rewards"].items():
        print(f"  {name:20} {value:g}")


def _explain(env: ToolEnv) -> None:
    """What can be typed."""
    descriptions = {tool.name: tool.description for tool in env.rules.tools}
    if "python" in descriptions:
        descriptions["python"] += f"; {_CELL}"
    for name, description in {**descriptions, "answer": "the final answer; ends the episode"}.items():
        print(textwrap.fill(description, _WIDTH, initial_indent=f"  {name:8} ", subsequent_indent=" " * 11))
    print()


def folded_for_reading(text: str) -> str:
    """Long lines folded, indented as they began; short ones, such as code, as they are.

    No word is broken: data longer than a line can still be copied.
    """
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(_fold(line, indent) if len(line) > _WIDTH else line)
    return "\n".join(lines)


def _fold(line: str, indent: str) -> str:
    return textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
