"""Reference: the policy a run starts from, frozen, to measure how far training has strayed.

    reference = Reference(model, token_budget=8192)        # a copy: goes on being what `model` is now
    log_probs = reference.score(trees)                     # per tree, [U] in nats

Kept only where an algorithm declares that it needs one: it doubles the memory for weights. Where adapters alone are
trained (`lora`), it is the model itself without them, which costs nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from algorithms.policy.learner import score
from algorithms.policy.lora import has_adapters, without_adapters
from algorithms.tree import TokenTree


class Reference:
    """A frozen copy of a model, or a model without its adapters. Arguments as of `learner.Learner`."""

    def __init__(self, model: PreTrainedModel, token_budget: int, temperature: float = 1.0) -> None:
        self.is_shared = has_adapters(model)
        untyped: Any = model
        self.model = untyped if self.is_shared else deepcopy(untyped).eval().requires_grad_(False)
        self.token_budget, self.temperature = token_budget, temperature

    def score(self, trees: Sequence[TokenTree]) -> list[Tensor]:
        """Log-probabilities of each tree's unique policy tokens, [U] on the CPU, in nats.

        Raises:
            ValueError: a tree has no leaf. FloatingPointError: a number is not finite.
        """
        with without_adapters(self.model) if self.is_shared else nullcontext():
            found = score(self.model, trees, self.token_budget, self.temperature)
        return [one.log_probs for one in found]

    def state_dict(self) -> dict[str, Any]:
        """Its weights, for a checkpoint: the run's policy has moved on. Nothing where they are the policy's own."""
        return {} if self.is_shared else {"weights": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        if not self.is_shared:
            self.model.load_state_dict(state["weights"])
