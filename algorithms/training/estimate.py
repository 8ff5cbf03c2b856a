"""An estimate of what a run will take, before anything of it is made: `--dry-run`.

    for line in estimate(config):
        print(line)

Tokens and memory are bounds from the configuration; what an episode usually has is measured on a few that the oracle of
the environment plays, where there is one. Time comes from a short measurement of this machine (`throughput`) or, where
the model does not fit it, from a stated assumption. The model is not loaded: its shape is in `SHAPES`, or in the
config.json of a folder. Left out: evaluations, and whatever a live tool takes.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.algorithm import Algorithm
from algorithms.policy.lora import LAYERS, LoraSettings
from algorithms.training.config import RunConfig
from algorithms.training.questions import make_environment

ASSUMED_FLOPS = 4e13
"""Of one large GPU in float32, in practice; assumed where there is none here."""

EFFICIENCY = 0.3
"""Share of a machine's matrix products that a model reaches here, forward and backward. SmolLM2-135M on two cores: a
quarter to a third."""

TOKEN_SECONDS = 5e-5
"""What a sampled token costs besides the model's arithmetic: sampling, environments, this program's own share. With it
the default run (docs/figures.md: 5.4 s a step) is estimated 20 % too long."""

_PLAYED = 6
_BYTES = 4  # float32


@dataclass(frozen=True)
class Shape:
    """Size of a Llama, Qwen2 or Qwen3 model."""

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    is_tied: bool = False

    @property
    def parameters(self) -> int:
        """Weights; biases and norms are left out, which have less than a thousandth."""
        embeddings = self.vocabulary * self.width * (1 if self.is_tied else 2)
        return self.layers * sum(into * out for into, out in self._linear().values()) + embeddings

    def adapters(self, lora: LoraSettings) -> int:
        """Weights of adapters."""
        return self.layers * sum(lora.rank * sum(self._linear()[name]) for name in lora.layers)

    def _linear(self) -> dict[str, tuple[int, int]]:
        """Widths of what the linear layers of a block take and give."""
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        widths = [queries, keys, keys, 0, self.inner, self.inner, 0]
        into = {"o_proj": queries, "down_proj": self.inner}
        return {name: (into.get(name, self.width), out or self.width) for name, out in zip(LAYERS, widths, strict=True)}

    @property
    def kv_bytes(self) -> int:
        """Keys and values of a token."""
        return 2 * self.layers * self.kv_heads * self.head_width * _BYTES

    @property
    def activation_bytes(self) -> int:
        """What backward keeps of a token, without logits: about a dozen vectors of the width and four of the inner."""
        return self.layers * _BYTES * (12 * self.width + 4 * self.inner + 4 * self.heads * self.head_width)


SHAPES = {
    "tiny": Shape(4, 128, 352, 4, 4, 32, 1_024, is_tied=True),
    "smollm2": Shape(30, 576, 1_536, 9, 3, 64, 49_152, is_tied=True),
    "Qwen/Qwen2.5-0.5B-Instruct": Shape(24, 896, 4_864, 14, 2, 64, 151_936, is_tied=True),
    "Qwen/Qwen2.5-1.5B-Instruct": Shape(28, 1_536, 8_960, 12, 2, 128, 151_936, is_tied=True),
    "Qwen/Qwen2.5-3B-Instruct": Shape(36, 2_048, 11_008, 16, 2, 128, 151_936, is_tied=True),
    "Qwen/Qwen2.5-7B-Instruct": Shape(28, 3_584, 18_944, 28, 4, 128, 152_064),
    "Qwen/Qwen3-0.6B": Shape(28, 1_024, 3_072, 16, 8, 128, 151_936, is_tied=True),
    "Qwen/Qwen3-1.7B": Shape(28, 2_048, 6_144, 16, 8, 128, 151_936, is_tied=True),
    "Qwen/Qwen3-4B": Shape(36, 2_560, 9_728, 32, 8, 128, 151_936, is_tied=True),
    "Qwen/Qwen3-8B": Shape(36, 4_096, 12_288, 32, 8, 128, 151_936),
    "Qwen/Qwen3-14B": Shape(40, 5_120, 17_408, 40, 8, 128, 151_936),
    "meta-llama/Llama-3.1-8B-Instruct": Shape(32, 4_096, 14_336, 32, 8, 128, 128_256),
}
"""Models of ours and of the papers; numbers of their published config.json."""


@dataclass(frozen=True)
class Usual:
    """What an oracle's episode has, in characters: what it starts with, what the policy writes, what it reads."""

    prompt: float
    written: float
    read: float


def shape_of(model: str) -> Shape | None:
    """The shape of a model by name or folder, None where it is not known."""
    file = Path(model) / "config.json"
    if model in SHAPES or not file.is_file():
        return SHAPES.get(model)
    try:
        given: dict[str, Any] = json.loads(file.read_text("utf-8"))
        heads = given["num_attention_heads"]
        return Shape(
            given["num_hidden_layers"],
            given["hidden_size"],
            given["intermediate_size"],
            heads,
            given.get("num_key_value_heads") or heads,
            given.get("head_dim") or given["hidden_size"] // heads,
            given["vocab_size"],
            bool(given.get("tie_word_embeddings", False)),
        )
    except (ValueError, KeyError, TypeError):
        return None


def usual(config: RunConfig) -> Usual | None:
    """Measured on a few episodes of the environment's oracle; None where it has none, or none that succeeds."""
    from algorithms.training.demonstrations import transcripts

    env = make_environment(config.environment, "train", 0)
    try:
        played, _ = transcripts(env, range(min(_PLAYED, len(env.unwrapped.tasks))))
    except ValueError:
        return None
    finally:
        env.close()
    if not played:
        return None
    only_question = config.model == "tiny"  # whose template leaves the system prompt out
    prompts = [
        sum(len(one["content"]) for one in episode.messages if one["role"] == "user" or not only_question)
        for episode in played
    ]
    written = [sum(len(text) for text, _ in episode.turns) for episode in played]
    read = [sum(len(text) for _, text in episode.turns) for episode in played]
    count = len(played)
    return Usual(sum(prompts) / count, sum(written) / count, sum(read) / count)


def throughput(device: str, threads: int) -> float:
    """Floating-point operations a second of a matrix product here, measured within half a second."""
    import torch

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    size = 4_096 if device == "cuda" else 768
    one = torch.randn(size, size, device=device)
    best, ending = float("inf"), time.perf_counter() + 0.5
    while time.perf_counter() < ending:
        began = time.perf_counter()
        float((one @ one)[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def estimate(config: RunConfig, algorithm: Algorithm) -> list[str]:
    """Lines for a person. config: its device resolved. algorithm: with its settings."""
    budget, updates, epochs = algorithm.rollout.budget, algorithm.updates, algorithm.epochs
    rows = config.questions * budget
    most = rows * config.total_tokens
    lines = [
        f"trajectories  {config.questions} questions x {budget} = {rows:,} a step, {config.steps} steps of {updates} "
        "optimiser steps",
        f"tokens        at most {most:,} a step as flat rows ({config.total_tokens:,} a trajectory); what trajectories "
        "of a question share is computed once",
    ]
    expected = usual(config)
    per_token = 2.5 if config.model == "tiny" else 4.0
    written = unique = 0.0
    if expected is None:
        lines.append("              no oracle plays here, so what is usual is not known")
    else:
        prompt, wrote, read = (part / per_token for part in (expected.prompt, expected.written, expected.read))
        length = min(float(config.total_tokens), prompt + wrote + read)
        written, raw = rows * min(wrote, length), rows * length
        unique = raw - (rows - config.questions) * min(prompt, length)
        lines.append(
            f"              an oracle's episode has about {prompt:,.0f} + {wrote:,.0f} + {read:,.0f} (prompt, policy, "
            f"observations; {per_token:g} characters a token): then {raw:,.0f} as rows, at most {unique:,.0f} unique"
        )
    shape = shape_of(config.model)
    if shape is None:
        return [*lines, f"model         the shape of {config.model} is not known here: no estimate of memory and time"]
    forwards = _forwards(algorithm, unique, epochs)
    return [*lines, *_memory(config, shape, algorithm, most, unique), _time(config, shape, forwards, written)]


def _forwards(algorithm: Algorithm, unique: float, epochs: int) -> float:
    """What the learner computes in a step, in forwards of a token: backward is two of them, sampling is one."""
    trained = 3 * epochs * (2 if algorithm.critic is not None else 1)
    scored = len(algorithm.needs & {"reference", "values", "rescored"})
    return unique * (1 + trained + scored)


def _memory(config: RunConfig, shape: Shape, algorithm: Algorithm, most: int, unique: float) -> list[str]:
    trained, adapters = shape.parameters, shape.adapters(config.lora)
    if adapters:
        trained = adapters
    elif not config.optimiser.train_embeddings:
        trained -= shape.vocabulary * shape.width
    weights = _BYTES * (shape.parameters + adapters)
    states = 3 * _BYTES * trained  # a gradient and AdamW's two moments each
    beside = {}
    if "reference" in algorithm.needs and not adapters:  # else it is the policy without them
        beside["a frozen reference"] = weights
    if algorithm.critic is not None:
        beside["a critic with its gradients and AdamW"] = _BYTES * trained + states
    kept = min(config.token_budget, most) * shape.activation_bytes
    kv = (unique or most) * shape.kv_bytes
    total = weights + states + sum(beside.values()) + max(kept, kv)
    more = "".join(f", {name} {_size(size)}" for name, size in beside.items())
    which = f"{_count(trained)} in adapters are trained" if adapters else f"{_count(trained)} of them trained"
    lines = [
        f"model         {config.model}: {_count(shape.parameters)} parameters, {which}",
        f"memory        about {_size(total)}: weights {_size(weights)}, gradients and AdamW {_size(states)}{more}, in "
        f"turn keys and values {_size(kv)} (at most {_size(most * shape.kv_bytes)}) and a forward of "
        f"{min(config.token_budget, most):,} tokens {_size(kept)}",
    ]
    if total > (room := _room(config.device)):
        where = "the GPU" if config.device == "cuda" else "this machine"
        lines.append(
            f"              more than the {_size(room)} of {where}; a model on several GPUs is not supported yet"
        )
    return lines


def _time(config: RunConfig, shape: Shape, forwards: float, written: float) -> str:
    if not forwards:
        return "time          not known, since the usual length is not"
    if 4 * _BYTES * shape.parameters < _room(config.device):
        peak = throughput(config.device, config.threads)
        speed = EFFICIENCY * peak
        said = f"matrix products reach {peak / 1e9:,.0f} GFLOP/s here, a model {EFFICIENCY:.0%} of that"
    else:
        speed = ASSUMED_FLOPS
        said = f"assumed: one GPU with room for it that reaches {speed / 1e12:.0f} TFLOP/s in float32"
    step = 2 * shape.parameters * forwards / speed + written * TOKEN_SECONDS
    return f"time          about {_clock(step)} a step, {_clock(step * config.steps)} in all ({said})"


def _room(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _count(number: float) -> str:
    return f"{number / 1e6:,.2f} million"


def _size(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"
