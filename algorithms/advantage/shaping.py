"""Changes of rewards before advantages are computed, as algorithms name them.

Overlong(buffer=0.2, factor=1.0)      # DAPO's soft punishment of answers close to the limit
"""

from dataclasses import dataclass, replace

import torch

from algorithms.advantage.overlong import overlong_penalty
from algorithms.algorithm import LeafBatch


@dataclass(frozen=True)
class Overlong:
    """A leaf loses reward as its length nears what the run allows; see `overlong.overlong_penalty`.

    Attributes:
        buffer: over which last share of the room behind the prompt the loss grows; 0.2 is DAPO's 4,096 of 20,480.
        factor: the greatest loss; 0 turns it off.
        longest: tokens behind the prompt at which it is reached; None: the run's own limit.
    """

    buffer: float = 0.2
    factor: float = 1.0
    longest: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.buffer <= 1 or self.factor < 0 or not (self.longest is None or self.longest > 0):
            raise ValueError(f"Expected a buffer in 0..1 above 0, a factor from 0 and a longest above 0; got {self}.")

    def __call__(self, batch: LeafBatch) -> LeafBatch:
        """See `Shaping`. Raises ValueError where neither `longest` nor the batch's limit is known."""
        if not self.factor:
            return batch
        longest = torch.full_like(batch.lengths, self.longest) if self.longest is not None else batch.rooms
        costs = torch.zeros_like(batch.rewards)
        for room in sorted(set(longest.tolist())):  # one a question: prompts differ in length
            mine = longest == room
            buffer = max(1, round(self.buffer * room))
            costs[mine] = overlong_penalty(batch.lengths[mine], longest=room, buffer=buffer, factor=self.factor)
        return replace(batch, rewards=batch.rewards + costs)
