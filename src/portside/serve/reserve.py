"""A descriptor kept back for the moment when all others are used up."""

from __future__ import annotations

import os
import threading
from typing import Final

from portside.errors import PortsideError
from portside.net.sockets import Socket, accept_nowait

COMPLAIN_EVERY_S: Final = 10.0


class Reserve:
    """Whoever comes when no descriptor is left can be accepted with this one, and told to go.

    Left in the queue they would wait for nothing, and a level-triggered poll would report them again and again.
    """

    def __init__(self) -> None:
        self._fd = _open_null()
        self._lock = threading.Lock()
        self._complained_s: float | None = None

    def accept_with_it(self, listener: Socket) -> tuple[Socket, object] | None:
        """Return a connection accepted in the reserve's place, or None; ``restock`` when its socket is closed."""
        with self._lock:
            if self._fd < 0:
                self._fd = _open_null()
                return None
            os.close(self._fd)
            self._fd = -1
            try:
                accepted = accept_nowait(listener)
            except PortsideError:
                accepted = None  # another thread was quicker to take the descriptor
            if accepted is None:
                self._fd = _open_null()
            return accepted

    def restock(self) -> None:
        with self._lock:
            if self._fd < 0:
                self._fd = _open_null()

    def may_complain(self, now_s: float) -> bool:
        """Return whether it is time for a record again: a flood must not fill the log."""
        if self._complained_s is not None and now_s - self._complained_s < COMPLAIN_EVERY_S:
            return False
        self._complained_s = now_s
        return True


def _open_null() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
