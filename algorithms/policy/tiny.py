"""tiny: a Qwen3 model of a million parameters and a tokenizer of its own, made here from nothing.

    tokenizer = tiny_tokenizer(texts)
    model = tiny_model(len(tokenizer), seed=0)

It is what runs train without a GPU: plain transformers objects, saved and loaded as any other model. What makes a model
this small learn to copy names out of pages within minutes lies in two places:

- the tokenizer cuts a name or number the same way everywhere: a space before every text, numbers by themselves, and
  the protocol's tags are one token each;
- the first weights hold an induction circuit (`_copying`): untrained already, the model writes down what followed
  the last two tokens before, and learning decides what to copy and when. Other weights start "mimetic": queries and
  keys alike, outputs that undo values. Only values differ from a usual start, nothing of the architecture.

Sources: induction heads, arXiv:2209.11895; mimetic initialisation, arXiv:2305.09828. Left to form by itself, the
circuit takes most of the cold start, and how long depends on the seed.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TAGS = ("think", "search", "browse", "python", "result", "answer")
END = "<|end|>"
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] }}\n{% endif %}{% endfor %}"
)
"""The question alone: a system prompt would be most of what so small a model reads, and it learns from examples."""


@dataclass(frozen=True, slots=True)
class TinyShape:
    """Size of the model: 0.94 million parameters with 1,024 tokens. positions: longest trajectory in tokens."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 352
    positions: int = 1024

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width // self.heads < 8 or (self.width // self.heads) % 2:
            raise ValueError(f"Expected heads that divide the width into even parts of at least 8, got {self}.")


def tiny_tokenizer(texts: Iterable[str], vocabulary: int = 1_024) -> Any:
    """A byte-level BPE tokenizer, trained on `texts`; any text can be written in it.

    Args:
        texts: what it will mostly read; the same texts give the same tokenizer.
        vocabulary: tokens in all, tags included.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tags = [f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")] + ["\\boxed{"]
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Prepend(" ")  # in front of every stretch between two tags
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(tags),
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    between_tags = re.compile("|".join(map(re.escape, tags)))
    made.train_from_iterator((between_tags.sub("\n", text) for text in texts), trainer)
    # Tags are no special tokens: the environment writes <result> itself, and defuses whatever a page has of the kind.
    made.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=made, eos_token=END, pad_token=END)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_model(vocabulary: int, seed: int = 0, shape: TinyShape | None = None) -> Any:
    """The model in float32 with its first weights, which depend on the arguments alone."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape = shape or TinyShape()
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = Qwen3ForCausalLM(config)
        with torch.no_grad():
            _first_weights(model, shape)
    return model.eval()


def _first_weights(model: Any, shape: TinyShape) -> None:
    """See the module's docstring."""
    embedding = model.get_input_embeddings().weight
    torch.nn.init.normal_(embedding, std=0.1)
    embedding[:, 0] = 0.4  # the same for every token: what the heads that look back hold on to
    for number, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        for matrix in (attention.q_proj, attention.k_proj, mlp.gate_proj, mlp.up_proj):
            _scaled(matrix.weight, 0.6)
        _scaled(mlp.down_proj.weight, 0.6 / math.sqrt(2 * shape.layers))
        if number > 0:
            attention.k_proj.weight.mul_(0.3).add_(attention.q_proj.weight)
        torch.nn.init.orthogonal_(attention.v_proj.weight)
        attention.o_proj.weight.copy_(0.7 * attention.v_proj.weight.T)
        attention.q_norm.weight.fill_(1.5)  # with 1, no attention score could exceed sqrt(head width)
        attention.k_norm.weight.fill_(1.5)
    _copying(model.model.layers[0].self_attn, model.model.layers[1].self_attn, shape.width // shape.heads)


def _scaled(matrix: Tensor, gain: float) -> None:
    torch.nn.init.normal_(matrix, std=gain / math.sqrt(matrix.shape[1]))


def _copying(first: Any, second: Any, width: int) -> None:
    """An induction circuit over two layers: what followed the last two tokens before is written down again.

    One head of the first layer looks at the token before, another at the one before that; each notes it in directions
    of its own. Heads of the second layer look for positions whose notes are the present token and the one before it,
    and write down the token that stands there. One token alone would not do: names share their syllables.
    """
    size = first.q_proj.weight.shape[1]
    basis = torch.nn.init.orthogonal_(torch.empty(size, size))
    count = size // width
    pieces = [basis[piece * width : (piece + 1) * width] for piece in range(count)]
    token, before, second_before = (pieces[place % count] for place in range(3))
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2).float() / width)
    slow = frequencies < 0.05  # fast ones would let a match depend on the distance
    weights = torch.where(slow, 1.0, 0.1).repeat(2)[:, None]
    for head in range(count):
        rows = slice(head * width, (head + 1) * width)
        if head < 2:
            _look_back(first, rows, frequencies, distance=head + 1)
            first.v_proj.weight[rows] = token
            first.o_proj.weight[:, rows] = 0.3 * (before, second_before)[head].T
        else:
            first.o_proj.weight[:, rows] *= 0.15
        # Every other of the slow frequencies compares the token before, in odd heads the others.
        of_before = (slow & (slow.cumsum(0) % 2 == head % 2)).repeat(2)[:, None]
        second.q_proj.weight[rows] = weights * torch.where(of_before, before, token)
        second.k_proj.weight[rows] = weights * torch.where(of_before, second_before, before)
        second.v_proj.weight[rows] = pieces[head]
        second.o_proj.weight[:, rows] = 0.7 * pieces[head].T


def _look_back(attention: Any, rows: slice, frequencies: Tensor, distance: int) -> None:
    """Let a head look at the token `distance` before: its keys are its queries, turned as many positions on."""
    direction = torch.zeros(2 * len(frequencies))
    direction[:4] = torch.tensor([1.0, 0.8, 0.6, 0.4])  # the fastest frequencies tell neighbours apart best
    first, second = direction.chunk(2)
    cosine, sine = (distance * frequencies).cos(), (distance * frequencies).sin()
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine])
    for matrix, wanted in ((attention.q_proj.weight, direction), (attention.k_proj.weight, turned)):
        matrix[rows] *= 0.1
        matrix[rows, 0] = wanted
