"""One forward over whole token trees: exact log-probability and entropy of every unique policy token, under autograd.

    batch = TreeBatch(trees, model.device)
    out = learner_forward(model, batch, temperature=1.0)
    logp = batch.on_leaves(out.log_probs)        # [K, T]: any loss on flat rows works unchanged
    loss(logp, ...).backward()

Every unique token is forwarded once and every shared edge is computed once; gathering onto leaves adds the gradients of
all trajectories that share it. Log-probabilities and gradients are those of every trajectory run alone, up to rounding.

Left out: what is done with the numbers (losses), optimiser steps and the choice of batches (`packing.pack`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from algorithms.policy.models import accumulation, attention, backbone, head, require_supported
from algorithms.policy.packing import TreeBatch
from algorithms.policy.tree_attention import NAME

_LOGITS_AT_ONCE = 1 << 25
"""Logits computed and kept at a time (128 MiB in float32); beyond, the head runs in pieces and again in backward."""


class TreeForward(NamedTuple):
    """What a forward gives, all [U], in nats, float32 (float64 for float64 models).

    log_probs: of the unique policy tokens. entropies: of the full-vocabulary distributions they were drawn from.
    """

    log_probs: Tensor
    entropies: Tensor


def learner_forward(
    model: PreTrainedModel,
    batch: TreeBatch,
    *,
    temperature: float = 1.0,
    entropy_gradient: bool = False,
    logits_at_once: int = _LOGITS_AT_ONCE,
) -> TreeForward:
    """Log-probabilities and entropies of all unique policy tokens of `batch` at `temperature`.

    Args:
        model: a causal model of transformers that `models.require_supported` accepts.
        temperature: divides the logits, as at sampling.
        entropy_gradient: let gradients flow through the entropies (for an entropy bonus); costs memory.
        logits_at_once: upper limit of the logits held at a time.

    Raises:
        ValueError: the model is not supported, or the temperature not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive; got {temperature}.")
    hidden = tree_hidden(model, batch)
    log_probs, entropies = _head_in_pieces(model, hidden, batch, temperature, entropy_gradient, logits_at_once)
    return TreeForward(log_probs, entropies.index_select(0, batch.edge))


def tree_hidden(model: PreTrainedModel, batch: TreeBatch) -> Tensor:
    """Hidden states from which policy tokens are predicted, [P, width]; `batch.edge` says which is whose.

    Raises:
        ValueError: the model is not supported.
    """
    require_supported(model)
    batch.layout.calls = 0
    with attention(model, NAME):
        output = backbone(model)(
            input_ids=batch.ids[None], position_ids=batch.positions[None], use_cache=False, layout=batch.layout
        )
    if batch.layout.calls != model.config.num_hidden_layers:
        raise ValueError(
            f"{batch.layout.calls} of {model.config.num_hidden_layers} layers used tree attention; expected all: "
            "this model's layers do not ask transformers' AttentionInterface."
        )
    hidden: Tensor = output.last_hidden_state[0].index_select(0, batch.predecessors)
    return hidden


def _head_in_pieces(
    model: PreTrainedModel, hidden: Tensor, batch: TreeBatch, temperature: float, entropy_gradient: bool, limit: int
) -> tuple[Tensor, Tensor]:
    """Log-probabilities [U] and entropies [P] from the predecessors' hidden states [P, width]."""
    project = head(model)
    size = max(1, limit // model.config.vocab_size)
    if len(hidden) <= size:
        return _head(project, hidden, batch.edge, batch.labels, temperature, entropy_gradient)
    order = torch.argsort(batch.edge, stable=True)
    sorted_edge = batch.edge[order].contiguous()
    log_probs, entropies = [], []
    for start in range(0, len(hidden), size):
        part = hidden[start : start + size]
        bounds = torch.searchsorted(sorted_edge, sorted_edge.new_tensor([start, start + len(part)]))
        mine = order[int(bounds[0]) : int(bounds[1])]
        arguments = (project, part, batch.edge[mine] - start, batch.labels[mine], temperature, entropy_gradient)
        # Recomputed in backward, so that only one piece's logits are alive at a time.
        piece: tuple[Tensor, Tensor] = checkpoint(_head, *arguments, use_reentrant=False)
        log_probs.append(piece[0])
        entropies.append(piece[1])
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order), device=order.device)
    return torch.cat(log_probs).index_select(0, inverse), torch.cat(entropies)


def _head(
    project: Callable[[Tensor], Tensor],
    hidden: Tensor,
    edge: Tensor,
    labels: Tensor,
    temperature: float,
    entropy_gradient: bool,
) -> tuple[Tensor, Tensor]:
    logits = project(hidden)
    logits = logits.to(accumulation(logits.dtype))
    if temperature != 1:
        logits = logits / temperature
    normaliser = torch.logsumexp(logits, dim=-1)
    log_probs = logits[edge, labels] - normaliser[edge]
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        source: Any = (logits, normaliser) if entropy_gradient else (logits.detach(), normaliser.detach())
        entropies = entropy(*source)
    return log_probs, entropies


def entropy(logits: Tensor, normaliser: Tensor) -> Tensor:
    """Entropy in nats of softmax(logits), [..., V] -> [...]; normaliser is logsumexp(logits). Logits must be finite."""
    return normaliser - (torch.softmax(logits, dim=-1) * logits).sum(dim=-1)
