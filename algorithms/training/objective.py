"""Objective: the loss of one optimiser step, on any of its rows: policy terms, and what an algorithm adds to them.

    objective = Objective(algorithm, batch, advantage, rows, parts, random)
    loss = objective.policy(mine, logp)                    # for micro-batches that make up the rows, in any cut
    loss = loss + objective.bonus(mine, entropies)

Everything that looks at several rows (denominators, chosen tokens, the mean of correction weights) is decided here once
for the step, so that the cut does not matter. Rows are those of the batch; a micro-batch's tensors may be narrower.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.loss.aggregation import aggregate, row_weights
from algorithms.loss.kl import kl_terms
from algorithms.loss.mismatch import importance_weights, weighted
from algorithms.loss.terms import ClipCounts, clip_counts
from algorithms.loss.value import value_terms

_FARTHEST = 20.0  # log-ratios are cut here before exp, as in the losses


class Objective:
    """What is minimised in one optimiser step.

    Args:
        algorithm: its loss, aggregation and options.
        batch: the rollout batch. advantage: [K, T].
        rows: of the batch that belong to this step, [k].
        parts: for aggregations that average inside parts, [k]; else None.
        random: for losses that choose tokens by chance.
        returns: what a critic should say, [K, T]; None without one.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        batch: LeafBatch,
        advantage: Tensor,
        rows: Tensor,
        parts: Tensor | None,
        random: np.random.Generator,
        returns: Tensor | None = None,
    ) -> None:
        self.algorithm, self.batch, self.advantage, self.returns = algorithm, batch, advantage, returns
        mask = torch.zeros_like(batch.mask)
        mask[rows] = algorithm.trained(batch)[rows]
        self.mask = mask
        self.lengths = mask[rows].sum(-1)
        weights = row_weights(algorithm.aggregation, self.lengths, parts=parts, constant=algorithm.constant_length)
        self.weights = torch.zeros(len(mask), dtype=torch.float64).index_copy(0, rows, weights)
        self._critic_weights = torch.zeros_like(self.weights).index_copy(
            0, rows, row_weights("token-mean", self.lengths)
        )
        loss: Any = algorithm.loss
        chooses = hasattr(loss, "choose")
        self.chosen = loss.choose(batch.old_log_probs, advantage, mask, random) if chooses else None
        self.correction = self._correction()
        self.counts: list[ClipCounts] = []
        # Sums over trained tokens of |ratio - 1|, of k3 to the old policy, of the divergence and of entropies.
        self._sums = torch.zeros(4, dtype=torch.float64)

    def policy(self, mine: Tensor, logp: Tensor) -> Tensor:
        """The policy's loss on some rows, a scalar.

        Args:
            mine: rows of the batch, [k].
            logp: their log-probabilities under the policy in training, [k, width].

        Raises:
            FloatingPointError: a trained token's is not finite.
        """
        algorithm, width, device = self.algorithm, logp.shape[1], logp.device
        mask, old, advantage = (
            values[mine, :width].to(device) for values in (self.mask, self.batch.old_log_probs, self.advantage)
        )
        loss: Any = algorithm.loss
        if self.chosen is None:
            terms = loss(logp, old, advantage, mask)
        else:
            terms = loss(logp, old, advantage, mask, self.chosen[mine, :width].to(device))
        counts = clip_counts(terms, mask)
        self.counts.append(counts)
        if counts.unusable:
            raise FloatingPointError(
                f"{counts.unusable:.0f} of {counts.trained:.0f} trained tokens have a log-probability that is "
                "NaN or infinite: no step was made. Go back to an earlier checkpoint, with a lower learning rate."
            )
        if self.correction is not None:
            terms = weighted(terms, self.correction[mine, :width].to(device))
        self._sums[:2] += _drift(logp.detach(), old, mask).cpu()
        total = aggregate(terms.loss, mask, self.weights[mine])
        if algorithm.kl.is_in("loss"):
            assert self.batch.ref_log_probs is not None  # Algorithm.shaped saw to it
            reference = self.batch.ref_log_probs[mine, :width].to(device)
            divergence = kl_terms(logp, reference, mask, algorithm.kl.estimator).loss
            self._sums[2] += divergence.detach().double().sum().cpu()
            total = total + algorithm.kl.coefficient * aggregate(divergence, mask, self.weights[mine])
        return total

    def bonus(self, mine: Tensor, entropies: Tensor) -> Tensor:
        """What the entropy bonus adds to the loss on some rows; entropies: [k, width], with gradient."""
        mask = self.mask[mine, : entropies.shape[1]].to(entropies.device)
        self._sums[3] += torch.where(mask, entropies.detach(), 0.0).double().sum().cpu()
        return -self.algorithm.entropy_bonus * aggregate(entropies, mask, self.weights[mine])

    def critic(self, mine: Tensor, values: Tensor) -> Tensor:
        """The critic's loss on some rows, a mean over tokens; values: [k, width], with gradient."""
        assert self.algorithm.critic is not None  # training.update saw to it
        assert self.batch.values is not None
        assert self.returns is not None
        width = values.shape[1]
        mask, old, returns = (
            part[mine, :width].to(values.device) for part in (self.mask, self.batch.values, self.returns)
        )
        terms = value_terms(values, old, returns, mask, width=self.algorithm.critic.width)
        return aggregate(terms, mask, self._critic_weights[mine])

    def drift(self) -> tuple[float, float]:
        """Means over the trained tokens seen: |ratio - 1|, and k3, an estimate of KL(old || new)."""
        deviation, divergence = (self._sums[:2] / self._seen()).tolist()
        return deviation, divergence

    def extras(self) -> dict[str, float]:
        """Of the options that are on: means over the trained tokens seen."""
        found = {}
        if self.algorithm.kl.is_in("loss"):
            found["reference_kl"] = float(self._sums[2] / self._seen())
        if self.algorithm.entropy_bonus:
            found["bonus_entropy"] = float(self._sums[3] / self._seen())
        if self.correction is not None:
            found["correction_weight"] = float(self.correction[self.mask].mean()) if bool(self.mask.any()) else 0.0
        if self.chosen is not None:
            found["chosen_tokens"] = float((self.chosen & self.mask).sum())
        return found

    def _seen(self) -> float:
        return max(1.0, sum(counts.trained for counts in self.counts))

    def _correction(self) -> Tensor | None:
        """Importance weights of the step's tokens, [K, T]; None without a correction."""
        how = self.algorithm.mismatch.weighting()
        if how is None:
            return None
        assert self.batch.rollout_log_probs is not None  # Algorithm.shaped saw to it
        return importance_weights(
            self.batch.old_log_probs,
            self.batch.rollout_log_probs,
            self.mask,
            normalised=self.algorithm.mismatch.normalised,
            **how._asdict(),
        )


def _drift(logp: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """Sums over trained tokens, [2] float64: |ratio - 1|, and k3, an estimate of KL(old || new)."""
    log_ratio = torch.where(mask, logp - old, 0.0).to(torch.float64).clamp(-_FARTHEST, _FARTHEST)
    ratio = log_ratio.exp()
    return torch.stack([(ratio - 1).abs().sum(), (ratio - 1 - log_ratio).sum()])
