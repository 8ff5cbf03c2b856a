"""Task: one question with its right answers; a task set is any sequence of them.

A world (`aepo_env.worlds`) hands out tasks; an environment draws one at `reset`. Nothing in a task is shown to the
policy but its question.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

_LOOKED_THROUGH = 10_000  # tasks compared when one is asked for by its id; a generated task set has no end


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

    def __post_init__(self) -> None:
        if isinstance(self.answers, str):  # each of its letters would be an answer
            raise TypeError(f"answers is a tuple of texts; got the text {self.answers!r}: write ({self.answers!r},).")


def find_task(tasks: Sequence[Task], wanted: Any) -> Task:
    """The task that `wanted` names: an index, an id, a Task, or a mapping of a task's fields.

    Raises:
        ValueError: there is none such. TypeError: `wanted` is something else.
    """
    if isinstance(wanted, Task):
        return wanted
    if isinstance(wanted, int | np.integer) and not isinstance(wanted, bool):
        if not 0 <= wanted < len(tasks):
            raise ValueError(f"There is no task {wanted}: this task set has tasks 0 to {len(tasks) - 1}.")
        return tasks[int(wanted)]
    if isinstance(wanted, str):
        for task in itertools.islice(tasks, _LOOKED_THROUGH):
            if task.id == wanted:
                return task
        seen = min(len(tasks), _LOOKED_THROUGH)
        raise ValueError(f"There is no task with the id {wanted!r} among the first {seen} of this set: give its index.")
    if isinstance(wanted, Mapping):
        return _task_of(wanted)
    raise TypeError(f"A task is named by an index, an id, a Task or a mapping; got {type(wanted).__name__}.")


def _task_of(given: Mapping[str, Any]) -> Task:
    if unknown := set(given) - {known.name for known in fields(Task)}:
        raise ValueError(f"A task has no field {', '.join(sorted(map(repr, unknown)))}; got {dict(given)!r}.")
    answers = given.get("answers")
    if not (
        isinstance(given.get("question"), str)
        and isinstance(answers, list | tuple)
        and all(isinstance(answer, str) for answer in answers)
    ):
        raise ValueError(f"A task needs a 'question' (str) and 'answers' (a list of str); got {dict(given)!r}.")
    return Task(**{"id": "given", **given, "answers": tuple(answers)})
