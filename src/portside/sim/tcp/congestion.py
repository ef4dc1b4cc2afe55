"""How much may be on its way: congestion control, behind one small interface. RFC 5681 with RFC 6582's variables.

Windows are in bytes. Whoever sends tells of what was acknowledged, lost and timed out; nobody else changes ``cwnd``.
"""

from __future__ import annotations

from typing import Final, Protocol

from portside.sim.profile import Profile
from portside.sim.tcp.cubic import Cubic
from portside.sim.tcp.rtt import RttEstimator

UNBOUNDED: Final = 1 << 62  # ssthresh is as high as can be at first: RFC 5681 section 3.1


class Congestion(Protocol):
    """One way to control congestion."""

    mss: int
    cwnd: int
    ssthresh: int

    def acked(self, count: int, flight: int, now_ns: int, rtt: RttEstimator) -> None:
        """Hear that so many bytes were acknowledged for the first time, while the window was in use; ``flight`` are
        still on their way.
        """

    def lost(self, flight: int, now_ns: int) -> None:
        """Hear that a segment was lost, as duplicate acknowledgements tell: sets ``ssthresh``, and ``cwnd`` to it."""

    def timed_out(self, flight: int, now_ns: int) -> None:
        """Hear that nothing was acknowledged for too long: begins anew with one segment."""

    def restarted(self, window: int) -> None:
        """Hear that nothing was sent for so long that the window says nothing any more: RFC 5681 section 4.1."""


class NewReno:
    """RFC 5681: slow start, and a segment more each round trip behind ``ssthresh``; half of it when one is lost."""

    def __init__(self, mss: int, initial_window: int) -> None:
        self.mss = mss
        self.cwnd = initial_window
        self.ssthresh = UNBOUNDED
        self._counted = 0

    def acked(self, count: int, flight: int, now_ns: int, rtt: RttEstimator) -> None:
        if self.cwnd < self.ssthresh:
            self.cwnd += min(count, self.mss)  # section 3.1, equation (2)
            return
        self._counted += count  # section 3.1: by the bytes acknowledged, a segment for each window of them
        if self._counted >= self.cwnd:
            self._counted -= self.cwnd
            self.cwnd += self.mss

    def lost(self, flight: int, now_ns: int) -> None:
        self.ssthresh = max(flight // 2, 2 * self.mss)  # section 3.1, equation (4)
        self.cwnd = self.ssthresh
        self._counted = 0

    def timed_out(self, flight: int, now_ns: int) -> None:
        self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.mss  # the loss window
        self._counted = 0

    def restarted(self, window: int) -> None:
        self.cwnd = min(self.cwnd, window)


def congestion_of(profile: Profile, mss: int) -> Congestion:
    """Return what a host of this profile controls congestion by, with its initial window: RFC 6928 section 2."""
    segments = profile.initial_window_segments
    initial = min(segments * mss, max(2 * mss, 14_600 * segments // 10))
    return Cubic(mss, initial) if profile.congestion == "cubic" else NewReno(mss, initial)
