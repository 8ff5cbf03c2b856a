"""What a rollout is given besides tasks, an environment and an engine: a codec and limits in tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Codec(Protocol):
    """Text to tokens and back. Policy tokens are read as text, never made from it."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens the policy chooses from."""
        ...

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """What a trajectory starts with: the episode's first messages, up to where the policy's turn begins."""
        ...

    def observation(self, text: str) -> list[int]:
        """What the environment said, with whatever stands around it: one token at least, always the same ones.

        Special tokens in `text` are plain text: a page must not end a turn or speak for a role.
        """
        ...

    def text(self, tokens: Sequence[int]) -> str:
        """One turn of the policy, end-of-turn tokens left out."""
        ...


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """turn: tokens of one policy turn. total: of a trajectory, its prompt included; at most the model's positions."""

    turn: int = 512
    total: int = 4096

    def __post_init__(self) -> None:
        if self.turn < 1 or self.total < 2:
            raise ValueError(f"Expected turn >= 1 and total >= 2; got {self}.")
