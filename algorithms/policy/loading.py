"""Policy: a model with its tokenizer, loaded from a folder or by its Hugging Face name, and saved again.

    policy = load_policy("runs/cold-start/tiny")          # or "Qwen/Qwen3-8B"
    engine = policy.engine()
    policy.save("elsewhere")                              # loads in plain transformers

Left out: how `tiny` comes to be (`algorithms.training.tiny_start`).
"""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from algorithms.policy.codec import ChatCodec
from algorithms.policy.local import LocalEngine
from algorithms.policy.lora import has_adapters, merged
from algorithms.policy.models import require_supported
from algorithms.policy.stopping import token_pieces

_CONNECT_SECONDS = 10.0


@dataclass
class Policy:
    """A model, its tokenizer, and what is derived from them."""

    model: Any
    tokenizer: Any
    codec: ChatCodec = field(init=False)
    pieces: list[str] = field(init=False)

    def __post_init__(self) -> None:
        require_supported(self.model)
        self.codec = ChatCodec(self.tokenizer, vocabulary=self.model.config.vocab_size)
        self.pieces = token_pieces(self.tokenizer)
        # The model's vocabulary may be padded beyond the tokenizer's: such tokens have no text.
        self.pieces += [""] * (self.model.config.vocab_size - len(self.pieces))

    def engine(self) -> LocalEngine:
        """A generation engine over the model as it stands; make a new one after the weights changed."""
        return LocalEngine(self.model, pieces=self.pieces, end_tokens=self.codec.end_tokens)

    def save(self, folder: str | Path) -> None:
        """Write model and tokenizer in Hugging Face format, adapters merged into the weights."""
        self.model.save_pretrained(folder, state_dict=merged(self.model) if has_adapters(self.model) else None)
        self.tokenizer.save_pretrained(folder)


def resolved_device(wanted: str) -> str:
    """Either cpu or cuda; auto is a GPU where there is one. Raises ValueError where one is wanted and none is there."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ValueError(
            "--device cuda needs a GPU that torch can use, and there is none: take --device cpu, or install a torch "
            "built for CUDA."
        )
    return ("cuda" if there else "cpu") if wanted == "auto" else wanted


def load_policy(name: str | Path, device: str = "cpu") -> Policy:
    """A policy from a folder or from the Hugging Face hub, in float32: half precision would swallow most steps.

    Raises:
        ValueError: there is no such model, or token trees are not exact for it.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _reachable(str(name))
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name))
        model: Any = AutoModelForCausalLM.from_pretrained(str(name), dtype="float32")
    except (OSError, ValueError, SafetensorError) as error:  # of a folder that holds something else, any of the three
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"There is no model at {str(name)!r} ({first}): give tiny, a folder that save_pretrained wrote, or a name "
            "on the Hugging Face hub."
        ) from error
    if has_adapters(model):
        raise ValueError(
            f"{str(name)!r} holds adapters, not a model: merge them into theirs (peft's merge_and_unload, then "
            "save_pretrained) and give that folder."
        )
    # Weights that are read come as a view of the file: training must not depend on what becomes of it, nor on how its
    # numbers happen to be aligned.
    for weights in model.parameters():
        weights.data = weights.data.clone()
    return Policy(model.to(device).eval(), tokenizer)


def _reachable(name: str) -> None:
    """Raise ValueError where a model must come from the hub, and the hub, which would be tried for long, is away."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(name).is_dir() or constants.HF_HUB_OFFLINE or getproxies():
        return
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
    except HFValidationError:  # no name of the hub: said where it is loaded
        return
    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(
            f"The model {name!r} is no folder here and not in the cache, and {address.hostname} cannot be reached "
            f"({error}): connect to the network, or give a folder."
        ) from error
