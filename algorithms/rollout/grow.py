"""grow: play tasks with a generation engine, following a strategy; out come token trees with rewards at their leaves.

    grown = grow(tasks, env, engine, codec, EntropyBalanced(budget=16), seed=0, step=3, deviations=grown.deviations)
    grown.trees                                # one per task, in order
    summary(grown.reports)                     # `records`: forks, roots, stop reasons, tool calls

All live paths of all questions are written as one batch. Time inside a question is logical: its r-th fork decisions
fall when all its live paths have written the look-ahead behind their r-th tool result, or have ended; in the meantime
other questions go on (with `schedule="arrival"` each path is decided on when it comes). Decisions draw from the
question's own stream and tokens from their path's, so that a question grows the same in any company (as far as the
engine's numbers do) and in every process. With threads, what is sampled stays the same but for the engine's rounding,
while node numbers may differ.

Snapshots: the prompt's is held while the question grows; one at an observation behind which a fork may be decided is
held for that decision and, by the paths that continue from there, until their next turn was played: an invalid
episode (a tool that broke down, a judge out of reach) starts again from the nearest one, once; then it is dropped and
counted. Restored environments repeat the same random stream: chance belongs to the question, siblings differ by what
the policy writes.

A path that reaches a token limit ends there (`max_turn_tokens`, `max_context`), with the reward of what it has so far;
no end token is forced on it. Every leaf is audited (`audit`).

Left out: more than one child a fork, weights and losses.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from aepo_env.tasks import Task
from algorithms.rollout.growth import Growth
from algorithms.rollout.inputs import Codec, TokenLimits
from algorithms.rollout.paths import AnyEnv, Deviations, Schedule, Strategy
from algorithms.rollout.playing import Player
from algorithms.rollout.records import QuestionReport
from algorithms.tree import TokenTree

if TYPE_CHECKING:
    from algorithms.policy.engine import Engine
    from algorithms.policy.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Grown:
    """A rollout batch: one tree and one report per task, in order; `deviations` for the next batch."""

    trees: list[TokenTree]
    reports: list[QuestionReport]
    deviations: Deviations


def grow(
    tasks: Sequence[Task],
    env: AnyEnv,
    engine: "Engine",
    codec: Codec,
    strategy: Strategy,
    *,
    seed: int,
    step: int,
    limits: TokenLimits | None = None,
    sampling: "Sampling | None" = None,
    deviations: Deviations | None = None,
    threads: int = 0,
    step_seconds: float | None = None,
    schedule: Schedule = "logical",
    seen: Counter[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Grown:
    """Grow one tree per task.

    Args:
        tasks: the questions; a task given twice is two questions.
        env: an environment of aepo_env, wrappers or not; it is copied, never stepped.
        engine, codec: make tokens (`algorithms.policy.engine`), and stand between these and text.
        strategy: where to start and where to fork.
        seed, step: with a task's id they name all random streams.
        limits: in tokens. sampling: how tokens are drawn; None: the engine's default.
        deviations: of the batches so far; None: this is the first.
        threads: for environments whose tools wait for others; 0 steps in place.
        step_seconds: a step that takes longer is given up as a fault; None: the deadlines of its calls and 100 s.
        schedule: when fork decisions fall; see `paths.Schedule`.
        seen: how often each task was grown before in this step, and counted on: one that comes again draws anew.
        progress: is told, again and again while it grows, how many of the questions are finished.

    Raises:
        ValueError: a prompt leaves no room for a token, or an unknown schedule. RuntimeError: an audit failed; as
            ToolsFailed, calls went on not coming back.
            What an environment or an engine raises goes up. In every case all branches, environments and snapshots
            have been given back.
    """
    if schedule not in get_args(Schedule):
        raise ValueError(f"Unknown schedule {schedule!r}: choose one of {', '.join(get_args(Schedule))}.")
    growth = Growth(
        env, engine, codec, strategy, (seed, step), limits or TokenLimits(), sampling, deviations or Deviations(),
        Player(threads), schedule, step_seconds,
    )  # fmt: skip
    try:
        growth.run(tasks, Counter() if seen is None else seen, progress)
    finally:
        growth.close()
    return Grown(
        [question.tree for question in growth.questions],
        [question.report for question in growth.questions],
        growth.new_deviations(),
    )
