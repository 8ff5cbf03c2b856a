"""Scene: what an agent may know of the environment it acts in, through any wrappers: its tools and its protocol."""

import gymnasium

from aepo_env.env import ToolEnv
from aepo_env.tools.tool import Tool


class Scene:
    """Tools and protocol of an environment. Raises TypeError where it is none of aepo_env.

    Attributes:
        tools: in the environment's order. protocol: reads and renders turns. stop: where generation may stop.
    """

    def __init__(self, env: "gymnasium.Env[str, str]") -> None:
        if not isinstance(env.unwrapped, ToolEnv):
            raise TypeError(f"An environment of aepo_env is needed; got {type(env.unwrapped).__name__}.")
        self.tools: tuple[Tool, ...] = env.unwrapped.rules.tools
        self.protocol = env.unwrapped.rules.protocol
        self.stop = self.protocol.stop

    def tool(self, name: str) -> Tool | None:
        """The tool of this name, if there is one."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def require(self, name: str, agent: str) -> Tool:
        """The tool of this name. Raises ValueError, naming the agent that cannot do without."""
        tool = self.tool(name)
        if tool is None:
            there = ", ".join(each.name for each in self.tools) or "none"
            raise ValueError(
                f"The agent {agent} needs the tool {name}, and this environment has {there}: take --env web or search, "
                "or another agent."
            )
        return tool
