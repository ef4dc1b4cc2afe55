"""What is counted of a service: each number has a name, and its place in the memory that the workers share.

Histograms are counters like all others, one for each range of values, so that sums over workers are exact as well.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, fields
from typing import Final


@dataclass(slots=True)
class Tally:
    """What has happened since the start; only ``open`` is of now.

    Bytes count those of connections that go on as well, up to a second late; ``lasted_us`` and ``moved_bytes`` are sums
    over connections that are over.
    """

    open: int = 0
    opened: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    datagrams: int = 0
    handler_failed: int = 0
    cut_off: int = 0  # by a drain's deadline

    ended_done: int = 0  # the reasons of events.EndReason
    ended_peer: int = 0
    ended_idle: int = 0
    ended_life: int = 0
    ended_stopped: int = 0
    ended_drained: int = 0
    ended_handler: int = 0
    ended_tls: int = 0
    ended_timeout: int = 0

    limit_connections: int = 0  # those of events.Limit
    limit_per_ip: int = 0
    limit_accept_rate: int = 0
    limit_datagrams: int = 0
    limit_denied: int = 0
    limit_amplification: int = 0
    limit_proxy: int = 0

    lasted_us: int = 0
    lasted_1ms: int = 0  # connections that lasted no longer, …
    lasted_10ms: int = 0  # … and longer than that
    lasted_100ms: int = 0
    lasted_1s: int = 0
    lasted_10s: int = 0
    lasted_1min: int = 0
    lasted_10min: int = 0
    lasted_1h: int = 0
    lasted_1d: int = 0
    lasted_more: int = 0

    moved_bytes: int = 0
    moved_1k: int = 0  # connections that moved no more bytes, both ways together, of which 1 k is a thousand, …
    moved_10k: int = 0  # … and more than that
    moved_100k: int = 0
    moved_1m: int = 0
    moved_10m: int = 0
    moved_100m: int = 0
    moved_1g: int = 0
    moved_more: int = 0

    logins: int = 0  # what batteries tell of by their events
    logins_refused: int = 0
    uploads: int = 0
    downloads: int = 0
    file_acts_failed: int = 0
    answers_1xx: int = 0
    answers_2xx: int = 0
    answers_3xx: int = 0
    answers_4xx: int = 0
    answers_5xx: int = 0

    def add(self, other: Tally, *, live: bool = True) -> None:
        """Add another worker's counters; without ``live`` only what outlasts the worker."""
        for name in TALLY_NAMES if live else LASTING_NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def starting(self, prefix: str) -> dict[str, int]:
        """Return the counters whose names start so, by what follows."""
        return {name.removeprefix(prefix): getattr(self, name) for name in TALLY_NAMES if name.startswith(prefix)}


TALLY_NAMES: Final = tuple(field.name for field in fields(Tally))
LASTING_NAMES: Final = TALLY_NAMES[1:]


def place(name: str) -> int:
    """Return the place of the counter of that name. Raises: ValueError."""
    return TALLY_NAMES.index(name)


# ── histograms ───────────────────────────────────────────────────────────────────────────────────────────────────────

LASTED_S: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)
MOVED_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)

_LASTED: Final = place("lasted_1ms")
_MOVED: Final = place("moved_1k")


def place_of_lasted(duration_s: float) -> int:
    """Return the place of the counter of connections that lasted about so long."""
    return _LASTED + bisect_left(LASTED_S, duration_s)


def place_of_moved(size_bytes: int) -> int:
    """Return the place of the counter of connections that moved about so many bytes."""
    return _MOVED + bisect_left(MOVED_BYTES, size_bytes)


def lasted_counts(tally: Tally) -> tuple[int, ...]:
    """Return how many connections lasted up to each of ``LASTED_S`` and longer than the one before, then the rest."""
    return _counts(tally, _LASTED, LASTED_S)


def moved_counts(tally: Tally) -> tuple[int, ...]:
    """Return how many connections moved up to each of ``MOVED_BYTES`` and more than the one before, then the rest."""
    return _counts(tally, _MOVED, MOVED_BYTES)


def _counts(tally: Tally, start: int, bounds: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(getattr(tally, name) for name in TALLY_NAMES[start : start + len(bounds) + 1])
