"""How much a tree holds: every file counted once, whatever number of names it has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from portside.storage.beneath import Resolution

_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def usage_bytes(resolution: Resolution, root: int) -> int:
    """Return how many bytes the files beneath a directory have. Links are not followed.

    What may not be looked into, and what vanishes meanwhile, counts nothing.
    """
    total, seen = 0, set[tuple[int, int]]()
    waiting = ["."]
    while waiting:
        directory = waiting.pop()
        with suppress(OSError):
            for name, facts in _facts_in(resolution.open(root, directory, _LIST)):
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(f"{directory}/{name}")
                elif stat.S_ISREG(facts.st_mode):
                    if facts.st_nlink > 1:
                        if (facts.st_dev, facts.st_ino) in seen:
                            continue
                        seen.add((facts.st_dev, facts.st_ino))
                    total += facts.st_size
    return total


def _facts_in(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the names in a directory and what is known of them, and close it."""
    try:
        with os.scandir(directory) as found:
            for entry in found:
                with suppress(OSError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    finally:
        os.close(directory)
