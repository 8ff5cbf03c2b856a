"""Which models tree attention is exact for, and the switch that makes a model use it.

    require_supported(model)                      # ValueError that says what stands in the way
    with attention(model, tree_attention.NAME):
        hidden = backbone(model)(ids, position_ids=..., use_cache=False, layout=...).last_hidden_state

The model's own code runs unchanged: transformers looks the attention function up by name at every call, and hands it
every keyword it does not know itself. What that function cannot see (sliding windows, linear layers, attention sinks,
frequencies that depend on the longest sequence in the batch) would give silently wrong numbers, so it is refused.

Left out: multimodal models and mixtures of experts (routed per token, they would be exact, but none is tested).
"""

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

SUPPORTED = ("llama", "qwen2", "qwen3")
"""Values of `model.config.model_type` that are tested. Smaller relatives often carry one of these."""


def require_supported(model: PreTrainedModel) -> None:
    """Raise ValueError unless tree attention is exact for this model."""
    config = model.config
    problems = []
    if config.model_type not in SUPPORTED:
        problems.append(f"its type is {config.model_type!r}, tested are {', '.join(SUPPORTED)}")
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        problems.append(f"its layers are {', '.join(sorted(kinds))}, only full_attention looks at a whole path")
    if getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True):
        problems.append(f"it attends within a sliding window of {config.sliding_window} tokens")
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope"):
        problems.append(f"its rotary frequencies ({rope}) depend on the longest sequence of the batch")
    if getattr(config, "attention_dropout", 0.0):
        problems.append(f"attention_dropout is {config.attention_dropout}; log-probabilities must not be random: set 0")
    if any(hasattr(module, "sinks") for module in model.modules()):
        problems.append("it has attention sinks")
    if problems:
        raise ValueError(f"Token trees cannot be computed with this model: {'; '.join(problems)}.")


def backbone(model: PreTrainedModel) -> Any:
    """The model without its head: tokens in, hidden states out."""
    return model.base_model


def head(model: PreTrainedModel) -> Any:
    """The head: hidden states in, logits out."""
    untyped: Any = model
    return untyped.get_output_embeddings()


def accumulation(dtype: torch.dtype) -> torch.dtype:
    """The precision for softmax, log-probabilities and entropies: float64 for float64 models, else float32."""
    return torch.promote_types(dtype, torch.float32)


class attention:  # noqa: N801  # used as a function, like torch.no_grad
    """Let `model` use the attention function registered as `name` inside this block. May be entered more than once.

    Activation checkpointing runs layers again in backward, when the block is long left: layers called inside the block
    are run again with the same attention.
    """

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        self._config: Any = model.config
        self._model, self._name = model, name
        self._before: list[tuple[str, list[tuple[Any, Any]]]] = []

    def __enter__(self) -> None:
        checkpointed: list[tuple[Any, Any]] = []
        if torch.is_grad_enabled():
            modules: list[Any] = list(self._model.modules())
            checkpointed = [
                (module, module._gradient_checkpointing_func)
                for module in modules
                if getattr(module, "gradient_checkpointing", False)
            ]
        self._before.append((self._config._attn_implementation, checkpointed))
        self._config._attn_implementation = self._name
        for module, run in checkpointed:
            again = partial(run, use_reentrant=False, context_fn=lambda: (nullcontext(), self._again()))
            module._gradient_checkpointing_func = again

    def __exit__(self, *_: object) -> None:
        self._config._attn_implementation, checkpointed = self._before.pop()
        for module, run in checkpointed:
            module._gradient_checkpointing_func = run

    def _again(self) -> "attention":
        return attention(self._model, self._name)


def refuse_unknown(dropout: float, options: dict[str, Any]) -> None:
    """Raise ValueError if a layer asks its attention for something that tree attention does not do."""
    asked = [name for name in ("sliding_window", "s_aux", "softcap") if options.get(name) is not None]
    if dropout:
        asked.append("dropout")
    if asked:
        raise ValueError(f"A layer asks for {', '.join(asked)}, which tree attention does not do.")
