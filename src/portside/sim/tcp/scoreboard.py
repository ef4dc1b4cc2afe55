"""What of ours has arrived although something before it has not: the scoreboard of RFC 6675 section 3.

Pieces are kept as disjoint ranges, first sequence number and the one behind the last, in order. There are seldom more
than a few, so plain lists do.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

DUP_THRESH = 3  # RFC 6675 section 2


class Scoreboard:
    """Selective acknowledgements that have come, above ``una``."""

    __slots__ = ("ends", "sacked_bytes", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.sacked_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.starts)

    @property
    def highest(self) -> int:
        """The sequence number behind the last byte that was selectively acknowledged, 0 if there is none."""
        return self.ends[-1] if self.ends else 0

    def add(self, start: int, end: int) -> bool:
        """Take note of a block; return whether it tells anything new."""
        first = bisect_left(self.ends, start)  # of those it touches
        behind = bisect_right(self.starts, end)
        if first < behind:
            if self.starts[first] <= start and end <= self.ends[first]:
                return False
            start = min(start, self.starts[first])
            end = max(end, self.ends[behind - 1])
        self.sacked_bytes += (
            end - start - sum(b - a for a, b in zip(self.starts[first:behind], self.ends[first:behind], strict=True))
        )
        self.starts[first:behind] = [start]
        self.ends[first:behind] = [end]
        return True

    def forget_below(self, una: int) -> None:
        """Let go of what is acknowledged by now."""
        while self.ends and self.ends[0] <= una:
            self.sacked_bytes -= self.ends.pop(0) - self.starts.pop(0)
        if self.starts and self.starts[0] < una:
            self.sacked_bytes -= una - self.starts[0]
            self.starts[0] = una

    def clear(self) -> None:
        """Believe nothing of it any more: the peer may have thrown it away (RFC 2018 section 8)."""
        self.starts.clear()
        self.ends.clear()
        self.sacked_bytes = 0

    def holes(self, una: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges between ``una`` and ``end`` that have not been acknowledged, in order."""
        at = una
        for start, behind in zip(self.starts, self.ends, strict=True):
            if start >= end:
                break
            if at < start:
                yield at, start
            at = max(at, behind)
        if at < end:
            yield at, end

    def lost_below(self, mss: int) -> int:
        """Return the number below which everything that was not acknowledged is lost: ``IsLost`` of section 4.

        That is where ``DUP_THRESH`` pieces, or more than ``DUP_THRESH - 1`` segments' bytes, are above.
        """
        enough, above = (DUP_THRESH - 1) * mss, 0
        pieces_from_the_end = zip(reversed(self.starts), reversed(self.ends), strict=True)
        for pieces, (start, end) in enumerate(pieces_from_the_end, 1):
            above += end - start
            if pieces >= DUP_THRESH or above > enough:
                return start
        return 0

    def next_hole(self, after: int, end: int) -> tuple[int, int] | None:
        """Return the first range at or behind ``after`` that is missing below ``end``, None if there is none."""
        for start, behind in self.holes(after, end):
            return start, behind
        return None
