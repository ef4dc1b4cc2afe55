"""Rates: so many bytes a second for a session, a user and the server, counted across all processes of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from portside.contracts import Counters, Network

WINDOWS_PER_S: Final = 4  # a rate is kept in each quarter of a second: smooth, and few sleeps
PIECES_PER_WINDOW: Final = 4  # so that several transfers under one rate share a window
PIECE_BYTES_MIN: Final = 4_096
PIECE_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Rate:
    """A bound that all transfers under the same key share."""

    key: str
    bytes_per_s: float

    @property
    def window_bytes(self) -> int:
        return max(1, int(self.bytes_per_s / WINDOWS_PER_S))


class Pacer:
    """Lets the bytes of one transfer pass as fast as all of its rates allow."""

    __slots__ = ("_counters", "_network", "_rates", "piece_bytes")

    def __init__(self, network: Network, counters: Counters, rates: tuple[Rate, ...]) -> None:
        self._network = network
        self._counters = counters
        self._rates = rates
        if not rates:
            self.piece_bytes = PIECE_BYTES_MAX
            return
        smallest = min(rate.window_bytes for rate in rates)
        self.piece_bytes = min(max(smallest // PIECES_PER_WINDOW, min(smallest, PIECE_BYTES_MIN)), PIECE_BYTES_MAX)

    @property
    def is_needed(self) -> bool:
        return bool(self._rates)

    async def let_pass(self, count: int) -> None:
        """Return when so many bytes, at most ``piece_bytes``, may pass."""
        for rate in self._rates:
            while not self._has_room(rate, count):
                now = self._network.now_s() * WINDOWS_PER_S
                await self._network.sleep((int(now) + 1 - now) / WINDOWS_PER_S)

    def _has_room(self, rate: Rate, count: int) -> bool:
        window = int(self._network.now_s() * WINDOWS_PER_S)
        taken = self._take(rate, window, count)
        if taken - count >= rate.window_bytes:
            self._take(rate, window, -count)
            return False
        if taken > rate.window_bytes:  # a piece is not cut: what is too much of it comes out of the next window
            self._take(rate, window + 1, taken - rate.window_bytes)
        return True

    def _take(self, rate: Rate, window: int, count: int) -> int:
        return self._counters.add(f"rate {rate.key} {window}", count, lasts_s=2 / WINDOWS_PER_S)
