"""Randomness that depends on names and days only.

Belongs here: stable hashes of names, and numbers and identifiers that follow from them.
Does not belong here: distributions. Python's own `hash` differs between processes: never use it.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_of(*parts: object) -> int:
    """A 64-bit number that follows from `parts` in every process and on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def generator(*parts: object) -> np.random.Generator:
    """A random generator that follows from `parts`."""
    return np.random.Generator(np.random.PCG64(seed_of(*parts)))


def mix64(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number scattered over 64 bits, one to one (the finaliser of splitmix64)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def identities(rows: int, *parts: object) -> NDArray[np.uint64]:
    """`rows` different 64-bit identities that follow from `parts`."""
    return mix64(np.arange(rows, dtype=np.uint64) + np.array([seed_of(*parts)], dtype=np.uint64))
