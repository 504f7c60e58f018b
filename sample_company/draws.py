"""Seeded randomness that does not depend on what was drawn before.

Every draw names what it is for, so a day or a customer comes out the same whatever else was generated, and in whatever
order.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

MASK = (1 << 64) - 1


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A stream of random numbers of its own for each (seed, purpose, numbers)."""
    return np.random.default_rng([seed, crc32(purpose.encode()), *numbers])


def bits(*numbers: int) -> int:
    """64 well-mixed bits that are a function of the numbers alone (the finaliser of splitmix64, chained).

    Some 20 times faster than seeding a generator, which counts where every customer needs a few.
    """
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state
