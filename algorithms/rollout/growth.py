"""Growth: the state machine behind `grow`: paths are started, written, played, forked and ended.

    growth = Growth(...)
    try:
        growth.run(tasks, Counter())
    finally:
        growth.close()

What a path goes through: the engine writes a turn (`_write`, `_wrote`), in two pieces where a fork decision falls
behind its look-ahead (`_settle`, `_decide`); the environment plays it (`_end_turn`, `_played`); an observation begins
the next, or the path ends (`_end`), begins again after a fault (`_retry_or_drop`), or is dropped. When nothing of a
question is alive, its strategy is asked for more (`_start_roots`): at the prompt, or anew from a moment of a finished
path (`_regrow`).

Left out: everything a strategy decides, and what `grow` says it leaves out.
"""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import aepo_env
from aepo_env.env import ToolEnv
from aepo_env.episode import StopReason
from aepo_env.errors import ForkNotSupported
from aepo_env.tasks import Task
from algorithms.rollout.audit import check_leaf
from algorithms.rollout.branching import EntropyUnits, entropy_level, next_streak
from algorithms.rollout.inputs import Codec, TokenLimits
from algorithms.rollout.paths import AnyEnv, Deviations, Level, Moment, Path, Question, Schedule, Strategy
from algorithms.rollout.playing import (
    Played,
    Player,
    called,
    environment_of,
    episode_of,
    scored_as_cut,
    state_of,
    time_for,
)
from algorithms.rollout.records import LeafRecord, QuestionReport
from algorithms.rollout.streams import generator, number
from algorithms.tree import Step, TokenTree

if TYPE_CHECKING:
    from algorithms.policy.engine import Branch, Engine, Generated
    from algorithms.policy.sampling import Sampling

_KEPT = 0.9  # weight of past batches in the unit of entropy differences: entropies shrink in training
_ATTEMPTS = 2  # how often a path may end invalid before it is dropped


class Growth:
    """One call of `grow`, whose arguments these are; key: (seed, step). Methods are in the order of a path's life."""

    def __init__(
        self,
        env: AnyEnv,
        engine: "Engine",
        codec: Codec,
        strategy: Strategy,
        key: tuple[int, int],
        limits: TokenLimits,
        sampling: "Sampling | None",
        deviations: Deviations,
        player: Player,
        schedule: Schedule,
        step_seconds: float | None,
    ) -> None:
        if not isinstance(env.unwrapped, ToolEnv):
            raise TypeError(f"An environment of aepo_env is needed; got {type(env.unwrapped).__name__}.")
        if step_seconds is not None and step_seconds <= 0:
            raise ValueError(f"Expected step_seconds > 0; got {step_seconds}.")
        self.rules, self.step_seconds = env.unwrapped.rules, step_seconds
        self.prototype = copy.deepcopy(env)
        self.prototype.close()  # without an episode, a deep copy is cheap
        self.engine, self.codec, self.strategy = engine, codec, strategy
        self.key, self.limits, self.sampling = key, limits, sampling
        self.deviations, self.player, self.schedule = deviations, player, schedule
        self.questions: list[Question] = []
        self.at: dict[Branch, tuple[Question, Path]] = {}
        self.growing = 0

    def run(self, tasks: Sequence[Task], seen: Counter[str], progress: Callable[[int], None] | None = None) -> None:
        """From the questions to their finished trees. seen: how often each id was grown before under the same key."""
        for task in tasks:
            seen[task.id] += 1
            self._open(task, task.id if seen[task.id] == 1 else f"{task.id}#{seen[task.id]}")
        self.growing = len(self.questions)
        for question in self.questions:
            self._start_roots(question)
        while self.growing:
            if not self.engine.busy and not self.player.waiting:
                raise RuntimeError(f"{self.growing} questions grow, but nothing is under way: a fault of grow.")
            for generated in self.engine.step() if self.engine.busy else ():
                self._wrote(*self.at[generated.branch], generated)
            for path, played in self.player.finished(wait_for_one=not self.engine.busy):
                self._played(*self.at[path.branch], played)
            if progress:
                progress(len(self.questions) - self.growing)

    def close(self) -> None:
        """Give everything back. Idempotent, and as complete after an error."""
        self.player.close()
        for question in self.questions:
            for path in question.live:
                self._let_go(path)
            question.live.clear()
            self.engine.close(question.trunk)
            question.tree.release_all()

    def new_deviations(self) -> Deviations:
        """With the differences of this batch."""
        reports = [question.report for question in self.questions]
        return Deviations(
            self.deviations.roots.updated((one.gap for one in reports if one.gap is not None), keep=_KEPT),
            self.deviations.forks.updated((fork.difference for one in reports for fork in one.forks), keep=_KEPT),
        )

    # -------------------------------------------------------------------------------------------------------- starting

    def _open(self, task: Task, name: str) -> None:
        """A question with its prompt, and the environment as it stands there."""
        env = copy.deepcopy(self.prototype)
        try:
            _, info = env.reset(seed=number(*self.key, name, "environment"), options={"task": task})
            tree = TokenTree(name, self.codec.prompt(info["messages"]))
            if tree.nodes[tree.root].end >= self.limits.total:
                raise ValueError(
                    f"The prompt of {name} has {tree.nodes[tree.root].end} tokens, a trajectory may have "
                    f"{self.limits.total}: leave the task out, or raise limits.total."
                )
            tree.hold(tree.root, aepo_env.snapshot(env))
        finally:
            env.close()
        try:
            trunk = self.engine.open(tree, key=(*self.key, name))
        except BaseException:
            tree.release_all()
            raise
        scale = self.strategy.scale
        self.questions.append(
            Question(
                task,
                tree,
                trunk,
                generator(*self.key, name, "decisions"),
                self.strategy.budget,
                EntropyUnits(scale, self.deviations.roots),
                EntropyUnits(scale, self.deviations.forks),
                QuestionReport(name),
            )
        )

    def _start_roots(self, question: Question) -> None:
        """Nothing of the question is alive: start what the strategy wants, or finish."""
        wanted = self.strategy.roots(question)
        question.waves += 1
        if wanted.starts == 0:
            self._finish(question)
            return
        if wanted.is_member and wanted.starts > question.left:
            raise ValueError(f"The strategy wants {wanted.starts} roots of {question.name}; {question.left} are left.")
        if wanted.anew and len(wanted.anew) != wanted.starts:
            raise ValueError(
                f"The strategy wants {wanted.starts} starts of {question.name} at {len(wanted.anew)} places."
            )
        started = []
        for place in wanted.anew or [None] * wanted.starts:
            if place is None:
                path = self._new_path(question, question.trunk, question.tree.root)
            else:
                path = self._regrow(question, *place)
            path.may_fork, path.is_member = wanted.may_fork, wanted.is_member
            question.used += wanted.is_member
            started.append(path)
        for path in started:
            self._write(path)

    def _new_path(self, question: Question, source: "Branch", node: int) -> Path:
        """A path that starts at the end of `node`, with a copy of the environment held there. Writes nothing yet."""
        env = self._env_at(question, node)
        try:
            key = (*self.key, question.name, question.started, 0)
            branch = self.engine.fork(source, node, key=key)
        except BaseException:
            env.close()
            raise
        path = Path(question.started, None, node, branch, env, may_fork=False, is_member=True)
        path.trunk, path.state = path.number, state_of(env)
        question.started += 1
        question.live.append(path)
        self.at[branch] = question, path
        return path

    def _regrow(self, question: Question, source: Path, moment: Moment) -> Path:
        """A path that begins where a finished one once stood."""
        place = self.engine.open(question.tree, moment.node, key=(*self.key, question.name, "anew"))
        try:
            path = self._new_path(question, place, moment.node)
        finally:
            self.engine.close(place)
        self._inherit(path, source, moment.turns, moment.results, moment.after_tool)
        self._move_anchor(question.tree, path, moment.node)
        return path

    def _inherit(self, child: Path, parent: Path, turns: int, results: int, after_tool: bool) -> None:
        """The past of another path, its first `turns` turns."""
        child.parent, child.trunk, child.start_level = (
            parent.number,
            parent.trunk,
            parent.start_level if turns else None,
        )
        child.turns, child.steps = parent.turns[:turns], parent.steps[:turns]
        child.results, child.after_tool = results, after_tool

    def _env_at(self, question: Question, node: int) -> AnyEnv:
        env = copy.deepcopy(self.prototype)
        try:
            aepo_env.restore(env, question.tree.snapshot(node))
        except BaseException:
            env.close()
            raise
        return env

    # --------------------------------------------------------------------------------------------------------- writing

    def _room(self, path: Path) -> int:
        """Tokens the present turn may still have."""
        end = path.branch.tree.nodes[path.branch.node].end
        return min(self.limits.turn - len(path.tokens), self.limits.total - end)

    def _write(self, path: Path) -> None:
        """Ask for the rest of the turn, or for its look-ahead."""
        room = self._room(path)
        self.engine.generate(
            path.branch,
            max_tokens=min(room, self.strategy.look_ahead) if path.looks_ahead else room,
            stop=self.rules.protocol.stop,
            sampling=self.sampling,
        )

    def _wrote(self, question: Question, path: Path, generated: "Generated") -> None:
        drawn = generated.drawn
        path.tokens.extend(drawn.tokens)
        path.entropies.extend(drawn.entropies)
        path.finish = str(generated.finish)
        if path.looks_ahead:
            path.looks_ahead, path.waits = False, True
            path.level = self._level(path)
            self._settle(question)
        else:
            self._end_turn(question, path)

    def _level(self, path: Path) -> float:
        """Of the present turn's first tokens."""
        return entropy_level(path.entropies[: self.strategy.look_ahead], self.strategy.scale, self.codec.vocabulary)

    def _end_turn(self, question: Question, path: Path) -> None:
        """Give the turn to the environment; a turn that was cut ends the path instead."""
        text = self.codec.text(path.tokens)
        if path.finish in ("stop", "end"):
            self.player.submit(path, text, self.step_seconds or time_for(self.rules, text))
            return
        full = path.finish == "context" or len(path.tokens) < self.limits.turn
        self._end(question, path, "max_context" if full else "max_turn_tokens", text)

    def _close_turn(self, path: Path) -> None:
        """The present turn was played, or cut: it belongs to the path's past."""
        level = Level(self._level(path), path.after_tool)
        if path.start_level is None:
            path.start_level = level.value
        path.levels.append(level)
        end = path.branch.tree.nodes[path.branch.node].end
        path.steps.append(Step(end - len(path.tokens), end, path.state))
        path.turns.append(path.tokens)
        path.tokens, path.entropies = [], []

    # --------------------------------------------------------------------------------------------------------- playing

    def _played(self, question: Question, path: Path, played: Played | None) -> None:
        """What the environment said to a turn."""
        question.report.steps += 1
        if played is None:
            question.report.note_given_up(called(self.rules, self.codec.text(path.tokens)))
            self._retry_or_drop(question, path)
            return
        calls = question.report.note_calls(played.info["calls"])
        if not played.episode.valid:
            if played.episode.stop_reason != StopReason.TOOL_FAULT:
                question.report.note_judge()
            self._retry_or_drop(question, path)
            return
        self._close_turn(path)
        if played.ended:
            self._end(question, path, played.episode.stop_reason or "truncated", None)
            return
        tokens = self.codec.observation(played.observation)
        tree = question.tree
        if tree.nodes[path.branch.node].end + len(tokens) >= self.limits.total:
            self._end(question, path, "max_context", None)
            return
        node = self.engine.observe(path.branch, tokens)
        path.after_tool, path.state = bool(calls), state_of(environment_of(path))
        path.results += path.after_tool
        self._move_anchor(tree, path, tree.root)
        if getattr(self.strategy, "keeps_moments", False) and question.left > 0:
            self._keep_moment(question, path, node)
        if path.after_tool and path.may_fork and question.left > 0:
            self._prepare_fork(question, path, node)
        self._write(path)

    def _prepare_fork(self, question: Question, path: Path, node: int) -> None:
        """Put the environment aside at the observation: for the decision, and for the path itself."""
        try:
            moment = aepo_env.snapshot(environment_of(path))
        except ForkNotSupported:  # an interpreter that can be neither forked at this moment nor rebuilt
            question.report.unforkable += 1
            return
        question.tree.hold(node, moment)
        self._move_anchor(question.tree, path, node)
        path.looks_ahead = True

    def _keep_moment(self, question: Question, path: Path, node: int) -> None:
        """Put the environment aside at the observation until the question is finished."""
        try:
            question.tree.hold(node, aepo_env.snapshot(environment_of(path)))
        except ForkNotSupported:
            question.report.unforkable += 1
            return
        question.kept.append(node)
        path.moments.append(Moment(node, len(path.turns), path.results, path.after_tool))

    def _move_anchor(self, tree: TokenTree, path: Path, node: int) -> None:
        """One holder less at the old place, one more at the new; the prompt's snapshot is the question's own."""
        if node != tree.root:
            tree.retain(node)
        if path.anchor != tree.root:
            tree.release(path.anchor)
        path.anchor, path.anchor_turns = node, len(path.turns) if node != tree.root else 0

    # ---------------------------------------------------------------------------------------------------------- forking

    def _settle(self, question: Question) -> None:
        """Go on with the question if no path of it is on its way to a decision or an end.

        By arrival, whoever waits is decided on at once.
        """
        if not question.live:
            self._start_roots(question)
            return
        waiting = [path for path in question.live if path.waits]  # in the order of their numbers, as they were started
        if waiting and (len(waiting) == len(question.live) or self.schedule == "arrival"):
            self._decide(question, waiting)

    def _decide(self, question: Question, waiting: Sequence[Path]) -> None:
        """One round of fork decisions; originals go on with the turns they have begun, children begin their own."""
        by_number = {path.number: path for path in waiting}
        records = self.strategy.forks(question, waiting) if question.left > 0 else []
        children = []
        for record in records:
            path = by_number[record.path]
            child = self._fork(question, path, record.node) if record.outcome == "forked" else None
            if child is not None:
                children.append(child)
            elif record.outcome == "forked":
                record = record._replace(outcome="environment")
            question.report.forks.append(record)
            path.streak = next_streak(path.streak, child is not None)
            if child is not None:
                child.streak = path.streak
        question.streak = next_streak(question.streak, bool(children))
        for path in waiting:
            path.waits = False
            question.tree.release(question.tree.fork_point(path.branch.node))
        for child in children:
            self._write(child)
        for path in waiting:
            if path.finish == "length" and self._room(path) > 0:
                self._write(path)
            else:
                self._end_turn(question, path)

    def _fork(self, question: Question, path: Path, node: int) -> Path | None:
        """A child at the observation before the path's look-ahead; None where the environment cannot be forked."""
        if question.left <= 0:
            raise ValueError(f"The strategy forks path {path.number} of {question.name} beyond the budget.")
        try:
            child = self._new_path(question, path.branch, node)
        except ForkNotSupported:
            return None
        question.used += 1
        child.may_fork = True
        self._inherit(child, path, len(path.turns), path.results, path.after_tool)
        self._move_anchor(question.tree, child, node)
        return child

    # ----------------------------------------------------------------------------------------------------------- ending

    def _end(self, question: Question, path: Path, reason: str, cut: str | None) -> None:
        """The path is over. cut: text of a turn that was begun and not played."""
        env = environment_of(path)
        episode = episode_of(env)
        if episode.stop_reason is None:
            episode = scored_as_cut(env, cut)
            if not episode.valid:
                question.report.note_judge()
        if not episode.valid or episode.rewards is None:
            self._retry_or_drop(question, path)
            return
        if cut is not None:
            self._close_turn(path)
        check_leaf(question.tree, path, episode, self.codec)
        path.stop_reason, path.rewards = str(reason), dict(episode.rewards)
        if path.is_member:
            question.report.note(episode)
        if path.steps:  # environments reward the end of an episode alone
            path.steps[-1] = path.steps[-1]._replace(reward=path.rewards["total"])
        question.done.append(path)
        self._bury(question, path)

    def _retry_or_drop(self, question: Question, path: Path) -> None:
        """A fault that says nothing about the policy: begin again at the nearest snapshot, once."""
        path.attempt += 1
        if path.attempt >= _ATTEMPTS:
            question.report.dropped += 1
            self._bury(question, path)
            return
        question.report.retried += 1
        try:
            env = self._env_at(question, path.anchor)
        except ForkNotSupported:  # at the prompt no interpreter runs yet
            self._move_anchor(question.tree, path, question.tree.root)
            env = self._env_at(question, path.anchor)
        if path.env is not None:
            path.env.close()
        path.env = env
        key = (*self.key, question.name, path.number, path.attempt)
        branch = self.engine.fork(path.branch, path.anchor, key=key)
        del self.at[path.branch]
        self.engine.close(path.branch)
        path.branch = branch
        self.at[branch] = question, path
        path.tokens, path.entropies = [], []
        undone = len(path.turns) - path.anchor_turns
        del path.turns[path.anchor_turns :], path.levels[max(0, len(path.levels) - undone) :]
        del path.steps[path.anchor_turns :]
        path.moments = [moment for moment in path.moments if moment.turns <= path.anchor_turns]
        path.state = state_of(env)
        if path.anchor == question.tree.root:
            path.parent, path.origin, path.start_level = None, question.tree.root, None
            path.trunk = path.number
            path.streak, path.results, path.after_tool = 0, 0, False
        self._write(path)

    def _bury(self, question: Question, path: Path) -> None:
        question.live.remove(path)
        self._move_anchor(question.tree, path, question.tree.root)
        self._let_go(path)
        self._settle(question)

    def _let_go(self, path: Path) -> None:
        """Close the path's branch and environment. Its nodes stay."""
        self.at.pop(path.branch, None)
        self.engine.close(path.branch)
        env, path.env = path.env, None
        if env is not None:
            env.close()

    def _finish(self, question: Question) -> None:
        """All paths have ended: write the leaves, in the order of the paths' numbers."""
        for path in sorted(question.done, key=lambda path: path.number):
            if path.is_member:
                question.tree.add_leaf(path.branch.node, path.stop_reason, path.rewards, path.steps, path.trunk)
                question.report.leaves.append(
                    LeafRecord(
                        path.number, path.parent, path.origin, len(path.turns), path.stop_reason, path.attempt > 0
                    )
                )
        self.engine.close(question.trunk)
        for node in (question.tree.root, *question.kept):
            question.tree.release(node)
        question.kept.clear()
        if question.tree.snapshots_held:
            raise RuntimeError(f"{question.tree.snapshots_held} snapshots of {question.name} are still held.")
        question.tree.check()
        self.growing -= 1
