"""Every algorithm by name, with its variants.

algorithm("aepo")                          # every published part on
algorithm("aepo", "official")              # as the authors' scripts run it
"""

from aepo_env.text import did_you_mean
from algorithms import aepo, arpo, grpo
from algorithms.algorithm import Algorithm

ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "aepo": aepo.VARIANTS,
    "arpo": arpo.VARIANTS,
    "grpo": grpo.VARIANTS,
}


def algorithm(name: str, variant: str = "paper") -> Algorithm:
    """An algorithm by name; ValueError names the known ones."""
    if name not in ALGORITHMS:
        hint = did_you_mean(name, ALGORITHMS)
        raise ValueError(f"Unknown algorithm {name!r}: choose one of {', '.join(ALGORITHMS)}{hint}")
    if variant not in ALGORITHMS[name]:
        hint = did_you_mean(variant, ALGORITHMS[name])
        raise ValueError(f"{name} has no variant {variant!r}: choose one of {', '.join(ALGORITHMS[name])}{hint}")
    return ALGORITHMS[name][variant]
