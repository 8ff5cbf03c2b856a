"""Trainer: one run, step by step: grow, filter, score, shape, estimate, update, audit, report.

    trainer = Trainer(config, policy, directory, say=print)
    trainer.evaluate("before")
    trainer.train()
    trainer.evaluate("after")

Everything that decides a step is in `config`, in the weights and in `trainer.state()`; seeds are keyed by the step's
number, so that a run gives the same metrics again (timings aside) at the same thread count, and goes on from a
checkpoint as if it had not stopped.

Left out: the course of a run from its start to its end (`training.course`).
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from algorithms.advantage.estimators import EntropyAware
from algorithms.advantage.structured import EpisodeAndSteps
from algorithms.algorithm import Algorithm, leaf_rewards
from algorithms.loss.surrogates import BalancedClip
from algorithms.policy.learner import Learner
from algorithms.policy.loading import Policy
from algorithms.policy.lora import adapter_state, add_adapters, load_adapter_state
from algorithms.policy.sampling import Sampling
from algorithms.rollout.faults import ToolsFailed, failed, in_words, together
from algorithms.rollout.grow import grow
from algorithms.rollout.inputs import TokenLimits
from algorithms.rollout.paths import Deviations
from algorithms.rollout.records import QuestionReport
from algorithms.rollout.streams import generator
from algorithms.rollout.streams import number as stream_number
from algorithms.settings import with_settings
from algorithms.training import traces
from algorithms.training.audits import audit_log_probs, check_counts, shown
from algorithms.training.config import RunConfig
from algorithms.training.evaluation import Evaluation, evaluate, with_f1
from algorithms.training.known import algorithm as known_algorithm
from algorithms.training.measures import Interpreters, step_metrics, success_deviation, success_of, variety
from algorithms.training.questions import Questions, make_environment
from algorithms.training.run_directory import RunDirectory
from algorithms.training.scoring import Scorers
from algorithms.training.traces import Played
from algorithms.training.update import update
from algorithms.training.watch import Watch

Say = Callable[[str], None]

SMALL = 10_000_000
"""Models of fewer parameters are saved after every step, unless the config says otherwise; others every 10 minutes."""


def algorithm_of(config: RunConfig) -> Algorithm:
    """The run's algorithm with the settings its config changes."""
    return with_settings(known_algorithm(config.algorithm, config.variant), config.settings)


class _Batch(NamedTuple):
    """What was grown for a step. kept: trained on. grown, reports: all, those that a filter left out too. rounds: of
    growing. questions: asked, those that faults took included."""

    kept: list[Played]
    grown: list[Played]
    reports: list[QuestionReport]
    rounds: int
    questions: int


class Trainer:
    """A run in progress. See the module's docstring.

    Args:
        config: all settings.
        policy: its model is trained in place; where the config says so, through adapters that are put into it.
        directory: where metrics go; None keeps nothing.
        say: gets a line a step, and warnings.

    Attributes:
        done: steps taken. is_whole: False while weights and optimiser are not those behind step `done`: in the midst of
            an update, and after one that failed.
    """

    def __init__(self, config: RunConfig, policy: Policy, directory: RunDirectory | None, say: Say = print) -> None:
        self.config, self.policy, self.directory, self.say = config, policy, directory, say
        self.algorithm = algorithm_of(config)
        if config.lora.rank:
            add_adapters(policy.model, config.lora, stream_number(config.seed, "lora"))
        total = config.steps * self.algorithm.updates
        falling = range(total - round(config.cooldown * total), total)
        self.learner = Learner(policy.model, config.optimiser, config.token_budget, config.temperature, falling=falling)
        self.scorers = Scorers.of(self.algorithm, self.learner)  # the reference is the policy as given
        self.limits = TokenLimits(config.turn_tokens, config.total_tokens)
        self.questions = Questions(config.environment, config.seed)
        self.deviations = Deviations()
        self.done = 0
        self.is_whole = True
        self._standing = (self.questions.cursor, self.deviations)
        self._evaluated = {record["when"] for record in directory.records("eval.jsonl")} if directory else set()
        self._saved: int | None = None
        self._saved_at = time.perf_counter()
        self._development: Any = None
        self._watch: Watch | None = None
        self._interpreters = Interpreters()

    # ---------------------------------------------------------------------------------------------------- one step

    def train(self) -> None:
        """Take the steps that are left, with evaluations and checkpoints in between."""
        if self.config.schedule == "arrival" and self.done < self.config.steps:
            self.say(
                "schedule arrival: forks follow the order in which tools answer, so this run cannot be repeated exactly"
            )
        began, first = time.perf_counter(), self.done
        self._evaluate_in_between()
        while self.done < self.config.steps:
            metrics = self.step()
            spent = time.perf_counter() - began
            left = spent / (self.done - first) * (self.config.steps - self.done)
            self.say(_line(metrics, self.config.steps, left))
            self.save_if_due()
            self._evaluate_in_between()

    def step(self) -> dict[str, Any]:
        """One rollout batch and its optimiser steps; the metrics, which are also written."""
        number, began = self.done, time.perf_counter()
        self._interpreters.since_last()  # those of an evaluation in between, on the same pool, are not this step's
        grown = self._grow(number)
        trees = [one.tree for one in grown.kept]
        if number == 0 and self.directory is not None:
            self.directory.write_text("first_batch.txt", shown(trees, self.policy.tokenizer))
        grew = time.perf_counter()
        key = (self.config.seed, number)
        audit = audit_log_probs(self.learner, trees, self.config.audited, generator(*key, "audit"))
        batch = self.scorers.batch(trees, self.limits.total)
        check_counts(trees, batch)
        if self.config.shuffled_rewards:
            order = torch.from_numpy(generator(*key, "shuffle").permutation(len(batch.rewards)))
            batch = replace(batch, rewards=batch.rewards[order])
        advantage = self.algorithm.advantages(batch)
        scored = time.perf_counter()
        self.is_whole = False
        critic = self.scorers.critic
        report = update(self.learner, self.algorithm, batch, advantage, generator(*key, "deal"), critic)
        self.done += 1
        metrics = step_metrics(
            self.done, trees, grown.reports, batch, advantage, report, grown_questions=grown.questions
        )
        grown_trees = [one.tree for one in grown.grown]
        metrics |= {
            "wanted_questions": self.config.questions,
            "masked_leaves": int((batch.mask & ~self.algorithm.trained(batch)).any(dim=-1).sum()),
            "parts": _parts(self.algorithm),
            "grown_success": success_of(grown_trees),  # a filter keeps questions by their success
            "grown_success_deviation": success_deviation(grown_trees),
            "grown": variety(grown_trees),
            "rounds": grown.rounds,
            "audit": audit._asdict(),
            "interpreters": self._interpreters.since_last(),
            "seconds": {"rollout": grew - began, "score": scored - grew, "update": time.perf_counter() - scored},
        }
        assert self._watch is not None  # made with the first batch's environment
        metrics["warnings"] = self._watch.look(metrics)
        if self.directory is not None:
            if self.config.traces:
                some = traces.chosen(grown.kept, self.config.traces)
                traces.write(self.directory.path, self.done, some, batch, advantage, self.policy.tokenizer)
            self.directory.append("metrics.jsonl", metrics)
        for warning in metrics["warnings"]:
            self.say(f"WARNING  {warning}")
        self._standing, self.is_whole = (self.questions.cursor, self.deviations), True
        return metrics

    def _grow(self, number: int) -> _Batch:
        """Grow questions until the filter is content.

        Where the filter keeps nothing, all are trained on: their denominators count, and a divergence or a critic may
        learn from them.
        """
        wanted, rounds, grown_questions = self.config.questions, 0, 0
        grown_so_far: list[Played] = []
        kept: list[Played] = []
        reports: list[QuestionReport] = []
        seen: Counter[str] = Counter()  # a small corpus may ask a question again in a later round
        while True:
            env, tasks = self.questions.next(wanted - len(kept))
            self._prepare(env)
            grown = grow(
                tasks,
                env,
                self.policy.engine(),
                self.policy.codec,
                self.algorithm.rollout,
                seed=self.config.seed,
                step=number,
                limits=self.limits,
                sampling=Sampling(temperature=self.config.temperature),
                deviations=self.deviations,
                threads=self.config.tool_threads,
                schedule=self.config.schedule,
                seen=seen,
            )
            self.deviations = grown.deviations
            rounds, grown_questions = rounds + 1, grown_questions + len(tasks)
            reports += grown.reports
            every = map(Played, tasks, grown.trees, grown.reports)
            usable = [one for one in every if one.tree.leaves]  # a question may lose all to faults
            grown_so_far += usable
            if usable:
                keep = self.algorithm.filter.keep(*(rewards := leaf_rewards([one.tree for one in usable])))
                kept += [one for place, one in enumerate(usable) if bool(keep[rewards[1] == place].all())]
            if not (kept or grown_so_far):
                why = in_words(together([report.faults for report in reports]))
                raise ToolsFailed(f"All trajectories of step {number + 1} were lost to faults: {why}.")
            if not self.algorithm.filter.asks_again(len(kept), wanted, rounds):
                break
        return _Batch(kept or grown_so_far, grown_so_far, reports, rounds, grown_questions)

    def _prepare(self, env: Any) -> None:
        tools = env.unwrapped.rules.tools
        self._interpreters.watch(tools)
        if self._watch is None:
            self._watch = Watch([tool.name for tool in tools], _parts(self.algorithm))
            if self.done and self.directory is not None:  # a run that goes on has heard its earlier warnings
                for metrics in self.directory.records("metrics.jsonl")[: self.done]:
                    self._watch.look(metrics)

    # -------------------------------------------------------------------------------------------------- evaluation

    def evaluate(self, when: str, *, sampled: bool = True) -> Evaluation:
        """Success on the dev split; written to eval.jsonl."""
        if self._development is None:
            self._development = with_f1(make_environment(self.config.environment, "dev"))
        tasks = self._development.unwrapped.tasks[: self.config.evaluation.questions]
        began = time.perf_counter()
        found = evaluate(
            self.policy,
            self._development,
            tasks,
            self.config.evaluation,
            self.limits,
            seed=self.config.seed,
            sampled=sampled,
            say=self.say,
        )
        seconds = time.perf_counter() - began
        if self.directory is not None:
            record = {"when": when, "step": self.done, "questions": len(tasks), **found.to_plain(), "seconds": seconds}
            self.directory.append("eval.jsonl", record)
        self._evaluated.add(when)
        return found

    def _evaluate_in_between(self) -> None:
        """The evaluation that belongs behind step `done`, unless it was made already."""
        every, when = self.config.evaluation.every, f"step {self.done}"
        if every and self.done % every == 0 and 0 < self.done < self.config.steps and when not in self._evaluated:
            self.evaluate(when, sampled=False)

    # ------------------------------------------------------------------------------------------------------- state

    def save(self) -> None:
        """Write a checkpoint, unless there is one of step `done`, or nothing whole that could be written."""
        if self.directory is not None and self.is_whole and self._saved != self.done:
            self.directory.save(self.policy, self.state(), self.done)
            self._saved, self._saved_at = self.done, time.perf_counter()

    def save_if_due(self) -> None:
        """Write a checkpoint if the last one, or the start, is long enough ago: see `RunConfig.checkpoint_minutes`."""
        minutes = self.config.checkpoint_minutes
        if minutes is None:
            minutes = 0 if sum(one.numel() for one in self.policy.model.parameters()) < SMALL else 10
        if time.perf_counter() - self._saved_at >= 60 * minutes:
            self.save()

    def state(self) -> dict[str, Any]:
        """All that a run goes on from besides its config and weights: as it was after step `done`, even while the next
        batch grows. Random numbers are not among it: their streams are named by seed and step."""
        cursor, deviations = self._standing
        adapters = {"adapters": adapter_state(self.policy.model)} if self.config.lora.rank else {}
        return {
            **adapters,
            "done": self.done,
            "cursor": cursor,
            "deviations": [list(part) for part in deviations],
            "learner": self.learner.state_dict(),
            "scorers": self.scorers.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.done, self.questions.cursor = state["done"], state["cursor"]
        kinds = [type(part) for part in self.deviations]
        self.deviations = Deviations(*(kind(*part) for kind, part in zip(kinds, state["deviations"], strict=True)))
        if self.config.lora.rank:  # the policy was saved merged
            load_adapter_state(self.policy.model, state.get("adapters", {}))
        self.learner.load_state_dict(state["learner"])
        self.scorers.load_state_dict(state.get("scorers", {}))
        self._standing = (self.questions.cursor, self.deviations)
        self._saved = self.done

    def close(self) -> None:
        """Close environments. Idempotent."""
        self.questions.close()
        if self._development is not None:
            self._development.close()
            self._development = None


def _parts(algorithm: Algorithm) -> list[str]:
    """What the algorithm should be seen to do: see `watch.Watch`."""
    rollout: Any = algorithm.rollout
    found = ["branching"] if hasattr(rollout, "rule") else []
    if getattr(rollout, "premonitor", False):
        found.append("premonitor")
    if isinstance(algorithm.loss, BalancedClip) and algorithm.loss.balanced:
        found.append("balanced")
    if isinstance(algorithm.advantage, EntropyAware) and algorithm.advantage.weight:
        found.append("entropy_weight")
    if isinstance(algorithm.advantage, EpisodeAndSteps) and algorithm.advantage.weight:
        found.append("steps")
    return found


def _line(metrics: Mapping[str, Any], steps: int, left: float) -> str:
    rollout, seconds = metrics["rollout"], metrics["seconds"]
    clipped = metrics["update"]["clip_share"]
    failing = sum(failed(rollout).values())
    faults = f"FAILED CALLS {failing}/{sum(rollout['tool_calls'].values())}  " if failing else ""
    return (
        f"step {metrics['step']:>3}/{steps}  success {metrics['grown_success']:.2f}  reward {metrics['reward']:+.2f}  "
        f"entropy {metrics['entropy']:.2f}  roots {metrics['roots_mean']:.1f}  forks {rollout['forks']:>3}  "
        f"clipped {100 * (clipped or 0):.1f} %  tokens {metrics['unique_tokens']}/{metrics['raw_tokens']}  "
        f"{faults}rollout {seconds['rollout']:.1f} s  update {seconds['update']:.1f} s  left {_clock(left)}"
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
