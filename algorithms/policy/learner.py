"""The learning side of a policy: scores trees, and makes optimiser steps from any loss on their leaves.

    learner = Learner(model, OptimiserSettings(lr=1e-4), token_budget=8192)
    scores = learner.score(trees)                                    # old log-probabilities and entropies
    numbers = learner.step(trees, groups, loss)                      # one optimiser step over several micro-batches
    torch.save(learner.state_dict(), ...)

A step never happens with numbers that are not finite: it raises, and the weights stay as they were. Which questions go
into a step and what the loss is, `training.update` says.

Left out: half-precision weights (their rounding would swallow most steps), and more than one process.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from transformers import PreTrainedModel

from algorithms.policy.learner_forward import learner_forward
from algorithms.policy.models import require_supported
from algorithms.policy.packing import TreeBatch, pack
from algorithms.tree import TokenTree

LeafLoss = Callable[[int, TreeBatch, Tensor], Tensor]
"""(number of the micro-batch, its trees laid out, log-probabilities of their leaves [K, T]) -> loss, a scalar.

The losses of a step's micro-batches are added up.
"""


class Scores(NamedTuple):
    """Numbers of one tree's unique policy tokens, [U] on the CPU, in nats; entropies None if not asked for."""

    log_probs: Tensor
    entropies: Tensor | None

    @classmethod
    def sampled(cls, tree: TokenTree) -> "Scores":
        """The engine's own numbers, noted at sampling: exact where it computes as the learner does, and free."""
        return cls(torch.from_numpy(tree.policy_log_probs()), torch.from_numpy(tree.policy_entropies()))


Fall = Literal["linear", "cosine"]
NEVER = range(0)
"""Of optimiser steps in which the learning rate falls: none."""


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW; the learning rate rises linearly, stays, and may fall at the end.

    Attributes:
        lr: learning rate.
        betas: of AdamW. (0.9, 0.95) forgets old gradients sooner than torch's default; runs here are short.
        weight_decay: of matrices; vectors (norms, biases) have none. 0.01 in ARPO's and AEPO's scripts.
        max_grad_norm: longer gradients are shortened to it.
        warmup_steps: optimiser steps until `lr` is reached; the k-th of them takes k / warmup_steps of it.
        fall: how it falls in those steps that the learner is given for it: on a line, or on half a wave of the cosine.
            A high rate learns fast and leaves noise in the weights; falling takes it out.
        lowest: the share of `lr` below which it does not fall.
        train_embeddings: False leaves the token embeddings (and a head tied to them) as they are. AdamW moves the rows
            of rare tokens by whole steps on next to no evidence; a small model then forgets how to copy them.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    warmup_steps: int = 0
    fall: Fall = "linear"
    lowest: float = 0.05
    train_embeddings: bool = True

    def __post_init__(self) -> None:
        positive = self.lr > 0 and self.max_grad_norm > 0
        if not (positive and all(0 <= beta < 1 for beta in self.betas)):
            raise ValueError(f"Expected lr and max_grad_norm above 0 and betas from 0 to below 1; got {self}.")
        if min(self.weight_decay, self.warmup_steps) < 0:
            raise ValueError(f"Expected weight_decay and warmup_steps from 0; got {self}.")
        if self.fall not in get_args(Fall):
            raise ValueError(f"optimiser.fall is {' or '.join(get_args(Fall))}; got {self.fall!r}.")
        if not 0 <= self.lowest <= 1:
            raise ValueError(f"Expected lowest as a share of lr, 0 to 1; got {self.lowest}.")

    def rate(self, step: int, falling: range = NEVER) -> float:
        """Learning rate of an optimiser step, counted from 0. falling: steps in which it falls; after them it stays."""
        rising = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if not falling:
            return self.lr * rising
        left = min(1.0, 1 - (step - falling.start) / len(falling))
        if self.fall == "cosine":
            left = self.lowest + (1 - self.lowest) * (1 - math.cos(math.pi * max(0.0, left))) / 2
        return self.lr * min(rising, max(self.lowest, left))


class StepNumbers(NamedTuple):
    """What one optimiser step did. grad_norm: before it was shortened. Tokens: those forwarded, unique and as rows."""

    loss: float
    grad_norm: float
    learning_rate: float
    micro_batches: int
    unique_tokens: int
    raw_tokens: int


class Learner:
    """A model in training: those of its parameters that want a gradient (with adapters in it, `lora`, these alone).

    Args:
        model: a causal model of transformers that trees can be computed with, its weights in float32 or float64.
        settings: of the optimiser.
        token_budget: unique tokens in one forward; a question that has more goes alone.
        temperature: at which the policy samples.
        further: trained beside the model, such as a head.
        falling: optimiser steps in which the learning rate falls.

    Raises:
        ValueError: the model is not supported, its weights are in half precision, or a number is not positive.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        settings: OptimiserSettings,
        token_budget: int,
        temperature: float = 1.0,
        further: torch.nn.Module | None = None,
        falling: range = NEVER,
    ) -> None:
        require_supported(model)
        if token_budget < 1 or not temperature > 0:
            raise ValueError(f"Expected a positive token budget and temperature; got {token_budget} and {temperature}.")
        untyped: Any = model
        if not settings.train_embeddings:
            untyped.get_input_embeddings().weight.requires_grad_(False)
        parameters = [*untyped.parameters(), *(further.parameters() if further is not None else ())]
        trained: list[Tensor] = [parameter for parameter in parameters if parameter.requires_grad]
        coarse = {str(parameter.dtype) for parameter in trained} - {"torch.float32", "torch.float64"}
        if coarse or not trained:
            raise ValueError(
                f"Expected weights to train in float32 or float64, got {', '.join(sorted(coarse)) or 'none'}: load the "
                "model with dtype=torch.float32; steps smaller than half precision resolves would be lost."
            )
        self.model, self.settings, self.falling = model, settings, falling
        self.token_budget, self.temperature = token_budget, temperature
        self.steps = 0
        self._trained = trained
        self._device: torch.device = untyped.device
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
                {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=settings.lr,
            betas=settings.betas,
        )

    def score(self, trees: Sequence[TokenTree], *, with_entropies: bool = True) -> list[Scores]:
        """See `score`, under the present weights."""
        found = score(self.model, trees, self.token_budget, self.temperature)
        return found if with_entropies else [one._replace(entropies=None) for one in found]

    def step(
        self,
        trees: Sequence[TokenTree],
        groups: Sequence[Sequence[int]],
        loss: LeafLoss,
        bonus: LeafLoss | None = None,
    ) -> StepNumbers:
        """One optimiser step on the sum of the micro-batches' losses.

        Args:
            trees: all there are.
            groups: the micro-batches, as positions in `trees`.
            loss: see `LeafLoss`.
            bonus: likewise, of the entropies of the leaves' tokens instead of their log-probabilities; added to it.

        Raises:
            ValueError: there is no micro-batch. FloatingPointError: the loss or the gradient is not finite; as with
                anything `loss` raises, weights and optimiser are then as they were before this step.
        """
        if not groups:
            raise ValueError("An optimiser step needs at least one micro-batch; got none.")
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        try:
            for number, group in enumerate(groups):
                total += self._backward(number, [trees[i] for i in group], loss, bonus)
            norm = float(torch.nn.utils.clip_grad_norm_(self._trained, self.settings.max_grad_norm))
            if not math.isfinite(norm):
                raise FloatingPointError(
                    f"The gradient of optimiser step {self.steps + 1} has the norm {norm}, with a loss of {total}: no "
                    "step was made. Go back to an earlier checkpoint, with a lower learning rate."
                )
        except BaseException:
            self.optimiser.zero_grad(set_to_none=True)
            raise
        rate = self.settings.rate(self.steps, self.falling)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = rate
        self.optimiser.step()
        self.steps += 1
        used = [trees[i] for group in groups for i in group]
        return StepNumbers(
            total,
            norm,
            rate,
            len(groups),
            sum(tree.unique_tokens() for tree in used),
            sum(tree.raw_tokens() for tree in used),
        )

    def _backward(self, number: int, trees: list[TokenTree], loss: LeafLoss, bonus: LeafLoss | None) -> float:
        """Adds one micro-batch's gradient; its loss."""
        value = self._loss(number, TreeBatch(trees, self._device), loss, bonus)
        plain = float(value.detach())
        if not math.isfinite(plain):
            raise FloatingPointError(
                f"The loss of micro-batch {number + 1} in optimiser step {self.steps + 1} is {plain}: no step was made."
            )
        torch.autograd.backward(value)
        return plain

    def _loss(self, number: int, batch: TreeBatch, loss: LeafLoss, bonus: LeafLoss | None) -> Tensor:
        """Forward one micro-batch; its loss, with gradient."""
        out = learner_forward(self.model, batch, temperature=self.temperature, entropy_gradient=bonus is not None)
        value = loss(number, batch, batch.on_leaves(out.log_probs))
        return value if bonus is None else value + bonus(number, batch, batch.on_leaves(out.entropies))

    def state_dict(self) -> dict[str, Any]:
        """Optimiser and step count, for a checkpoint; the model's weights are saved by the model."""
        return {"optimiser": self.optimiser.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`, for a model of the same parameters. Settings given at construction stay.

        Raises:
            ValueError: the state belongs to other parameters, or is none.
        """
        if set(state) != {"optimiser", "steps"}:
            raise ValueError(f"Expected a learner's state with 'optimiser' and 'steps'; got {sorted(state)}.")
        before = [
            {key: value for key, value in group.items() if key != "params"} for group in self.optimiser.param_groups
        ]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, settings in zip(self.optimiser.param_groups, before, strict=True):
            group.update(settings)
        self.steps = int(state["steps"])


def score(
    model: PreTrainedModel, trees: Sequence[TokenTree], token_budget: int, temperature: float = 1.0
) -> list[Scores]:
    """Log-probabilities and entropies of each tree's unique policy tokens; arguments as of `Learner`.

    Raises:
        ValueError: a tree has no leaf. FloatingPointError: a number is not finite.
    """
    found: dict[int, Scores] = {}
    untyped: Any = model
    for group in pack(trees, token_budget):
        batch = TreeBatch([trees[i] for i in group], untyped.device)
        with torch.no_grad():
            out = learner_forward(model, batch, temperature=temperature)
        if not bool(torch.isfinite(out.log_probs).all() & torch.isfinite(out.entropies).all()):
            raise FloatingPointError(
                "Scoring gave log-probabilities or entropies that are NaN or infinite: the model's weights are "
                "broken. Go back to an earlier checkpoint, with a lower learning rate."
            )
        counts = [int(rows.index.max(initial=-1)) + 1 for rows in batch.rows]
        parts = zip(torch.split(out.log_probs.cpu(), counts), torch.split(out.entropies.cpu(), counts), strict=True)
        found |= {i: Scores(*numbers) for i, numbers in zip(group, parts, strict=True)}
    return [found[i] for i in range(len(trees))]
