"""Chance that repeats: a stream of random numbers for everything that has a name, all derived from the world's seed.

What one element draws does not shift what another one draws: a loss more on this link leaves that link as it was.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random


def stream(seed: int, *names: str) -> Random:
    """Return the stream of the element of these names, such as ``stream(7, "link", "a-b", "loss")``.

    Derived by BLAKE2 (RFC 7693), never by ``hash()``, which differs from process to process.
    """
    key = "\0".join((str(seed), *names)).encode()
    return Random(int.from_bytes(blake2b(key, digest_size=16).digest()))
