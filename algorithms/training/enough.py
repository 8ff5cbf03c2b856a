"""Enough: when a cold start ends, found by asking training questions that it was not shown.

    check = Check(Enough(), environment, seed=0)
    check.solved(policy, step)                 # None, or a share of questions from step 280 on, every ten steps

A number of steps would not do: with another seed, number of threads or processor, the same steps end at half the
success or at twice of it, and reinforcement learning needs a start that is neither hopeless nor done.
"""

from dataclasses import dataclass

from algorithms.policy.loading import Policy
from algorithms.policy.sampling import Sampling
from algorithms.rollout.inputs import TokenLimits
from algorithms.training.config import EnvironmentSettings, preset
from algorithms.training.evaluation import success
from algorithms.training.questions import CHECK_WORLD, make_environment


@dataclass(frozen=True)
class Enough:
    """What is asked for.

    Attributes:
        success: share of `questions` solved, one sample each at the temperature of evaluations.
        after, every: the first step checked, and how many lie between two checks.
    """

    success: float = 0.2
    questions: int = 200
    after: int = 280
    every: int = 10


class Check:
    """Asks the questions of one world apart. Draws depend on the seed alone, so that checks are comparable."""

    def __init__(self, enough: Enough, environment: EnvironmentSettings, seed: int) -> None:
        self.enough, self.environment, self.seed = enough, environment, seed

    def solved(self, policy: Policy, step: int) -> float | None:
        """The share solved after this step; None where none is checked."""
        if step < self.enough.after or (step - self.enough.after) % self.enough.every:
            return None
        run = preset("default", self.environment.name)
        env = make_environment(self.environment, "train", CHECK_WORLD)
        tasks = [env.unwrapped.tasks[index] for index in range(self.enough.questions)]
        sampling = Sampling(run.evaluation.temperature, top_p=run.evaluation.top_p)
        limits = TokenLimits(run.turn_tokens, run.total_tokens)
        scores = success(policy, env, tasks, sampling, limits, samples=1, seed=self.seed)
        env.close()
        return scores.mean
