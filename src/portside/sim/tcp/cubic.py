"""CUBIC: RFC 9438. The window is a cubic function of the time since the last loss, whatever the round-trip time."""

from __future__ import annotations

from typing import Final

from portside.sim.tcp.hystart import CSS_GROWTH_DIVISOR, HyStart
from portside.sim.tcp.rtt import RttEstimator

C: Final = 0.4  # segments / second**3: section 4.1
BETA: Final = 0.7  # section 4.6
UNBOUNDED: Final = 1 << 62
SECOND: Final = 1e9


class Cubic:
    """See ``congestion.Congestion``. Names are those of section 4.1, where windows are in segments."""

    def __init__(self, mss: int, initial_window: int) -> None:
        self.mss = mss
        self.cwnd = initial_window
        self.ssthresh = UNBOUNDED
        self._w_max = 0.0
        self._k_s = 0.0
        self._epoch_ns: int | None = None  # t_epoch
        self._cwnd_epoch = 0.0
        self._w_est = 0.0
        self._prior = 0.0  # cwnd_prior
        self._part = 0.0  # what has grown, and is not a byte yet
        self._hystart: HyStart | None = HyStart()

    # ── growing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def acked(self, count: int, flight: int, now_ns: int, rtt: RttEstimator) -> None:
        if self.cwnd < self.ssthresh:
            self._start_slowly(count, flight, rtt)
            return
        cwnd = self.cwnd / self.mss
        if self._epoch_ns is None:
            self._begin_epoch(cwnd, now_ns)
        assert self._epoch_ns is not None
        passed_s = (now_ns - self._epoch_ns) / SECOND
        segments = count / self.mss
        self._w_est += self._alpha() * segments / cwnd  # section 4.3, equation 4
        if self._w_cubic(passed_s) < self._w_est:
            self._set(max(self._w_est, cwnd))
            return
        srtt_ns = rtt.srtt_ns or rtt.rto_ns
        target = min(max(self._w_cubic(passed_s + srtt_ns / SECOND), cwnd), 1.5 * cwnd)  # section 4.2
        self._set(cwnd + (target - cwnd) / cwnd * segments)

    def _start_slowly(self, count: int, flight: int, rtt: RttEstimator) -> None:
        """Grow by what was acknowledged, until a queue is felt: section 4.10."""
        most = 2 * self.mss  # RFC 3465's L of 2, as Linux's
        grown = count if count < most else most
        hystart = self._hystart
        if hystart is not None:
            hystart.acked(count, flight, rtt.latest_ns)
            if hystart.is_over:
                self.ssthresh = self.cwnd
                self._hystart = None
                return
            if hystart.is_conservative:
                grown //= CSS_GROWTH_DIVISOR
        self.cwnd += grown

    def _begin_epoch(self, cwnd: float, now_ns: int) -> None:
        self._epoch_ns = now_ns
        self._cwnd_epoch = self._w_est = cwnd
        if cwnd < self._w_max:
            self._k_s = ((self._w_max - cwnd) / C) ** (1 / 3)  # section 4.2, figure 2
        else:
            self._k_s, self._w_max = 0.0, cwnd

    def _w_cubic(self, time_s: float) -> float:
        """Return the window at that time of the epoch: section 4.2, figure 1."""
        return C * (time_s - self._k_s) ** 3 + self._w_max

    def _alpha(self) -> float:
        """Return how fast the Reno-friendly estimate grows: as Reno does once it is where the last loss was."""
        return 1.0 if self._w_est >= self._prior else 3 * (1 - BETA) / (1 + BETA)

    def _set(self, segments: float) -> None:
        wanted = segments * self.mss + self._part
        self._part = wanted - int(wanted)
        self.cwnd = int(wanted)

    # ── losing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def lost(self, flight: int, now_ns: int) -> None:
        self._reduce(flight)
        self.cwnd = self.ssthresh

    def timed_out(self, flight: int, now_ns: int) -> None:
        self._reduce(flight)
        self.cwnd = self.mss  # section 4.8: and the next epoch begins where slow start ends, with K of 0
        self._w_max = 0.0

    def _reduce(self, flight: int) -> None:
        """Remember where it was, and how much less it shall be: sections 4.6 and 4.7."""
        self._hystart = None
        cwnd = self.cwnd / self.mss
        self._prior = cwnd
        # Fast convergence: who loses before it is where it was leaves more to others.
        self._w_max = cwnd * (1 + BETA) / 2 if cwnd < self._w_max else cwnd
        self.ssthresh = max(int(min(flight, self.cwnd) * BETA), 2 * self.mss)
        self._epoch_ns = None
        self._part = 0.0

    def restarted(self, window: int) -> None:
        self.cwnd = min(self.cwnd, window)
        self._epoch_ns = None  # section 5.8: time in which nothing is sent is no time of growth
