"""ChatCodec: between text and the token ids of a Hugging Face tokenizer.

    codec = ChatCodec(tokenizer, vocabulary=model.config.vocab_size)
    codec.prompt(info["messages"])          # the tokenizer's chat template, up to where the policy's turn begins
    codec.observation("<result>…</result>") # special tokens in the text are plain text
    codec.text(sampled_tokens)              # a turn as the environment is given it

A whole episode is one turn of the assistant, as in the ARPO and AEPO papers: calls stop generation, results are
appended, the policy goes on writing. So nothing is rendered again and no token is ever made from text twice.

Left out: chat formats that hand tool results over in a role of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class ChatCodec:
    """A `rollout.inputs.Codec` over a tokenizer of transformers.

    Args:
        tokenizer: fast, with a chat template.
        vocabulary: number of tokens the model chooses from; it may be larger than the tokenizer's.

    Raises:
        ValueError: the tokenizer has no chat template, or none of the fast kind.
    """

    def __init__(self, tokenizer: Any, vocabulary: int | None = None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError("A fast tokenizer is needed (tokenizer.json): slow ones cannot read text as plain text.")
        if not tokenizer.chat_template:
            raise ValueError(
                "The tokenizer has no chat template, so nobody knows how this model is asked a question: take an "
                "instruction-tuned model, or set tokenizer.chat_template."
            )
        self.tokenizer = tokenizer
        self._vocabulary = vocabulary or len(tokenizer)
        self.end_tokens: frozenset[int] = frozenset({tokenizer.eos_token_id} - {None})

    @property
    def vocabulary(self) -> int:
        """Number of tokens the policy chooses from."""
        return self._vocabulary

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Token ids a trajectory starts with."""
        text = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def observation(self, text: str) -> list[int]:
        """Token ids of what the environment said: a page can neither end a turn nor speak for a role."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """One turn of the policy, end-of-turn tokens left out."""
        kept = [token for token in tokens if token not in self.end_tokens]
        text: str = self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text
