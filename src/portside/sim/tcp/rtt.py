"""The round-trip time and its variation, and how long to wait for an acknowledgement. RFC 6298."""

from __future__ import annotations

from portside.sim.profile import Profile


class RttEstimator:
    """SRTT, RTTVAR and RTO in nanoseconds; ``backoff`` counts how often the RTO was doubled."""

    __slots__ = (
        "_margin_min_ns",
        "_max_ns",
        "_min_ns",
        "_profile",
        "backoff",
        "base_ns",
        "latest_ns",
        "rto_ns",
        "rttvar_ns",
        "srtt_ns",
    )

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._min_ns, self._max_ns = profile.rto_min_ns, profile.rto_max_ns
        self._margin_min_ns = profile.rtt_granularity_ns  # G of section 2
        if profile.rto_min_bounds_variation:
            self._margin_min_ns = max(self._margin_min_ns, profile.rto_min_ns)
        self.srtt_ns: int | None = None
        self.latest_ns = 0  # what was measured last
        self.rttvar_ns = 0
        self.base_ns = profile.rto_initial_ns
        self.rto_ns = self.base_ns
        self.backoff = 0

    def sample(self, rtt_ns: int) -> None:
        """Take a measurement, of a segment that was sent once (Karn) or is known by its timestamp: sections 2 and 3."""
        self.latest_ns = rtt_ns
        srtt_ns = self.srtt_ns
        if srtt_ns is None:
            self.srtt_ns = rtt_ns
            self.rttvar_ns = rtt_ns // 2
        else:
            difference_ns = rtt_ns - srtt_ns
            self.rttvar_ns += (abs(difference_ns) - self.rttvar_ns) // 4
            self.srtt_ns = rtt_ns = srtt_ns + difference_ns // 8
        margin_ns = 4 * self.rttvar_ns
        if margin_ns < self._margin_min_ns:
            margin_ns = self._margin_min_ns
        rto_ns = rtt_ns + margin_ns
        if rto_ns < self._min_ns:
            rto_ns = self._min_ns
        elif rto_ns > self._max_ns:
            rto_ns = self._max_ns
        self.base_ns = self.rto_ns = rto_ns
        self.backoff = 0

    def back_off(self) -> None:
        """Wait twice as long the next time: section 5.5."""
        self.backoff += 1
        self.rto_ns = min(2 * self.rto_ns, self._profile.rto_max_ns)

    def after_syn_loss(self) -> None:
        """Begin with three seconds, because the SYN was lost before there was any measurement: section 5.7."""
        if self.srtt_ns is None:
            self.base_ns = self.rto_ns = 3 * self._profile.rto_initial_ns
        self.backoff = 0

    def forward(self) -> None:
        """Take note that something new was acknowledged, of which nothing can be measured.

        The RTO stays as it was backed off until there is a measurement: Karn's algorithm, RFC 6298 sections 3 and 5.
        """
        self.backoff = 0

    def forget_backing_off(self) -> None:
        """Wait as at first: what was backed off were probes of a window that was shut, and it has opened."""
        self.rto_ns = self.base_ns
        self.backoff = 0
