"""Critic: what a trajectory is still worth, said at every token the policy wrote; for PPO.

    critic = Critic(model, OptimiserSettings(lr=1e-4), token_budget=8192)       # begins as a copy of the policy
    values = critic.values(trees)                                               # per tree, [U]
    numbers = critic.step(trees, groups, loss)                                  # as `Learner.step`

The value of a token is read where the token is predicted, before it is known: at its predecessor. A tree is forwarded
once, so what leaves share has one value. The last layer starts at 0: before it has learned, a critic expects nothing.
Weights that are not trained it shares with the policy: where adapters are (`lora`), it has adapters of its own alone.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from algorithms.policy.learner import NEVER, LeafLoss, Learner, OptimiserSettings
from algorithms.policy.learner_forward import tree_hidden
from algorithms.policy.packing import TreeBatch, pack
from algorithms.tree import TokenTree


class Critic(Learner):
    """A value for every unique policy token. Arguments as of `Learner`; what is trained of the model is copied."""

    def __init__(
        self, model: PreTrainedModel, settings: OptimiserSettings, token_budget: int, falling: range = NEVER
    ) -> None:
        untyped: Any = model
        frozen = {id(each): each for each in untyped.parameters() if not each.requires_grad}
        copied: Any = deepcopy(model, frozen)
        self.value_head = nn.Linear(untyped.config.hidden_size, 1, device=untyped.device, dtype=untyped.dtype)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        head = copied.get_output_embeddings()
        if head is not None and head.weight is not copied.get_input_embeddings().weight:
            head.weight.requires_grad_(False)  # no vocabulary is predicted
        super().__init__(copied, settings, token_budget, further=self.value_head, falling=falling)

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
        """Trained weights, optimiser and step count."""
        weights = {"model": self._weights(), "value_head": self.value_head.state_dict()}
        return {**super().state_dict(), **weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`. Raises ValueError where the state is of other weights."""
        if missing := self._weights().keys() - state["model"].keys():
            raise ValueError(f"The state lacks {len(missing)} weights of the critic: it is of another model.")
        self.model.load_state_dict(state["model"], strict=False)
        self.value_head.load_state_dict(state["value_head"])
        super().load_state_dict({name: state[name] for name in ("optimiser", "steps") if name in state})

    def _weights(self) -> dict[str, Tensor]:
        """Those that are trained, by name; the head beside."""
        untyped: Any = self.model
        return {name: each.detach() for name, each in untyped.named_parameters() if each.requires_grad}

    def _values(self, batch: TreeBatch) -> Tensor:
        hidden = tree_hidden(self.model, batch)
        values: Tensor = self.value_head(hidden)[:, 0]
        return values.index_select(0, batch.edge)

    def _loss(self, number: int, batch: TreeBatch, loss: LeafLoss, bonus: LeafLoss | None) -> Tensor:
        return loss(number, batch, batch.on_leaves(self._values(batch)))
