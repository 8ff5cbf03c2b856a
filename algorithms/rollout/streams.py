"""Random numbers by name: equal keys give equal numbers, in every process.

    generator(seed, step, question, "forks").random()
    number(seed, step, question, "environment")            # a seed for somebody else

Tokens have streams of their own, kept by the generation engine.
"""

import hashlib
import json

import numpy as np

Key = tuple[int | str, ...]


def generator(*key: int | str) -> np.random.Generator:
    """A generator keyed by a hash of `key`."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(key)[:16], "little")))


def number(*key: int | str) -> int:
    """A whole number from [0, 2**31)."""
    return int.from_bytes(_digest(key)[:4], "little") >> 1


def _digest(key: Key) -> bytes:
    # JSON tells 1 from "1" and keeps the parts apart.
    return hashlib.sha256(json.dumps(list(key)).encode()).digest()
