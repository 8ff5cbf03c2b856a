"""Which questions of a rollout batch are trained on (`algorithm.KeepAll`: every one).

DropUninformative(rounds=10)      # DAPO's dynamic sampling
"""

from dataclasses import dataclass

from torch import Tensor

from algorithms.advantage.group import dead_groups


@dataclass(frozen=True)
class DropUninformative:
    """Questions whose leaves all have the same reward are dropped, and others asked for in their place.

    Source: DAPO, arXiv:2503.14476, section 3.2; its code, too, gives up after a number of rounds (10).

    Attributes:
        rounds: how often questions are grown at most, the first time included.
        tolerance: largest difference between rewards that still counts as none.
    """

    rounds: int = 10
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.tolerance < 0:
            raise ValueError(f"Expected at least 1 round and a tolerance from 0; got {self}.")

    def keep(self, rewards: Tensor, questions: Tensor) -> Tensor:
        """Leaves of questions that have some spread of rewards, [K] bool."""
        return ~dead_groups(rewards, questions, tolerance=self.tolerance)

    def asks_again(self, kept: int, wanted: int, rounds: int) -> bool:
        """While questions are missing and a round is left."""
        return kept < wanted and rounds < self.rounds
