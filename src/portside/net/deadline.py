"""Until when a call that takes several steps may go on."""

from __future__ import annotations

from portside.contracts import Network


class Deadline:
    """The moment by which a call of several reads must be over, on the network's own clock."""

    __slots__ = ("_at_s", "_network")

    def __init__(self, network: Network, timeout_s: float | None) -> None:
        self._network = network
        self._at_s = None if timeout_s is None else network.now_s() + timeout_s

    def left_s(self) -> float | None:
        """Return the seconds left, at least 0, or None when there is no deadline."""
        return None if self._at_s is None else max(0.0, self._at_s - self._network.now_s())
