"""Small models in float64, and every trajectory run alone through them: what trees must reproduce."""

from types import MethodType
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from algorithms.policy.packing import TreeBatch

VOCABULARY = 40
KINDS = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
torch.set_num_threads(1)


def exact_norm(self: Any, x: Tensor) -> Tensor:
    """RMSNorm in the precision of its input; that of transformers is in float32 whatever it gets."""
    return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon))


def make_model(kind: str = "qwen3", seed: int = 0, dtype: torch.dtype = torch.float64, **changes: Any) -> Any:
    torch.manual_seed(seed)
    config, model = KINDS[kind]
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 512,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if kind == "qwen3":
        shape["head_dim"] = 12  # not hidden_size / heads: nobody may compute it so
    made = model(config(**{**shape, **changes})).to(dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)  # far from uniform attention and predictions
    for module in made.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(exact_norm, module)
    return made


def alone(model: Any, batch: TreeBatch, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """[K, T] log-probabilities and entropies of the policy tokens, one trajectory after the other."""
    log_probs, entropies = (
        torch.zeros(batch.index.shape, dtype=model.dtype),
        torch.zeros(batch.index.shape, dtype=model.dtype),
    )
    rows = []
    for of_tree in batch.rows:
        rows += [(of_tree.tokens[i, :n], of_tree.mask[i, :n]) for i, n in enumerate(of_tree.lengths)]
    parts, uncertain = [], []
    for tokens, mask in rows:
        ids = torch.from_numpy(tokens)
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1] / temperature
        trained = torch.from_numpy(mask)[1:]
        predicted = torch.log_softmax(logits, -1)
        parts.append(predicted.gather(-1, ids[1:, None])[:, 0][trained])
        uncertain.append(-(predicted.exp() * predicted).sum(-1)[trained])
    return log_probs.masked_scatter(batch.mask, torch.cat(parts)), entropies.masked_scatter(
        batch.mask, torch.cat(uncertain)
    )


def clipped_loss(log_probs: Tensor, mask: Tensor, first: int = 0, denominator: float = 1.0) -> Tensor:
    """PPO's clipped surrogate; old log-probabilities and advantages of leaf `first` and later ones drawn per leaf."""
    total = log_probs.new_zeros(())
    for leaf, (row, trained) in enumerate(zip(log_probs, mask, strict=True)):
        source = torch.Generator().manual_seed(first + leaf)
        noise = torch.randn(600, generator=source, dtype=torch.float64)
        ratio = torch.exp(row - row.detach() + 0.3 * noise[1 : len(row) + 1].to(row.dtype))
        objective = torch.minimum(ratio * noise[0], ratio.clamp(0.8, 1.2) * noise[0])
        total = total - (objective * trained).sum()
    return total / denominator


def gradient(model: Any, loss: Tensor) -> Tensor:
    """The gradient with respect to all parameters, as one vector."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()]
    )


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Relative, in the Euclidean norm."""
    return float((ours - theirs).norm() / theirs.norm())
