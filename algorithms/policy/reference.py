"""Reference: the policy a run starts from, frozen, to measure how far training has strayed.

    reference = Reference(model, token_budget=8192)        # a copy: goes on being what `model` is now
    log_probs = reference.score(trees)                     # per tree, [U] in nats

Kept only where an algorithm declares that it needs one: it doubles the memory for weights.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from algorithms.policy.learner import score
from algorithms.tree import TokenTree


class Reference:
    """A frozen copy of a model. Arguments as of `learner.Learner`."""

    def __init__(self, model: PreTrainedModel, token_budget: int, temperature: float = 1.0) -> None:
        copied: Any = deepcopy(model)
        self.model = copied.eval().requires_grad_(False)
        self.token_budget, self.temperature = token_budget, temperature

    def score(self, trees: Sequence[TokenTree]) -> list[Tensor]:
        """Log-probabilities of each tree's unique policy tokens, [U] on the CPU, in nats.

        Raises:
            ValueError: a tree has no leaf. FloatingPointError: a number is not finite.
        """
        found = score(self.model, trees, self.token_budget, self.temperature)
        return [one.log_probs for one in found]

    def state_dict(self) -> dict[str, Any]:
        """Its weights, for a checkpoint: the run's policy has moved on."""
        return {"weights": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.model.load_state_dict(state["weights"])
