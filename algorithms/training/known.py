"""Every algorithm by name, with its variants.

algorithm("aepo")                          # every published part on
algorithm("aepo", "official")              # as the authors' scripts run it
suited("ppo", preset.settings)             # of settings meant for all, those it has
"""

from collections.abc import Mapping
from typing import Any

from aepo_env.text import did_you_mean
from algorithms import (
    aepo,
    arpo,
    ce_gppo,
    cispo,
    clip_cov,
    dapo,
    dr_grpo,
    empg,
    gigpo,
    gppo,
    grpo,
    gspo,
    kl_cov,
    ppo,
    reinforce,
    reinforce_plus_plus,
    rloo,
    tree_grpo,
)
from algorithms.algorithm import Algorithm
from algorithms.names import NAMES
from algorithms.settings import fitting

_VARIANTS: dict[str, dict[str, Algorithm]] = {
    "aepo": aepo.VARIANTS,
    "grpo": grpo.VARIANTS,
    "reinforce++": reinforce_plus_plus.VARIANTS,
    "dapo": dapo.VARIANTS,
    "cispo": cispo.VARIANTS,
    "gppo": gppo.VARIANTS,
    "gigpo": gigpo.VARIANTS,
    "arpo": arpo.VARIANTS,
    "reinforce++-baseline": reinforce_plus_plus.BASELINE_VARIANTS,
    "ppo": ppo.VARIANTS,
    "reinforce": reinforce.VARIANTS,
    "rloo": rloo.VARIANTS,
    "dr-grpo": dr_grpo.VARIANTS,
    "gspo": gspo.VARIANTS,
    "ce-gppo": ce_gppo.VARIANTS,
    "tree-grpo": tree_grpo.VARIANTS,
    "empg": empg.VARIANTS,
    "clip-cov": clip_cov.VARIANTS,
    "kl-cov": kl_cov.VARIANTS,
}
ALGORITHMS = {name: _VARIANTS[name] for name in NAMES}


def algorithm(name: str, variant: str = "paper") -> Algorithm:
    """An algorithm by name; ValueError names the known ones."""
    if name not in ALGORITHMS:
        hint = did_you_mean(name, ALGORITHMS)
        raise ValueError(f"Unknown algorithm {name!r}: choose one of {', '.join(ALGORITHMS)}{hint}")
    if variant not in ALGORITHMS[name]:
        hint = did_you_mean(variant, ALGORITHMS[name])
        raise ValueError(f"{name} has no variant {variant!r}: choose one of {', '.join(ALGORITHMS[name])}{hint}")
    return ALGORITHMS[name][variant]


def suited(name: str, preset: Mapping[str, Any], variant: str = "paper") -> dict[str, Any]:
    """Of a preset's settings, which are meant for all algorithms, those that this one can take.

    What a user sets goes to the algorithm as it is, so that what it does not have is an error.
    """
    return fitting(algorithm(name, variant), preset)
