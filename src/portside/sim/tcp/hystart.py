"""When slow start shall end before anything is lost: HyStart++, RFC 9406, which RFC 9438 section 4.10 asks CUBIC for.

A round-trip time that grows from one round to the next tells of a queue that fills. Then the window grows slowly for
some rounds, conservative slow start, and if the time stays long, slow start is over.
"""

from __future__ import annotations

from typing import Final

from portside.sim.clock import MILLISECOND

MIN_RTT_THRESH: Final = 4 * MILLISECOND  # section 4.3, with all the names below
MAX_RTT_THRESH: Final = 16 * MILLISECOND
MIN_RTT_DIVISOR: Final = 8
N_RTT_SAMPLE: Final = 8
CSS_GROWTH_DIVISOR: Final = 4
CSS_ROUNDS: Final = 5
INFINITE: Final = 1 << 62


class HyStart:
    """The rounds of one slow start, the first of a connection (section 4.3: later ones know where to end)."""

    __slots__ = ("_baseline", "_current", "_last", "_left", "_rounds", "_samples", "is_conservative", "is_over")

    def __init__(self) -> None:
        self._left = 0  # bytes of this round that are not acknowledged yet
        self._last = self._current = INFINITE
        self._baseline = INFINITE
        self._samples = 0
        self._rounds = 0
        self.is_conservative = False
        self.is_over = False

    def acked(self, count: int, flight: int, rtt_ns: int) -> None:
        """Hear that so many bytes were acknowledged, how many are still on their way, and how long it took."""
        if self._left <= 0:
            self._begin_round(flight + count)
        self._left -= count
        self._current = min(self._current, rtt_ns)
        self._samples += 1
        if self._samples < N_RTT_SAMPLE:
            return
        if self.is_conservative:
            if self._current < self._baseline:  # it was a false alarm
                self.is_conservative = False
        elif self._last < INFINITE:
            threshold = max(MIN_RTT_THRESH, min(self._last // MIN_RTT_DIVISOR, MAX_RTT_THRESH))
            if self._current >= self._last + threshold:
                self.is_conservative = True
                self._baseline = self._current
                self._rounds = 0

    def _begin_round(self, size: int) -> None:
        """Begin a round: it lasts until all is acknowledged that is on its way now."""
        if self.is_conservative:
            self._rounds += 1
            self.is_over = self._rounds >= CSS_ROUNDS
        self._left = size
        self._last, self._current = self._current, INFINITE
        self._samples = 0
