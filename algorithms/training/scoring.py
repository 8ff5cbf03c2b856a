"""The scoring stage: every number that an algorithm's parts ask for, computed once per rollout batch.

    scorers = Scorers.of(algorithm, learner, model)       # at the run's start: a reference or critic where declared
    batch = scorers.batch(trees, limit=768)               # what algorithm.needs names, no more
    advantage = algorithm.advantages(batch)

The local engine's log-probabilities and entropies are the learner's, noted at sampling, and free. A correction for a
mismatch compares both, so then the learner computes them anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from algorithms.algorithm import Algorithm, LeafBatch
from algorithms.loss.kl import kl_reward, kl_terms
from algorithms.policy.critic import Critic
from algorithms.policy.learner import Learner, Scores
from algorithms.policy.reference import Reference
from algorithms.tree import TokenTree


@dataclass
class Scorers:
    """What scores besides the engine. reference, critic: None unless the algorithm needs them."""

    algorithm: Algorithm
    learner: Learner
    reference: Reference | None
    critic: Critic | None

    @classmethod
    def of(cls, algorithm: Algorithm, learner: Learner) -> "Scorers":
        """Made from the learner's model as it stands, which is the run's first policy."""
        reference = None
        if "reference" in algorithm.needs:
            reference = Reference(learner.model, learner.token_budget, learner.temperature)
        critic = None
        if algorithm.critic is not None:
            settings = replace(learner.settings, lr=algorithm.critic.lr or learner.settings.lr)
            critic = Critic(learner.model, settings, learner.token_budget, learner.falling)
        return cls(algorithm, learner, reference, critic)

    def batch(self, trees: Sequence[TokenTree], limit: int | None = None) -> LeafBatch:
        """The trees laid out with all that is needed. limit: most tokens of a trajectory.

        Raises:
            ValueError: as `LeafBatch.of`. FloatingPointError: a number is not finite.
        """
        sampled = [Scores.sampled(tree) for tree in trees]
        needs = self.algorithm.needs
        scores = sampled
        if "rescored" in needs:
            scores = self.learner.score(trees, with_entropies=True)
        batch = replace(LeafBatch.of(trees, scores), limit=limit)
        if "rescored" in needs:
            drawn = batch.on_leaves([one.log_probs for one in sampled], "log-probabilities of the engine")
            batch = replace(batch, rollout_log_probs=drawn)
        if self.reference is not None:
            found = batch.on_leaves(self.reference.score(trees), "log-probabilities of the reference")
            batch = replace(batch, ref_log_probs=found)
        if self.critic is not None:
            batch = replace(batch, values=batch.on_leaves(self.critic.values(trees), "values of the critic"))
        return with_costs(self.algorithm, batch)

    def state_dict(self) -> dict[str, Any]:
        """Of the reference and the critic, for a checkpoint; empty where there is neither."""
        parts = {"reference": self.reference, "critic": self.critic}
        return {name: part.state_dict() for name, part in parts.items() if part is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`. Raises ValueError where it belongs to an algorithm with other needs."""
        parts = {"reference": self.reference, "critic": self.critic}
        wanted = {name for name, part in parts.items() if part is not None}
        if set(state) != wanted:
            raise ValueError(
                f"{self.algorithm.name} has {', '.join(sorted(wanted)) or 'no reference and no critic'}, but the state "
                f"holds {', '.join(sorted(state)) or 'neither'}: it belongs to another algorithm."
            )
        for name, part in parts.items():
            if part is not None:
                part.load_state_dict(state[name])


def with_costs(algorithm: Algorithm, batch: LeafBatch) -> LeafBatch:
    """The batch with `token_rewards`, where the algorithm takes a divergence from the reward; else as it is."""
    kl = algorithm.kl
    if not kl.is_in("reward"):
        return batch
    if batch.ref_log_probs is None:
        raise ValueError(f"{algorithm.name} needs reference, but the batch has none.")
    return replace(batch, token_rewards=_costs(batch, batch.ref_log_probs, kl.estimator, kl.coefficient))


def _costs(batch: LeafBatch, reference: Tensor, estimator: Any, coefficient: float) -> Tensor:
    """What straying from the reference costs each token, [K, T]."""
    if estimator == "k1":
        return kl_reward(batch.old_log_probs, reference, batch.mask, coefficient)
    with torch.no_grad():
        return -coefficient * kl_terms(batch.old_log_probs, reference, batch.mask, estimator).loss
