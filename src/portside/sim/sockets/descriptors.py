"""Descriptors that simulated sockets give to whoever wants to poll them."""

from __future__ import annotations

import os


class Descriptors:
    """Two descriptors for all sockets of the process: one that is never readable, and one that always is."""

    idle = -1
    ready = -1

    @classmethod
    def get(cls, *, is_ready: bool) -> int:
        """Return the one that a socket in that state gives."""
        if cls.idle < 0:
            cls.idle, cls.ready = os.eventfd(0, os.EFD_CLOEXEC), os.eventfd(1, os.EFD_CLOEXEC)
        return cls.ready if is_ready else cls.idle
