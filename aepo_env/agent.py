"""Agent: the one interface of everything that acts, and `play`, which lets it.

episode = play(env, agent, seed=7)
print(episode.stop_reason, episode.rewards)
"""

from typing import Any, Protocol

import gymnasium

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode


class Agent(Protocol):
    """Reads what the environment said, answers with the text of one turn in the environment's protocol."""

    def act(self, observation: str, info: dict[str, Any]) -> str: ...


class Oracle:
    """Solves the tasks of an environment made over a world, through the tools alone.

    It knows each task's plan (which page, which relation), not its answer; every value comes from what the tools said.

    Args:
        env: the environment it will play in, wrappers or not.
    """

    def __init__(self, env: "gymnasium.Env[str, str]") -> None:
        self._env = _inner(env)
        if self._env.world is None:
            raise ValueError("This environment was made without a world: only a world knows how its tasks are solved.")
        browses = any(tool.name == "browse" for tool in self._env.rules.tools)
        self._make = self._env.world.oracle if browses else self._env.world.snippet_oracle or self._env.world.oracle
        self._solver: Agent | None = None

    def act(self, observation: str, info: dict[str, Any]) -> str:
        if info["turn"] == 0 or self._solver is None:
            self._solver = self._make(self._env.episode.task)
        return self._solver.act(observation, info)


def play(
    env: "gymnasium.Env[str, str]",
    agent: Agent,
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
) -> Episode:
    """Play one episode from `reset` to its end; `seed` and `options` go to `reset`.

    Works through wrappers; returns the finished record of the innermost environment. It ends because every
    environment of ours bounds its turns.
    """
    inner = _inner(env)
    observation, info = env.reset(seed=seed, options=options)
    ended = False
    while not ended:
        observation, _, terminated, truncated, info = env.step(agent.act(observation, info))
        ended = terminated or truncated
    return inner.episode


def _inner(env: "gymnasium.Env[str, str]") -> ToolEnv:
    if not isinstance(env.unwrapped, ToolEnv):
        raise TypeError(f"An environment of aepo_env is needed; got {type(env.unwrapped).__name__}.")
    return env.unwrapped
