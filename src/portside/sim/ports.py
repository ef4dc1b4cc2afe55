"""Ports that nobody has asked for by number: RFC 6056, and Linux's range of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random
from typing import Final

EPHEMERAL_FIRST: Final = 32_768  # net.ipv4.ip_local_port_range
EPHEMERAL_LAST: Final = 60_999


def ephemeral(chance: Random, is_taken: Callable[[int], bool]) -> int:
    """Return a port of the range that is free, beginning at random: RFC 6056 section 3.3.1.

    Raises: OSError EADDRINUSE if none is.
    """
    count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1
    start = chance.randrange(count)
    for step in range(count):
        port = EPHEMERAL_FIRST + (start + step) % count
        if not is_taken(port):
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
