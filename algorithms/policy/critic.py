"""Critic: what a trajectory is still worth, said at every token the policy wrote; for PPO.

    critic = Critic(model, OptimiserSettings(lr=1e-4), token_budget=8192)       # a copy of the policy's trunk
    values = critic.values(trees)                                               # per tree, [U]
    numbers = critic.step(trees, groups, loss)                                  # as `Learner.step`

The value of a token is read where the token is predicted, before it is known: at its predecessor. A tree is forwarded
once, so what leaves share has one value. The last layer starts at 0: before it has learned, a critic expects nothing.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from algorithms.policy.learner import LeafLoss, Learner, OptimiserSettings
from algorithms.policy.learner_forward import tree_hidden
from algorithms.policy.packing import TreeBatch, pack
from algorithms.tree import TokenTree


class Critic(Learner):
    """A value for every unique policy token. Arguments as of `Learner`; the model is copied."""

    def __init__(self, model: PreTrainedModel, settings: OptimiserSettings, token_budget: int) -> None:
        untyped: Any = model
        copied: Any = deepcopy(model)
        self.value_head = nn.Linear(untyped.config.hidden_size, 1, device=untyped.device, dtype=untyped.dtype)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        head = copied.get_output_embeddings()
        if head is not None and head.weight is not copied.get_input_embeddings().weight:
            head.weight.requires_grad_(False)  # no vocabulary is predicted
        super().__init__(copied, settings, token_budget, further=self.value_head)

    def values(self, trees: Sequence[TokenTree]) -> list[Tensor]:
        """The value at each tree's unique policy tokens, [U] on the CPU.

        Raises:
            ValueError: a tree has no leaf. FloatingPointError: a value is not finite.
        """
        found: dict[int, Tensor] = {}
        for group in pack(trees, self.token_budget):
            batch = TreeBatch([trees[i] for i in group], self._device)
            with torch.no_grad():
                values = self._values(batch)
            if not bool(torch.isfinite(values).all()):
                raise FloatingPointError(
                    "The critic's values are NaN or infinite: its weights are broken. Go back to an earlier "
                    "checkpoint, with a lower learning rate."
                )
            counts = [int(rows.index.max(initial=-1)) + 1 for rows in batch.rows]
            found |= dict(zip(group, torch.split(values.cpu(), counts), strict=True))
        return [found[i] for i in range(len(trees))]

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and step count."""
        weights = {"model": self.model.state_dict(), "value_head": self.value_head.state_dict()}
        return {**super().state_dict(), **weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.value_head.load_state_dict(state["value_head"])
        super().load_state_dict({name: state[name] for name in ("optimiser", "steps") if name in state})

    def _values(self, batch: TreeBatch) -> Tensor:
        hidden = tree_hidden(self.model, batch)
        values: Tensor = self.value_head(hidden)[:, 0]
        return values.index_select(0, batch.edge)

    def _loss(self, number: int, batch: TreeBatch, loss: LeafLoss, bonus: LeafLoss | None) -> Tensor:
        return loss(number, batch, batch.on_leaves(self._values(batch)))
