"""The scripted oracle of the code tasks: it knows which code to write, but takes every value from what came back.

Its plan (`task.metadata["plan"]`) holds the first cell, and how to go on: a second cell with gaps, to be filled with
the values found in the printed second question, or one cell for each sign the first may print. It never looks at
`task.answers`.
"""

import re
from collections.abc import Mapping
from string import Template
from typing import Any

from aepo_env.agent import Agent
from aepo_env.tasks import Task
from aepo_env.worlds.script import ScriptedAgent, Steps, python

# A parameter in an opened message: quoted text, an ISO date, or a number.
PARAMETER = re.compile(r"'([^']*)'|(\d{4}-\d{2}-\d{2})|(\d+)")


class CodeOracle:
    """Solves one task; make a new one for each episode. `act` answers in the tags protocol."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._plan = plan
        self._agent = ScriptedAgent(self._solve)

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """The next turn: a cell, or the answer once the last cell has printed it."""
        return self._agent.act(observation, info)

    def _solve(self, question: str) -> Steps:
        printed = printed_text((yield python(self._plan["first"].rstrip(), "Compute it.")))
        code, reason = self._plan["branches"].get(printed, ""), "Go on."
        if self._plan["then"]:
            code, reason = filled(self._plan["then"], self._plan["reads"], printed), "Now the second question."
        if code:
            printed = printed_text((yield python(code.rstrip(), reason)))
        return printed, "That is it."


def code_oracle(task: Task) -> Agent:
    """An oracle for this code task. Raises ValueError for a task of another world."""
    plan = task.metadata.get("plan")
    if not task.family.startswith("code/") or not isinstance(plan, Mapping):
        raise ValueError(f"expected a code task with a plan, got task {task.id!r} of family {task.family!r}")
    return CodeOracle(plan)


def printed_text(observation: str) -> str:
    """What the last result block shows, without surrounding white space; all of the text if there is none."""
    _, found, rest = observation.rpartition("<result>")
    return (rest if found else observation).partition("</result>")[0].strip()


def filled(template: str, names: list[str], message: str) -> str:
    """The template with its names replaced by the values in the message, in order; "" if there are too few."""
    values = [quoted or day or digits for quoted, day, digits in PARAMETER.findall(message)]
    if len(values) < len(names):
        return ""
    return Template(template).substitute(dict(zip(names, values, strict=False)))
