"""A token bucket: so many per second on average, with a burst of one second's worth. Time is an argument."""

from __future__ import annotations


class TokenBucket:
    """Tokens flow in at ``per_s`` and are taken as bytes pass; the bucket holds one second's worth.

    Taking more than there is puts the bucket in debt: the taker waits ``wait_s`` before its next turn, so the average
    holds however large a single piece was.
    """

    __slots__ = ("_at_s", "_tokens", "per_s")

    def __init__(self, per_s: float, now_s: float) -> None:
        self.per_s = per_s
        self._tokens = per_s
        self._at_s = now_s

    def take(self, count: float, now_s: float) -> None:
        """Take ``count`` tokens, into debt if need be."""
        self._fill(now_s)
        self._tokens -= count

    def try_take(self, count: float, now_s: float) -> bool:
        """Take ``count`` tokens if they are there, and say whether they were."""
        self._fill(now_s)
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the debt is paid; 0 when there is none."""
        self._fill(now_s)
        return max(0.0, -self._tokens / self.per_s)

    def _fill(self, now_s: float) -> None:
        if now_s > self._at_s:
            self._tokens = min(self.per_s, self._tokens + (now_s - self._at_s) * self.per_s)
            self._at_s = now_s
