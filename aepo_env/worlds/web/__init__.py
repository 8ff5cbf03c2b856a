"""The generated web: see `world.generated_web`."""

from aepo_env.worlds.web.difficulty import PRESETS, Difficulty
from aepo_env.worlds.web.world import generated_web, web_pages

__all__ = ["PRESETS", "Difficulty", "generated_web", "web_pages"]
