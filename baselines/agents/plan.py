"""plan-then-search: the whole plan first, then one call a step, then the answer.

    aepo_env.play(env, PlanThenSearch(env, writer))

After Plan-and-Solve (arXiv:2305.04091), with tools: the plan is made before anything was read and is not changed, while
the call of each step is written in view of what earlier steps found. Where a step's text is no call, the step itself is
searched for; steps that the budgets leave no room for are left out.
"""

import re
from typing import Any, NamedTuple

import gymnasium

from aepo_env.protocols.protocol import Calls
from baselines.agents.scene import Scene
from baselines.agents.words import PLAN, SOLVE, STEP, as_answer, call, chat, described
from baselines.agents.writer import Writer, turn

_NUMBERED = re.compile(r"^\s*(?:step\s*)?(?:\d+\s*[.):]|[-*])\s*(.+)$", re.MULTILINE | re.IGNORECASE)
_LONGEST = 300  # characters of a step


class Finding(NamedTuple):
    """A step, the call that was made for it, and what came back."""

    step: str
    call: str
    result: str


class PlanThenSearch:
    """See the module's docstring. steps: the longest plan. Raises ValueError for an environment without tools."""

    def __init__(self, env: "gymnasium.Env[str, str]", writer: Writer, *, steps: int = 4) -> None:
        self._scene = Scene(env)
        if not self._scene.tools:
            raise ValueError("The agent plan-then-search needs a tool, and this environment has none: take direct.")
        self._writer, self._longest = writer, steps
        self._question = ""
        self._steps: list[str] = []
        self._call = ""
        self._found: list[Finding] = []

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """See `aepo_env.agent.Agent`."""
        left = min(info["left"]["tool_calls"], info["left"]["turns"] - 1)
        if info["turn"] == 0:
            self._question, self._found = observation, []
            self._steps = self._plan(min(self._longest, left))
        else:
            self._found.append(Finding(self._steps[len(self._found)], self._call, observation))
        if len(self._found) < len(self._steps) and left > 0:
            self._call = self._next_call(self._steps[len(self._found)])
            return self._call
        reply = turn(self._writer, chat(SOLVE, self._so_far()), ("</answer>",))
        return as_answer(reply, self._scene.protocol)

    def _plan(self, longest: int) -> list[str]:
        """The steps of a new plan; none where there is room for none."""
        if longest < 1:
            return []
        asked = PLAN.format(tools=described(self._scene.tools), steps=longest)
        text = re.sub(r"<think>.*?</think>", "", self._writer.write(chat(asked, self._question)).text, flags=re.DOTALL)
        steps = _NUMBERED.findall(text) or [line for line in text.splitlines() if line.strip()]
        return [step.strip()[:_LONGEST] for step in steps[:longest]] or [self._question]

    def _next_call(self, step: str) -> str:
        """The call for a step: the first the model writes."""
        stop = tuple(each for each in self._scene.stop if each != "</answer>")
        asked = f"{self._so_far()}\n\nThe step to carry out now: {step}"
        text = self._writer.write(chat(STEP.format(tools=described(self._scene.tools)), asked), stop).text
        read = self._scene.protocol.parse(text)
        if isinstance(read, Calls):
            start, end = read.calls[0].span
            return text[start:end]
        return call("search", step) if self._scene.tool("search") else text

    def _so_far(self) -> str:
        """Question, plan and findings, for a prompt."""
        lines = [f"Question: {self._question}"]
        if self._steps:
            lines += ["", "Plan:", *(f"{number}. {step}" for number, step in enumerate(self._steps, 1))]
        for number, (_, made, result) in enumerate(self._found, 1):
            lines += ["", f"Found for step {number}, by {made}:", result]
        return "\n".join(lines)
