"""Which event loop to run, and a heap that suits its reads."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

# mallopt(3). Reads take up to 128 KiB, the very size from which glibc maps a block of its own for each and hands it
# back on release: then every read faults its pages in anew, until the thresholds have adapted themselves.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MMAP_BYTES: Final = 1 << 20
_TRIM_BYTES: Final = 4 << 20  # what may lie free at the heap's end before it is given back


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where it is installed, asyncio's own otherwise."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def settle_heap() -> None:
    """Let the C library keep blocks as large as a read on its heap; harmless where it has no such thing."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
