"""Enough: when a cold start ends, found by asking training questions that it was not shown.

    check = Check(Enough(), environment, seed=0)
    check.solved(policy, step)                 # None, or a share of questions from step 280 on, every ten steps

A number of steps would not do: with another seed, number of threads or processor, the same steps end with half the
success or twice as much, and reinforcement learning needs a start that is neither hopeless nor done.
"""

from dataclasses import dataclass

from algorithms.policy.loading import Policy
from algorithms.policy.sampling import Sampling
from algorithms.rollout.faults import ToolsFailed
from algorithms.rollout.inputs import TokenLimits
from algorithms.training.config import EnvironmentSettings
from algorithms.training.evaluation import success
from algorithms.training.questions import CHECK_WORLD, make_environment


@dataclass(frozen=True)
class Enough:
    """What is asked for.

    Attributes:
        success: share of `questions` solved, one sample each at `temperature`, within the limits of tokens.
        after, every: the first step checked, and how many lie between two checks.
    """

    success: float = 0.2
    questions: int = 200
    after: int = 280
    every: int = 10
    temperature: float = 0.6
    turn_tokens: int = 64
    total_tokens: int = 768


class Check:
    """Asks the questions of one world apart. Draws depend on seed and question alone, so that checks are comparable."""

    def __init__(self, enough: Enough, environment: EnvironmentSettings, seed: int) -> None:
        self.enough, self.environment, self.seed = enough, environment, seed

    def solved(self, policy: Policy, step: int) -> float | None:
        """The share solved after this step; None where none is checked.

        Raises:
            ToolsFailed: episodes were lost to faults of tools. Whatever is found then is not kept.
        """
        if step < self.enough.after or (step - self.enough.after) % self.enough.every:
            return None
        sampling = Sampling(self.enough.temperature)
        limits = TokenLimits(self.enough.turn_tokens, self.enough.total_tokens)
        env = make_environment(self.environment, "train", CHECK_WORLD)
        try:
            tasks = [env.unwrapped.tasks[index] for index in range(self.enough.questions)]
            scores = success(policy, env, tasks, sampling, limits, samples=1, seed=self.seed)
        finally:
            env.close()
        if scores.lost:
            raise ToolsFailed(
                f"Tools failed while the cold start was checked at step {step}: {scores.lost} of {len(tasks)} episodes "
                "were lost. See `make doctor`, and try again: nothing was kept."
            )
        return scores.mean
