"""Drawing tokens: one keyed random stream per path, and exact log-probabilities and entropies of what was drawn.

    stream = Stream((seed, step, question, *path))
    drawn = draw(logits, uniforms=[stream.uniform(depth)], sampling=Sampling(temperature=0.6, top_p=0.95))

The random number of a token depends on its stream's key and its depth in the trajectory, on nothing else: not on the
batch, not on what was generated before. So a run can be repeated, and a path resumed, in any process.

Left out: penalties that look at earlier tokens; they would make the sampling distribution differ from the learner's.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from algorithms.policy.models import accumulation

Key = tuple[int | str, ...]

_BLOCK = 64  # uniforms made at a time; of no influence on their values


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn.

    temperature: divides the logits; 0 takes the likeliest token.
    top_k: only the k likeliest tokens, 0 for all. top_p: only the likeliest that together reach this probability.
    Both at once: top_p is applied to what top_k leaves. The rest is renormalised.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and self.top_k >= 0 and 0 < self.top_p <= 1):
            raise ValueError(f"Expected temperature >= 0, top_k >= 0 and 0 < top_p <= 1; got {self}.")


class Stream:
    """Uniform numbers in [0, 1) by position. Philox 4x64 keyed by a hash of `key`: equal keys give equal numbers."""

    def __init__(self, key: Key) -> None:
        # JSON tells 1 from "1" and keeps the parts apart.
        digest = hashlib.sha256(json.dumps(list(key)).encode()).digest()
        self._key = int.from_bytes(digest[:16], "little")
        self._block = -1
        self._numbers: list[float] = []

    def uniform(self, position: int) -> float:
        """The number at `position` >= 0."""
        block, offset = divmod(position, _BLOCK)
        if block != self._block:
            # One counter value gives four numbers.
            bits = np.random.Philox(key=self._key, counter=block * (_BLOCK // 4))
            self._numbers = np.random.Generator(bits).random(_BLOCK).tolist()
            self._block = block
        return self._numbers[offset]


@dataclass(frozen=True, slots=True)
class Drawn:
    """B drawn tokens; all [B], numbers in nats.

    log_probs, entropies: of the distribution drawn from (temperature and truncation applied).
    full_log_probs, full_entropies: of the model's own distribution (temperature 1, whole vocabulary).
    """

    tokens: list[int]
    log_probs: list[float]
    entropies: list[float]
    full_log_probs: list[float]
    full_entropies: list[float]


def draw(logits: Tensor, uniforms: Sequence[float], sampling: Sampling) -> Drawn:
    """One token per row of `logits`, [B, V], by inverting the cumulative distribution at `uniforms`, [B] in [0, 1).

    Raises FloatingPointError where logits are not finite.
    """
    logits = logits.to(accumulation(logits.dtype))
    probs = torch.softmax(logits, dim=-1)
    # logsumexp without a second pass of exponentials: the likeliest token has probability exp(max - logsumexp).
    normaliser = logits.amax(dim=-1) - probs.amax(dim=-1).log()
    if not bool(torch.isfinite(normaliser).all()):
        raise FloatingPointError(
            "The model's logits are NaN or infinite: its weights have diverged, or its precision is too low."
        )
    full_entropies = normaliser - (probs * logits).sum(dim=-1)
    numbers = torch.tensor(uniforms, dtype=torch.float64, device=logits.device)
    if sampling.temperature == 0:
        tokens = logits.argmax(dim=-1)
    elif sampling == Sampling():
        tokens = _invert(probs, numbers)
    else:
        scaled = _truncate(torch.log_softmax(logits / sampling.temperature, dim=-1), sampling)
        tokens = _invert(scaled.exp(), numbers)
    full_log_probs = logits.gather(-1, tokens[:, None])[:, 0] - normaliser
    if sampling.temperature == 0:
        log_probs = entropies = torch.zeros_like(full_entropies)
    elif sampling == Sampling():
        log_probs, entropies = full_log_probs, full_entropies
    else:
        log_probs = scaled.gather(-1, tokens[:, None])[:, 0]
        entropies = torch.special.entr(scaled.exp()).sum(dim=-1)
    return Drawn(
        tokens.tolist(), log_probs.tolist(), entropies.tolist(), full_log_probs.tolist(), full_entropies.tolist()
    )


def _truncate(log_probs: Tensor, sampling: Sampling) -> Tensor:
    """Log-probabilities with what top_k and top_p drop at -inf, renormalised."""
    keep = torch.ones_like(log_probs, dtype=torch.bool)
    # A stable order, so that of equally likely tokens the lower ids stay.
    ordered, order = torch.sort(log_probs, dim=-1, descending=True, stable=True)
    if 0 < sampling.top_k < log_probs.shape[-1]:
        keep[:, sampling.top_k :] = False
    if sampling.top_p < 1:
        ordered = torch.log_softmax(ordered.masked_fill(~keep, -torch.inf), dim=-1)
        above = ordered.exp().cumsum(dim=-1, dtype=torch.float64) - ordered.exp()
        # A token stays if those before it do not reach top_p yet: the likeliest one always does.
        keep &= above < sampling.top_p
    kept = torch.zeros_like(keep).scatter(-1, order, keep)
    return torch.log_softmax(log_probs.masked_fill(~kept, -torch.inf), dim=-1)


def _invert(probs: Tensor, uniforms: Tensor) -> Tensor:
    """The first token at which the cumulative probability exceeds `uniforms` times the total. Never one of weight 0."""
    # In float64: in float32 the sum over a large vocabulary would lose its rare tokens.
    cumulative = probs.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1]
    # Rounding may lift the product to the total itself, where no token is left.
    target = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
