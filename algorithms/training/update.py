"""Several optimiser steps on one rollout batch: whole questions dealt to mini-batches, global denominators.

    batch = LeafBatch.of(trees, learner.score(trees, with_entropies="entropies" in algorithm.needs))
    report = update(learner, algorithm, batch, algorithm.advantages(batch), np.random.default_rng(seed))
    report.plain()                                       # for metrics.jsonl

Every question goes into one mini-batch, informative ones (any advantage other than 0) and the rest dealt apart, so that
each optimiser step gets its share. Denominators count all leaves of a mini-batch; of questions whose advantages are all
0 that is all that is done, since their terms are 0. However a mini-batch is cut into micro-batches, the step is the
same up to rounding (but for `part-token-mean`, which means the cut).
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.loss.aggregation import aggregate, row_weights
from algorithms.loss.terms import ClipCounts, clip_counts
from algorithms.policy.learner import Learner
from algorithms.policy.packing import TreeBatch, pack
from algorithms.training.update_report import StepReport, UpdateReport

_FARTHEST = 20.0  # log-ratios are cut here before exp, as in the losses


def update(
    learner: Learner, algorithm: Algorithm, batch: LeafBatch, advantage: Tensor, random: np.random.Generator
) -> UpdateReport:
    """Train on one rollout batch.

    Args:
        learner: its weights change.
        algorithm: its loss, aggregation and number of updates.
        batch: with old log-probabilities of the weights the trees were grown with.
        advantage: `algorithm.advantages(batch)`, [K, T].
        random: deals the questions; the same state deals the same way.

    Raises:
        ValueError: shapes do not fit, or a tree changed since the batch was laid out.
        FloatingPointError: an advantage, an old log-probability, a loss or a gradient is not finite. Checked before any
            step for what is given; else the weights are those after the last step that was sound.
    """
    started = time.perf_counter()
    _check(batch, advantage)
    informative = batch.informative(advantage).tolist()
    steps, idle = [], 0
    for _ in range(algorithm.epochs):
        for questions in deal(informative, algorithm.updates // algorithm.epochs, random):
            if any(informative[question] for question in questions):
                steps.append(_step(learner, algorithm, batch, advantage, questions, informative))
            else:
                idle += 1
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
    batch: LeafBatch,
    advantage: Tensor,
    questions: list[int],
    informative: Sequence[bool],
) -> StepReport:
    """One optimiser step on a mini-batch."""
    groups, part = _cut(learner, algorithm, batch, questions, informative)
    rows = batch.leaves_of(questions)
    parts = None
    if algorithm.aggregation == "part-token-mean":
        parts = torch.tensor(part)[batch.questions[rows]]
    elif algorithm.aggregation == "group-mean-token-mean":
        parts = batch.questions[rows]
    weights = torch.zeros(len(batch.questions), dtype=torch.float64)
    lengths = batch.mask[rows].sum(-1)
    weights[rows] = row_weights(algorithm.aggregation, lengths, parts=parts, constant=algorithm.constant_length)
    counts: list[ClipCounts] = []
    drift = torch.zeros(2, dtype=torch.float64)  # sums of |ratio - 1| and of k3

    def loss(number: int, laid_out: TreeBatch, logp: Tensor) -> Tensor:
        mine = batch.leaves_of(groups[number])
        width, device = logp.shape[1], logp.device
        mask = batch.mask[mine, :width]
        if not torch.equal(laid_out.mask.cpu(), mask) or bool(batch.mask[mine, width:].any()):
            raise ValueError("A tree has changed since the batch was laid out: lay it out after the last change.")
        old, mask = batch.old_log_probs[mine, :width].to(device), mask.to(device)
        terms = algorithm.loss(logp, old, advantage[mine, :width].to(device), mask)
        counts.append(clip_counts(terms, mask))
        if counts[-1].unusable:
            raise FloatingPointError(
                f"{counts[-1].unusable:.0f} of {counts[-1].trained:.0f} trained tokens have a log-probability that is "
                "NaN or infinite: no step was made. Go back to an earlier checkpoint, with a lower learning rate."
            )
        drift.add_(_drift(logp.detach(), old, mask).cpu())
        return aggregate(terms.loss, mask, weights[mine])

    numbers = learner.step(batch.trees, groups, loss)
    clips = ClipCounts(*map(sum, zip(*counts, strict=True)))
    deviation, divergence = (drift / max(1.0, clips.trained)).tolist()
    silent = sum(not informative[question] for question in questions)
    return StepReport(numbers, len(questions), silent, int(lengths.sum()), clips, deviation, divergence)


def _cut(
    learner: Learner, algorithm: Algorithm, batch: LeafBatch, questions: list[int], informative: Sequence[bool]
) -> tuple[list[list[int]], list[int]]:
    """Micro-batches of informative questions, and the number of the part each tree counts in (0 if it is elsewhere).

    Where parts are the micro-batches, uninformative questions have their places in them, as rows of 0 would.
    """
    counted = questions
    if algorithm.aggregation != "part-token-mean":
        counted = [question for question in questions if informative[question]]
    packed = pack([batch.trees[question] for question in counted], learner.token_budget)
    part = [0] * len(batch.trees)
    groups = []
    for number, group in enumerate(packed):
        for place in group:
            part[counted[place]] = number
        groups.append([counted[place] for place in group if informative[counted[place]]])
    return [group for group in groups if group], part


def _drift(logp: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """Sums over trained tokens, [2] float64: |ratio - 1|, and k3, an estimate of KL(old || new)."""
    log_ratio = torch.where(mask, logp - old, 0.0).to(torch.float64).clamp(-_FARTHEST, _FARTHEST)
    ratio = log_ratio.exp()
    return torch.stack([(ratio - 1).abs().sum(), (ratio - 1 - log_ratio).sum()])


def _check(batch: LeafBatch, advantage: Tensor) -> None:
    """What is given fits, and is finite."""
    if advantage.shape != batch.mask.shape:
        raise ValueError(f"Expected advantages {list(batch.mask.shape)}, one per leaf token; got {advantage.shape}.")
    for what, values in (("advantage", advantage), ("old log-probability", batch.old_log_probs)):
        broken = int((~torch.isfinite(values) & batch.mask).sum())
        if broken:
            raise FloatingPointError(
                f"{broken} trained tokens have an {what} that is NaN or infinite; nothing is done."
            )
