"""How often an address has failed to log in, and what that costs it.

Each failure makes the next answer slower, and too many within a window ban the address. A success takes the slowness
away and not the failures: who has a login of their own could wipe out guesses at another's otherwise.

All processes of a service count together. One address has only so many tries at once as it has failures left, so
that guesses made side by side count like those made one after another.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Network
from typing import Final

from portside.address import parse_ip, unmapped
from portside.contracts import Counters
from portside.errors import MalformedAddress

ATTEMPTS: Final = 10
WINDOW_S: Final = 600.0
BAN_S: Final = 600.0
DELAY_S_MAX: Final = 8.0


@lru_cache(maxsize=4_096)
def counted_as(host: str) -> str:
    """Return who is counted for the host: an IPv4 address itself, of IPv6 the /64 that one customer has (RFC 6177)."""
    try:
        ip = unmapped(parse_ip(host))
    except MalformedAddress:  # a peer without an address, as on a unix socket
        return host
    if ip.version == 4:
        return str(ip)
    return str(IPv6Network((int(ip) >> 64 << 64, 64)))


def delay_s_after(failures: int) -> float:
    """Return how long the answer to so many failures in a row is held back: 1, 2, 4 and then 8 seconds."""
    return min(DELAY_S_MAX, 2.0 ** min(failures - 1, 10))


class Tries:
    """Counts failures for addresses as ``counted_as`` gives them. ``now_s`` is on a clock that all processes share."""

    def __init__(self, counters: Counters, *, attempts: int, window_s: float, ban_s: float) -> None:
        self._counters = counters
        self._attempts = attempts
        self._window_s = window_s
        self._ban_s = ban_s

    def is_banned(self, address: str) -> bool:
        return self._counters.value(f"login ban {address}") > 0

    def begin(self, address: str, now_s: float) -> bool:
        """Take a place to try in; False when others of the address hold all that its failures leave.

        Whoever gets one calls ``end`` in any case.
        """
        left = self._attempts - self._counters.value(self._failures(address, now_s))
        return left > 0 and self._counters.hold(f"login tries {address}", left)

    def end(self, address: str) -> None:
        """Give the place back."""
        self._counters.let_go(f"login tries {address}")

    def fail(self, address: str, now_s: float) -> float:
        """Count a failure, before ``end``. Returns how long to hold the answer back, 0 if the address is banned now."""
        failures = self._failures(address, now_s)
        if self._counters.add(failures, 1, lasts_s=self._window_s) >= self._attempts:
            self._counters.add(f"login ban {address}", 1, lasts_s=self._ban_s)
            self._counters.forget(failures)  # when the ban is over they are paid for
            return 0.0
        return delay_s_after(self._counters.add(self._slowness(address), 1, lasts_s=self._window_s))

    def forgive(self, address: str) -> None:
        """Take the slowness away, after a success."""
        self._counters.forget(self._slowness(address))

    def _failures(self, address: str, now_s: float) -> str:
        return f"login failures {address} {now_s // self._window_s:.0f}"

    @staticmethod
    def _slowness(address: str) -> str:
        return f"login slowness {address}"
