"""Attention over flattened token trees: every segment looks at the keys and values of its own root path.

    with attention(model, NAME):
        backbone(model)(ids, position_ids=depths, use_cache=False, layout=layout)

Tokens of all trees of a batch lie in one row, depth first, position id = depth. A segment is a stretch of nodes without
a branching; token i sees token j exactly if j lies on i's root path. So hidden states, log-probabilities and, through
autograd, gradients are those of every trajectory run alone; no special rule for gradients is needed. The cost of
attention is that of the unique tokens.

The layout travels as a keyword of the forward, never as global state: gradient checkpointing runs this function again.

Left out: CUDA kernels that take the same lists (varlen attention); this runs everywhere through torch's own kernels.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from algorithms.policy.models import refuse_unknown

NAME = "aepo_tree"


class Segment(NamedTuple):
    """Rows start to end of the flat layout, and where their root path lies.

    path: flat positions of the whole root path, own rows included, [path length]; None where the path is the own rows.
    mask: [end - start, path length], true where a row may look; None where the plain causal rule says it.
    """

    start: int
    end: int
    path: Tensor | None
    mask: Tensor | None


class Layout:
    """The segments of a batch of trees, in flat order. `calls` counts the layers that really used it.

    sizes, path_sizes: rows of each segment, and of its path. paths: flat positions of all paths, one after the other.
    """

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self.calls = 0
        self.sizes = [segment.end - segment.start for segment in segments]
        paths = [torch.arange(one.start, one.end) if one.path is None else one.path for one in segments]
        self.path_sizes = [len(path) for path in paths]
        device = next((one.path.device for one in segments if one.path is not None), torch.device("cpu"))
        self.paths = torch.cat([path.to(device) for path in paths])


def tree_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """For transformers' AttentionInterface. query [1, H, N, D], key and value [1, H', N, D]; gives [1, N, H, D]."""
    refuse_unknown(dropout, options)
    if layout is None:
        raise ValueError("Tree attention needs the keyword layout=...: call learner_forward, not the model itself.")
    layout.calls += 1
    grouped = query.shape[1] != key.shape[1]
    # Cut and gathered all at once: the backward of a slice, or of a gather per segment, would fill and add up a tensor
    # of the whole batch for each segment.
    paths = layout.paths.to(key.device)
    queries = torch.split_with_sizes(query, layout.sizes, dim=2)
    keys = torch.split_with_sizes(key.index_select(2, paths), layout.path_sizes, dim=2)
    values = torch.split_with_sizes(value.index_select(2, paths), layout.path_sizes, dim=2)
    parts = [
        functional.scaled_dot_product_attention(
            query_part,
            key_part,
            value_part,
            attn_mask=segment.mask,
            is_causal=segment.mask is None,
            scale=scaling,
            enable_gqa=grouped,
        )
        for segment, query_part, key_part, value_part in zip(layout.segments, queries, keys, values, strict=True)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _no_mask(*_: Any, **__: Any) -> None:
    """The layout says who sees whom, so transformers builds no mask (and looks for no packed documents)."""


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, _no_mask)
