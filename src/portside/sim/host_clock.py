"""The clocks of a host: what its programs are told the time is, which may be wrong and may run fast."""

from __future__ import annotations

from typing import Final

from portside.sim.clock import SECOND, Scheduler

WORLD_BEGAN_NS: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z, unless the world says otherwise
PARTS: Final = 1_000_000_000  # drift is counted in billionths, so that all sums stay integers


class HostClock:
    """One crystal drives both clocks of a host. ``offset_ns`` is what its wall clock is ahead of the world's time;
    ``drift`` how much faster the crystal runs: ``50e-6`` gains 50 µs a second, as cheap ones do.
    """

    __slots__ = ("_began_ns", "_drift", "_scheduler", "booted_ns", "offset_ns")

    def __init__(
        self, scheduler: Scheduler, *, began_ns: int = WORLD_BEGAN_NS, offset_ns: int = 0, drift: float = 0.0
    ) -> None:
        self._scheduler = scheduler
        self._began_ns = began_ns
        self._drift = round(drift * PARTS)
        self.offset_ns = offset_ns
        self.booted_ns = 0  # world time at which the monotonic clock was zero

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since the host was started, by its own crystal."""
        passed = self._scheduler.now - self.booted_ns
        return passed + passed * self._drift // PARTS if self._drift else passed

    def wall_ns(self) -> int:
        """Return what the host takes for the nanoseconds since 1970-01-01T00:00:00Z."""
        now = self._scheduler.now
        gained = now * self._drift // PARTS if self._drift else 0
        return self._began_ns + self.offset_ns + now + gained

    def world_ns(self, monotonic_ns: int) -> int:
        """Return the earliest time of the world at which ``monotonic_ns()`` is at least that."""
        if not self._drift:
            return self.booted_ns + monotonic_ns
        passed = -(-monotonic_ns * PARTS // (PARTS + self._drift))
        while passed + passed * self._drift // PARTS < monotonic_ns:
            passed += 1
        return self.booted_ns + passed
