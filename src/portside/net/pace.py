"""A token bucket: so many per second on average, with a burst of one second's worth. Time is an argument."""

from __future__ import annotations

from typing import Final

PORTIONS_PER_S: Final = 20  # a taker whose bucket is empty waits for a portion, not for a single token


class TokenBucket:
    """Tokens flow in at ``per_s`` and are taken as bytes pass; the bucket holds one second's worth, and starts full."""

    __slots__ = ("_at_s", "_tokens", "per_s")

    def __init__(self, per_s: float, now_s: float) -> None:
        self.per_s = per_s
        self._tokens = max(1.0, per_s)
        self._at_s = now_s

    def allowance(self, wanted: int, now_s: float) -> int:
        """Return how many of ``wanted`` tokens may be taken now; 0 as long as not even a portion of them is there."""
        self._fill(now_s)
        return min(wanted, int(self._tokens)) if self._tokens >= self._portion(wanted) else 0

    def wait_s(self, wanted: int, now_s: float) -> float:
        """Return the seconds until ``allowance`` is more than 0."""
        self._fill(now_s)
        return max(0.0, (self._portion(wanted) - self._tokens) / self.per_s)

    def take(self, count: int, now_s: float) -> None:
        """Take tokens that ``allowance`` gave."""
        self._fill(now_s)
        self._tokens -= count

    def _portion(self, wanted: int) -> int:
        return min(wanted, max(1, int(self.per_s / PORTIONS_PER_S)))

    def _fill(self, now_s: float) -> None:
        if now_s > self._at_s:
            self._tokens = min(max(1.0, self.per_s), self._tokens + (now_s - self._at_s) * self.per_s)
            self._at_s = now_s
