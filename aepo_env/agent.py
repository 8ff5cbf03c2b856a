"""Agent: the one interface of everything that acts, and `play`, which lets it."""

from typing import Any, Protocol


class Agent(Protocol):
    """Reads an observation, answers with text in the environment's protocol."""

    def act(self, observation: str, info: dict[str, Any]) -> str: ...
