"""What strategies see while a question grows: the question, its paths, and what a strategy answers.

A strategy is asked twice: `roots`, whenever nothing of a question is alive (so at its beginning too), and `forks`,
whenever all its live paths (or, by `Schedule`, one of them) stand behind a tool result with their look-ahead written.
It decides, from what it sees here; the driver (`grow`) does it. Engines, environments and texts are the driver's;
strategies leave them alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import gymnasium
import numpy as np

from aepo_env.tasks import Task
from algorithms.rollout.branching import EntropyScale, EntropyUnits, RunningDeviation
from algorithms.rollout.records import ForkRecord, QuestionReport
from algorithms.tree import Step, TokenTree

if TYPE_CHECKING:
    from algorithms.policy.engine import Branch

AnyEnv = gymnasium.Env[Any, Any]

Schedule = Literal["logical", "arrival"]
"""When a question's fork decisions fall.

logical: the r-th when all its live paths stand behind their r-th tool result, or have ended: runs are equal to the bit.
arrival: each as soon as its path stands there, for tools that take their time: the budget left, the draws and with them
the whole run then depend on which tool answered first.
"""


class Level(NamedTuple):
    """`entropy_level` of the first tokens of a turn, and whether that turn answers a tool result."""

    value: float
    after_tool: bool


class Moment(NamedTuple):
    """An observation at which the environment was put aside, for a strategy that grows finished paths anew.

    node: the observation's, or the prompt's. turns: of the policy before it. results: tool results up to it.
    after_tool: whether it is one.
    """

    node: int
    turns: int
    results: int
    after_tool: bool


class Roots(NamedTuple):
    """Paths to start at the prompt, all at once; with 0 `starts` the question is done.

    may_fork: whether they are asked for forks. is_member: whether they count in the budget and become leaves.
    anew: instead of at the prompt, each of the `starts` begins at a moment of a finished path; empty for the prompt.
    """

    starts: int
    may_fork: bool
    is_member: bool = True
    anew: "tuple[tuple[Path, Moment], ...]" = ()


class Deviations(NamedTuple):
    """Running deviations of entropy differences: the one thing a rollout hands on to the next. Put it in checkpoints.

    roots: of H_root - H_tool of probes. forks: of the rises at which fork decisions were taken.
    """

    roots: RunningDeviation = RunningDeviation()
    forks: RunningDeviation = RunningDeviation()


@dataclass(eq=False, slots=True)
class Path:
    """One trajectory while it grows. Strategies read `number`, `levels`, `start_level`, `level`, `streak`, `results`.

    number: by order of start. parent, origin: see `LeafRecord`. attempt: 1 after a fault made it start again.
    turns: sampled tokens of each turn that was played, those before the fork included.
    tokens, entropies: of the present turn.
    trunk: number of the path from the prompt that it descends from; its own, if it is one.
    steps: of those turns. state: a digest of the state the present turn is taken from.
    moments: observations of its own turns that it may be grown anew from; none unless the strategy wants them.
    levels: of its own played turns. start_level: of its first tokens; a child has its parent's.
    level: of the look-ahead, while a decision is pending.
    streak: consecutive forks. results: tool results so far.
    anchor: the nearest node whose snapshot this path may start again from: where its present turn began, or the prompt.
        anchor_turns: turns before it.
    waits: its look-ahead is written, its question decides next. finish: why the engine stopped last.
    """

    number: int
    parent: int | None
    origin: int
    branch: "Branch"
    env: AnyEnv | None
    may_fork: bool
    is_member: bool
    attempt: int = 0
    turns: list[list[int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    start_level: float | None = None
    level: float | None = None
    streak: int = 0
    results: int = 0
    anchor: int = 0
    anchor_turns: int = 0
    after_tool: bool = False
    looks_ahead: bool = False
    waits: bool = False
    finish: str = ""
    stop_reason: str = ""
    rewards: dict[str, float] = field(default_factory=dict)
    trunk: int = 0
    steps: list[Step] = field(default_factory=list)
    state: str = ""
    moments: list[Moment] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Question:
    """One question while it grows.

    used: members started so far, of `budget`. waves: how often `roots` was asked before.
    streak: rounds of decisions in a row that brought a fork. random: the question's own stream, for decisions.
    root_units, fork_units: fixed during a batch.
    live: paths that grow; done: those that ended validly, in the order they ended.
    kept: nodes whose snapshots are held until the question is finished, because paths may be grown anew from them.
    """

    task: Task
    tree: TokenTree
    trunk: "Branch"
    random: np.random.Generator
    budget: int
    root_units: EntropyUnits
    fork_units: EntropyUnits
    report: QuestionReport
    used: int = 0
    waves: int = 0
    started: int = 0
    streak: int = 0
    live: list[Path] = field(default_factory=list)
    done: list[Path] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Unique in its batch."""
        return self.tree.question

    @property
    def left(self) -> int:
        """How many members may still be started."""
        return self.budget - self.used


class Strategy(Protocol):
    """Where a question's trajectories start and where they fork.

    One that grows finished paths anew (`Roots.anew`) has `keeps_moments = True`: the environment is then put aside at
    every observation, until the question is finished.
    """

    @property
    def budget(self) -> int:
        """Trajectories of a question in all."""
        ...

    @property
    def look_ahead(self) -> int:
        """First tokens of a turn whose entropy is measured; a fork is decided behind them."""
        ...

    @property
    def scale(self) -> EntropyScale:
        """In what unit differences of entropy are taken."""
        ...

    def roots(self, question: Question) -> Roots:
        """What to start at the prompt, now that nothing of the question is alive."""
        ...

    def forks(self, question: Question, waiting: Sequence[Path]) -> list[ForkRecord]:
        """A decision for each waiting path, in the order they were taken; at most `question.left` fork.

        `waiting` comes in the order of path numbers. Asked only while `question.left` is positive.
        """
        ...
