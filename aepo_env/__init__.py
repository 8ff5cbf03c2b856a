"""aepo_env: multi-turn text environments with search, browsing and python, whose episodes can be forked at any step.

    import gymnasium, aepo_env

    env = gymnasium.make("aepo_env/Web-v0")      # also Search-v0 and Code-v0
    observation, info = env.reset(seed=7)
    children = aepo_env.fork(env, 4)             # wrappers, budgets and a live interpreter included

Importing this package registers the environments and loads nothing heavy; worlds are made when an environment is.
"""

import sys
from typing import TYPE_CHECKING, Any

try:
    import gymnasium
except ModuleNotFoundError as error:
    if error.name != "gymnasium":
        raise
    raise ModuleNotFoundError(
        f"aepo_env needs gymnasium, which {sys.executable} does not have: in a checkout use .venv/bin/python, which "
        "`make setup` makes; elsewhere pip install it.",
        name="gymnasium",
    ) from error

if TYPE_CHECKING:
    from aepo_env.agent import Agent, Oracle, play
    from aepo_env.env import Snapshot, ToolEnv
    from aepo_env.episode import Episode, Limits, StopReason
    from aepo_env.errors import ForkNotSupported, MissingExtra
    from aepo_env.forking import fork, restore, snapshot
    from aepo_env.stored import from_plain, to_plain
    from aepo_env.tasks import Task
    from aepo_env.tools.tool import CallContext, Fault, ForkCost, Forking, Tool, ToolResult

__version__ = "0.1.0"

_HOMES = {
    "Agent": "agent",
    "CallContext": "tools.tool",
    "Episode": "episode",
    "Fault": "tools.tool",
    "ForkCost": "tools.tool",
    "ForkNotSupported": "errors",
    "Forking": "tools.tool",
    "Limits": "episode",
    "MissingExtra": "errors",
    "Oracle": "agent",
    "Snapshot": "env",
    "StopReason": "episode",
    "Task": "tasks",
    "Tool": "tools.tool",
    "ToolEnv": "env",
    "ToolResult": "tools.tool",
    "fork": "forking",
    "from_plain": "stored",
    "play": "agent",
    "restore": "forking",
    "snapshot": "forking",
    "to_plain": "stored",
}
"""Where each public name lives; looked up at its first use, so that importing the package stays quick."""

__all__ = [
    "Agent",
    "CallContext",
    "Episode",
    "Fault",
    "ForkCost",
    "ForkNotSupported",
    "Forking",
    "Limits",
    "MissingExtra",
    "Oracle",
    "Snapshot",
    "StopReason",
    "Task",
    "Tool",
    "ToolEnv",
    "ToolResult",
    "fork",
    "from_plain",
    "play",
    "restore",
    "snapshot",
    "to_plain",
]

for _id, _maker in {"Web-v0": "web", "Search-v0": "search", "Code-v0": "code"}.items():
    gymnasium.register(f"aepo_env/{_id}", entry_point=f"aepo_env.environments:{_maker}")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aepo_env' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"aepo_env.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
