"""Attention of one generation step over the K/V store: shared stretches are read once for all branches below them.

    plan = StepPlan(store, tips, stretches, private, extensions)
    with attention(model, NAME):
        backbone(model)(ids, position_ids=depths, use_cache=False, plan=plan)

The tokens of a step lie in one row: first one for each branch that decodes ("singles"), in an order in which the users
of any shared stretch are neighbours; then the runs of several tokens ("extensions": prompts, observations).

For singles the scores of a path lie in one buffer: on the left those on shared stretches (column = depth), one matrix
product per stretch for all its users; on the right those on the branch's own row, one batched product for all branches.
One softmax runs over both. Extensions are few and long: each gathers its path and takes torch's own attention.

Left out: gradients (see tree_attention).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from algorithms.policy.kv_store import KVStore, Run, path_of
from algorithms.policy.models import accumulation, refuse_unknown

NAME = "aepo_decode"


class Stretch(NamedTuple):
    """Depths first to last of a run, used by the singles at places `low` to `high` of the step's order."""

    run: Run
    low: int
    high: int
    first: int
    last: int


class Extension(NamedTuple):
    """Tokens of one branch, at the step's places `low` to `high`, to be stored at the end of `run`."""

    run: Run
    low: int
    high: int


def arrange(tips: Sequence[Run]) -> tuple[list[int], list[Stretch], list[int]]:
    """Order the runs at which singles stand, so that the users of every shared stretch are neighbours.

    Returns:
        order: indices into `tips`.
        stretches: all that is shared, by places in that order.
        private: for each tip (in the order of `tips`) the depth from which on its run is read by itself alone.
    """
    number = {run: i for i, run in enumerate(tips)}
    below: dict[Run, list[Run]] = {}  # the runs forked from each run, as far as they lead to a tip
    roots: list[Run] = []
    for tip in tips:
        child: Run | None = None
        run: Run | None = tip
        while run is not None:
            known = run in below
            forks = below.setdefault(run, [])
            if child is not None:
                forks.append(child)
            if known:
                break
            child, run = run, run.parent
        else:
            assert child is not None
            roots.append(child)
    order: list[int] = []
    stretches: list[Stretch] = []
    private = [tip.start for tip in tips]

    def visit(run: Run) -> None:
        low = len(order)
        if run in number:
            order.append(number[run])
        ends = []
        # Latest forks first: then whoever shares a position of this run sits between `low` and some end.
        for fork in sorted(below[run], key=lambda fork: -fork.start):
            visit(fork)
            ends.append((fork.start, len(order)))
        first = run.start
        for last, high in reversed(ends):
            if last > first:
                stretches.append(Stretch(run, low, high, first, last))
                first = last
        if run in number:
            private[number[run]] = first

    for root in roots:
        visit(root)
    return order, stretches, private


class StepPlan:
    """Everything the attention of one step needs, for all layers.

    Args:
        store: where the keys and values lie; capacity is reserved already.
        tips: the row of each single, in the order in which the singles stand in the step (that of `arrange`).
        stretches, private: from `arrange`, `private` in the order of `tips`.
        extensions: the runs of several tokens, behind the singles.
    """

    def __init__(
        self,
        store: KVStore,
        tips: Sequence[Run],
        stretches: Sequence[Stretch],
        private: Sequence[int],
        extensions: Sequence[Extension],
    ) -> None:
        self.store, self.tips, self.stretches, self.extensions = store, tips, stretches, extensions
        device = store.keys[0].device
        self.calls = 0
        self.shared = max((stretch.last for stretch in stretches), default=0)
        self.rows = torch.tensor([run.row for run in tips], dtype=torch.long, device=device)
        self.offsets = torch.tensor([run.length for run in tips], dtype=torch.long, device=device)
        self.slab_rows = max((run.row for run in tips), default=-1) + 1
        self.width = max((run.length for run in tips), default=0) + 1
        # On the own row: from the first position nobody else reads up to the new one.
        first = torch.tensor([depth - run.start for depth, run in zip(private, tips, strict=True)], device=device)
        columns = torch.arange(self.width, device=device)
        seen = (columns >= first[:, None]) & (columns <= self.offsets[:, None])
        kind = accumulation(store.keys[0].dtype)
        hidden = torch.full((self.slab_rows, self.width), -torch.inf, dtype=kind, device=device)
        hidden[self.rows] = torch.zeros(seen.shape, dtype=kind, device=device).masked_fill(~seen, -torch.inf)
        self.hidden = hidden.repeat_interleave(store.heads, dim=0)[:, None]
        self._room: tuple[Tensor, Tensor, Tensor] | None = None

    def room(self, group: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tensors that each layer fills anew at the same places, and whose other places keep what is set here.

        scores [heads, singles, group, shared + width]: -inf where a path has no shared position.
        queries [slab rows, heads, group, head width] and weights [slab rows, heads, group, width]: 0 in rows of no tip.
        """
        if self._room is None:
            keys, heads = self.store.keys[0], self.store.heads
            scores = self.hidden.new_empty(heads, len(self.tips), group, self.shared + self.width)
            scores[..., : self.shared] = -torch.inf
            queries = keys.new_zeros(self.slab_rows, heads, group, self.store.width)
            self._room = (scores, queries, keys.new_zeros(self.slab_rows, heads, group, self.width))
        return self._room


def decode_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    plan: StepPlan | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """For transformers' AttentionInterface. query [1, H, N, D], key and value [1, H', N, D]; gives [1, N, H, D]."""
    refuse_unknown(dropout, options)
    if plan is None:
        raise ValueError("Decoding needs the keyword plan=...: use LocalEngine, not the model itself.")
    plan.calls += 1
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer: int = module.layer_idx
    query, key, value = query[0], key[0], value[0]
    parts = []
    count = len(plan.tips)
    if count:
        parts.append(_singles(plan, layer, query[:, :count] * scale, key[:, :count], value[:, :count]))
    for extension in plan.extensions:
        here = slice(extension.low, extension.high)
        parts.append(_extension(plan.store, layer, extension, query[:, here], key[:, here], value[:, here], scale))
    return torch.cat(parts)[None], None


def _singles(plan: StepPlan, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """query [H, B, D], scaled, key and value [H', B, D] -> [B, H, D]."""
    store, rows = plan.store, plan.rows
    store.write(layer, rows, plan.offsets, key.transpose(0, 1), value.transpose(0, 1))
    heads, count, size = key.shape
    group = query.shape[0] // heads
    # [H', B, group, D]: heads that share keys side by side.
    query = query.view(heads, group, count, size).transpose(1, 2)
    by_head = query.reshape(heads, count * group, size)
    scores, in_rows, weights_in_rows = plan.room(group)
    flat = scores.view(heads, count * group, -1)
    values = []
    for run, low, high, first, last in plan.stretches:
        keys, ours = store.read(layer, run, first, last)
        values.append(ours)
        target = flat[:, low * group : high * group, first:last]
        target.copy_(torch.bmm(by_head[:, low * group : high * group], keys.transpose(1, 2)))
    slab = (plan.slab_rows, heads, group)  # the slab's rows are those of the branches, in another order and with gaps
    in_rows[rows] = query.transpose(0, 1)
    keys = store.keys[layer][: plan.slab_rows, :, : plan.width].flatten(0, 1)
    own = torch.baddbmm(plan.hidden.to(query.dtype), in_rows.flatten(0, 1), keys.transpose(1, 2))
    scores[..., plan.shared :] = own.view(*slab, plan.width)[rows].transpose(0, 1)
    weights = torch.softmax(scores, dim=-1).to(query.dtype)
    weights_in_rows[rows] = weights[..., plan.shared :].transpose(0, 1)
    slab_values = store.values[layer][: plan.slab_rows, :, : plan.width].flatten(0, 1)
    out = torch.bmm(weights_in_rows.flatten(0, 1), slab_values).view(*slab, size)[rows].transpose(0, 1)
    out = out.reshape(heads, count * group, size)
    flat = weights.view(heads, count * group, -1)
    for (_, low, high, first, last), ours in zip(plan.stretches, values, strict=True):
        mine = slice(low * group, high * group)
        out[:, mine] += torch.bmm(flat[:, mine, first:last], ours)
    return out.view(heads, count, group, size).transpose(0, 1).reshape(count, heads * group, size)


def _extension(
    store: KVStore, layer: int, extension: Extension, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> Tensor:
    """query [H, n, D], key and value [H', n, D] -> [n, H, D]."""
    run, count = extension.run, extension.high - extension.low
    parts = [store.read(layer, *stretch) for stretch in path_of(run, run.end)]
    store.write_run(layer, run, run.end, key, value)
    keys = torch.cat([*(part[0] for part in parts), key], dim=1)
    values = torch.cat([*(part[1] for part in parts), value], dim=1)
    before = keys.shape[1] - count
    mask = None
    if before:
        mask = torch.ones(count, keys.shape[1], dtype=torch.bool, device=keys.device).tril(before)
    out = functional.scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=query.shape[0] != key.shape[0],
    )
    return out[0].transpose(0, 1)


def _no_mask(*_: Any, **__: Any) -> None:
    """The plan says who sees whom, so transformers builds no mask."""


AttentionInterface.register(NAME, decode_attention)
AttentionMaskInterface.register(NAME, _no_mask)
