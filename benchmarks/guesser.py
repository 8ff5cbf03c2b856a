"""What can be had without any tool: rules fitted on tasks that tell how far guessing gets.

    guesser = Guesser(train_tasks)
    guesser.rates(test_tasks)              # {"all": 0.03, "web/1-hop": 0.05, ...}

Rules: the commonest answer (overall, of the family, of the question's wording with names and numbers struck out, of the
asked noun), and a name or number out of the question. Reported is the best rule of each family *on the tested tasks*,
which flatters the guesser.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from aepo_env.tasks import Task

_NAME = re.compile(r"\b[A-Z][\w&']*(?: (?:(?:of|the|or|and|in|to|&) )*[A-Z(][\w&')]*)*|\b\d[\d,.]*")


def _wording(task: Task) -> str:
    return _NAME.sub("_", task.question)


def _asked(task: Task) -> str:
    """The words before the first "of": mostly the noun that is asked for."""
    return _wording(task).partition(" of ")[0].rpartition(" the ")[2]


_KEYS: dict[str, Callable[[Task], str]] = {
    "commonest answer": lambda task: "",
    "commonest answer of the family": lambda task: task.family,
    "commonest answer of the wording": _wording,
    "commonest answer to the noun": _asked,
    "commonest answer to the last words": lambda task: " ".join(_wording(task).split()[-3:]),
}


class Guesser:
    """Rules fitted on `tasks`."""

    def __init__(self, tasks: Iterable[Task]):
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for task in tasks:
            for rule, key in _KEYS.items():
                counts[rule, key(task)][task.answers[0]] += 1
        self._commonest = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}

    def guesses(self, task: Task) -> dict[str, str]:
        """What each rule would answer."""
        names = _NAME.findall(task.question)[1:] or [""]  # the first is the question's own first word
        guesses = {rule: self._commonest.get((rule, key(task)), "") for rule, key in _KEYS.items()}
        return guesses | {"first name": names[0], "last name": names[-1]}

    def rates(self, tasks: Sequence[Task]) -> dict[str, float]:
        """Share of exact matches of the best rule, over all tasks and per family."""
        hits: dict[str, Counter[str]] = defaultdict(Counter)
        sizes: Counter[str] = Counter()
        for task in tasks:
            for group in ("all", task.family):
                sizes[group] += 1
                hits[group].update(rule for rule, guess in self.guesses(task).items() if guess in task.answers)
        return {group: max(hits[group].values(), default=0) / size for group, size in sizes.items()}
