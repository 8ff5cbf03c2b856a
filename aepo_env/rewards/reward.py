"""What a reward is: a function of the finished episode that gives named parts and their total."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from aepo_env.episode import Episode


class Score(NamedTuple):
    """total: what the policy is trained on. parts: by name, for reports; "total" is taken."""

    total: float
    parts: Mapping[str, float]


class Reward(Protocol):
    """Scores a finished episode. Pure: the same record gives the same score, also when it was stored and read back."""

    def __call__(self, episode: "Episode") -> Score: ...
