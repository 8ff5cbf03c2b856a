"""Several optimiser steps on one rollout batch: whole questions dealt to mini-batches, global denominators.

    batch = LeafBatch.of(trees, learner.score(trees, with_entropies="entropies" in algorithm.needs))
    report = update(learner, algorithm, batch, algorithm.advantages(batch), np.random.default_rng(seed))
    report.plain()                                       # for metrics.jsonl

Every question goes into one mini-batch, informative ones (any advantage other than 0) and the rest dealt apart, so that
each optimiser step gets its share. Denominators count all leaves of a mini-batch; of questions whose advantages are all
0 that is all that is done, unless the algorithm learns from them too (`Algorithm.trains_all`). However a mini-batch is
cut into micro-batches, the step is the same up to rounding (but for `part-token-mean`, which means the cut).
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.loss.terms import ClipCounts
from algorithms.policy.critic import Critic
from algorithms.policy.learner import Learner
from algorithms.policy.packing import TreeBatch, pack
from algorithms.training.objective import Objective
from algorithms.training.update_report import StepReport, UpdateReport


def update(
    learner: Learner,
    algorithm: Algorithm,
    batch: LeafBatch,
    advantage: Tensor,
    random: np.random.Generator,
    critic: Critic | None = None,
) -> UpdateReport:
    """Train on one rollout batch.

    Args:
        learner: its weights change.
        algorithm: its loss, aggregation, options and number of updates.
        batch: with old log-probabilities of the weights the trees were grown with, and whatever else it needs.
        advantage: `algorithm.advantages(batch)`, [K, T].
        random: deals the questions; the same state deals the same way.
        critic: of an algorithm that has one; makes a step with each of the policy's.

    Raises:
        ValueError: shapes do not fit, a critic is missing, or a tree changed since the batch was laid out.
        FloatingPointError: an advantage, an old log-probability, a loss or a gradient is not finite. Checked before any
            step for what is given; else the weights are those after the last step that was sound.
    """
    started = time.perf_counter()
    if (critic is None) != (algorithm.critic is None):
        raise ValueError(f"{algorithm.name} and its update must agree on whether there is a critic.")
    returns = algorithm.returns(batch)
    _check(batch, advantage, returns)
    informative = batch.informative(torch.where(algorithm.trained(batch), advantage, 0.0)).tolist()
    forwarded = [True] * len(informative) if algorithm.trains_all else informative
    steps, idle = [], 0
    for _ in range(algorithm.epochs):
        for questions in deal(informative, algorithm.updates // algorithm.epochs, random):
            if not any(forwarded[question] for question in questions):
                idle += 1
                continue
            groups, part = _cut(learner, algorithm, batch, questions, forwarded)
            rows = batch.leaves_of(questions)
            parts = None
            if algorithm.aggregation == "part-token-mean":
                parts = torch.tensor(part)[batch.questions[rows]]
            elif algorithm.aggregation == "group-mean-token-mean":
                parts = batch.questions[rows]
            objective = Objective(algorithm, batch, advantage, rows, parts, random, returns)
            steps.append(_step(learner, algorithm, objective, questions, informative, groups, critic))
    return UpdateReport(tuple(steps), idle, len(informative), informative.count(False), time.perf_counter() - started)


def deal(informative: Sequence[bool], updates: int, random: np.random.Generator) -> list[list[int]]:
    """Questions of each of `updates` mini-batches, ascending; the sizes of both kinds differ by at most one each."""
    told = np.flatnonzero(np.asarray(informative, dtype=bool))
    silent = np.flatnonzero(~np.asarray(informative, dtype=bool))
    # One after the other round the table, so that the silent ones go on where the informative ones ended.
    order = [*random.permutation(told).tolist(), *random.permutation(silent).tolist()]
    return [sorted(order[start::updates]) for start in range(updates)]


def _step(
    learner: Learner,
    algorithm: Algorithm,
    objective: Objective,
    questions: list[int],
    informative: Sequence[bool],
    groups: list[list[int]],
    critic: Critic | None,
) -> StepReport:
    """One optimiser step on a mini-batch, of the policy and of a critic."""
    batch = objective.batch

    def rows_of(number: int, laid_out: TreeBatch) -> Tensor:
        mine, mask = batch.leaves_of(groups[number]), laid_out.mask.cpu()
        width = mask.shape[1]
        if not torch.equal(mask, batch.mask[mine, :width]) or bool(batch.mask[mine, width:].any()):
            raise ValueError("A tree has changed since the batch was laid out: lay it out after the last change.")
        return mine

    numbers = learner.step(
        batch.trees,
        groups,
        lambda number, laid_out, logp: objective.policy(rows_of(number, laid_out), logp),
        (lambda number, laid_out, entropies: objective.bonus(rows_of(number, laid_out), entropies))
        if algorithm.entropy_bonus
        else None,
    )
    extras = objective.extras()
    if critic is not None:
        learned = critic.step(
            batch.trees, groups, lambda number, laid_out, values: objective.critic(rows_of(number, laid_out), values)
        )
        extras |= {"critic_loss": learned.loss, "critic_grad_norm": learned.grad_norm}
    clips = ClipCounts(*map(sum, zip(*objective.counts, strict=True)))
    silent = sum(not informative[question] for question in questions)
    return StepReport(numbers, len(questions), silent, int(objective.lengths.sum()), clips, *objective.drift(), extras)


def _cut(
    learner: Learner, algorithm: Algorithm, batch: LeafBatch, questions: list[int], forwarded: Sequence[bool]
) -> tuple[list[list[int]], list[int]]:
    """Micro-batches of questions to forward, and the number of the part each tree counts in (0 if it is elsewhere).

    Where parts are the micro-batches, the other questions have their places in them, as rows of 0 would.
    """
    counted = questions
    if algorithm.aggregation != "part-token-mean":
        counted = [question for question in questions if forwarded[question]]
    packed = pack([batch.trees[question] for question in counted], learner.token_budget)
    part = [0] * len(batch.trees)
    groups = []
    for number, group in enumerate(packed):
        for place in group:
            part[counted[place]] = number
        groups.append([counted[place] for place in group if forwarded[counted[place]]])
    return [group for group in groups if group], part


def _check(batch: LeafBatch, advantage: Tensor, returns: Tensor | None) -> None:
    """What is given fits, and is finite."""
    if advantage.shape != batch.mask.shape:
        raise ValueError(f"Expected advantages {list(batch.mask.shape)}, one per leaf token; got {advantage.shape}.")
    numbers = {
        "an advantage": advantage,
        "an old log-probability": batch.old_log_probs,
        "a log-probability under the reference": batch.ref_log_probs,
        "a log-probability of the sampling engine": batch.rollout_log_probs,
        "a return": returns,
    }
    for what, values in numbers.items():
        if values is None:
            continue
        broken = int((~torch.isfinite(values) & batch.mask).sum())
        if broken:
            raise FloatingPointError(f"{broken} trained tokens have {what} that is NaN or infinite; nothing is done.")
