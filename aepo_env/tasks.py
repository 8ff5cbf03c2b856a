"""Task: one question with its right answers; a task set is any sequence of them.

A world (`aepo_env.worlds`) hands out tasks; an environment draws one at `reset`. Nothing in a task is shown to the
policy but its question.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """One question.

    Attributes:
        id: unique within its task set, stable across processes and runs.
        question: the text the policy reads.
        answers: accepted answers; any one of them is right.
        family: what kind of task it is, coarse to fine, joined by "/": "web/2-hop", "code/table".
        metadata: whatever scoring, oracles and reports need (gold addresses, plans); plain JSON data.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    family: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
