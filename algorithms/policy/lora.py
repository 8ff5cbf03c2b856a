"""LoRA (arXiv:2106.09685): small matrices beside frozen linear layers are trained instead of them, through peft.

    add_adapters(model, LoraSettings(rank=8), seed=0)         # in place: the model keeps its class and its methods
    Learner(model, ...)                                       # now trains the adapters alone
    with without_adapters(model):                             # computes what the model did before
        ...
    model.save_pretrained(folder, state_dict=merged(model))   # plain weights: they load without peft

A layer's output x W becomes x W + alpha / rank * x A B. A is drawn and B starts at 0, so that a new adapter changes
nothing. Adapters are applied beside W at every forward and never merged into it in place: adding them and taking them
away again would leave rounding in W.

Left out: dropout (log-probabilities must not be random), adapters of embeddings and of the head, and weights in half
precision below them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from aepo_env.errors import MissingExtra
from aepo_env.text import did_you_mean

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Linear layers of a block, in every model of `models.SUPPORTED`."""

_ADAPTER = "default"  # peft's name for the only one
_BASE = ".base_layer."  # what peft puts into the names of a layer's own weights
_EXTRA = "lora.rank needs peft: pip install -e '.[lora]', or leave it at 0."


@dataclass(frozen=True)
class LoraSettings:
    """Which adapters are trained instead of the weights.

    Attributes:
        rank: of the matrices A and B; 0: no adapters, all weights are trained.
        alpha: alpha / rank multiplies what an adapter adds.
        targets: layers that get one: "all" linear layers of every block, or names of `LAYERS` with commas between.
    """

    rank: int = 0
    alpha: float = 16.0
    targets: str = "all"

    def __post_init__(self) -> None:
        if self.rank < 0 or not self.alpha > 0:
            raise ValueError(f"Expected lora.rank from 0 and lora.alpha above 0; got {self.rank} and {self.alpha}.")
        for name in self.layers:
            if name not in LAYERS:
                raise ValueError(
                    f"lora.targets is all, or some of {', '.join(LAYERS)} with commas between; got {name!r}"
                    f"{did_you_mean(name, LAYERS)}"
                )
        if not self.rank and (self.alpha, self.targets) != (type(self).alpha, type(self).targets):
            raise ValueError("lora.alpha and lora.targets say how adapters are, and with lora.rank=0 there are none.")

    @property
    def layers(self) -> tuple[str, ...]:
        """The names that `targets` stands for."""
        return LAYERS if self.targets == "all" else tuple(name.strip() for name in self.targets.split(","))


def require_peft(settings: LoraSettings) -> None:
    """Raise MissingExtra where adapters are wanted and peft is not installed."""
    if settings.rank:
        _peft()


def has_adapters(model: PreTrainedModel) -> bool:
    """Whether there are adapters in the model, of this module or somebody else's."""
    return hasattr(model, "peft_config")


def add_adapters(model: PreTrainedModel, settings: LoraSettings, seed: int) -> None:
    """Put new adapters into the model and freeze everything else in it.

    seed: decides A; the process's own random numbers go on as if nothing had been drawn.

    Raises:
        ValueError: the rank is 0, or there are adapters already. MissingExtra: peft is not installed.
    """
    if not settings.rank or has_adapters(model):
        raise ValueError(f"Expected a model without adapters and a rank above 0; got rank {settings.rank}.")
    peft = _peft()
    wanted = peft.LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.layers))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(wanted, model, adapter_name=_ADAPTER)


@contextmanager
def without_adapters(model: PreTrainedModel) -> Iterator[None]:
    """Let the model compute as if it had no adapters inside this block. For forwards without gradient."""
    layers = _layers(model).values()
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merged(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights of a plain model that computes the same up to rounding, by the names that it has for them.

    Those of layers with adapters are new tensors: beside the model there must be room for a second copy of them.
    """
    layers, found = _layers(model), {}
    for name, weights in model.state_dict().items():
        owner, inside, kind = name.partition(_BASE)
        if inside:
            with torch.no_grad():
                found[f"{owner}.{kind}"] = (
                    weights + layers[owner].get_delta_weight(_ADAPTER) if kind == "weight" else weights
                )
        elif owner.rpartition(".lora_")[0] not in layers:
            found[name] = weights
    return found


def adapter_state(model: PreTrainedModel) -> dict[str, Tensor]:
    """What `merged` cannot give back to the bit, for a checkpoint: adapters, and the frozen weights of their layers."""
    starts = tuple(f"{name}." for name in _layers(model))
    return {name: weights for name, weights in model.state_dict().items() if name.startswith(starts)}


def load_adapter_state(model: PreTrainedModel, state: Mapping[str, Tensor]) -> None:
    """The inverse of `adapter_state`, for a model with adapters of the same settings and otherwise equal weights.

    Raises:
        ValueError: the state is of other adapters, or of none.
    """
    mine = adapter_state(model)
    if {name: weights.shape for name, weights in mine.items()} != {name: each.shape for name, each in state.items()}:
        raise ValueError(
            f"Expected the state of {len(mine)} weights of this model's adapted layers; got {len(state)} that do not "
            "fit: lora.rank, lora.targets and the model must be those it was saved with."
        )
    model.load_state_dict(state, strict=False)


def _layers(model: PreTrainedModel) -> dict[str, Any]:
    """Layers with an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtra(_EXTRA) from error
    return peft
