"""What has come of the peer's stream: in order, to be read, and out of order, to wait for what is missing."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

PIECES_MAX = 4_096


class Reassembly:
    """The receiving end of a stream. ``next`` is the sequence number of the first byte that is missing: RCV.NXT.

    Where pieces overlap, what came first counts, as on Linux.
    """

    __slots__ = ("_ahead", "_ready", "_recent", "ahead_bytes", "next", "ready_bytes", "starts")

    def __init__(self, start: int) -> None:
        self.next = start
        self._ready: deque[bytes] = deque()
        self.ready_bytes = 0
        self.starts: list[int] = []  # of what has come ahead of what is missing
        self._ahead: dict[int, bytes] = {}
        self.ahead_bytes = 0
        self._recent: list[int] = []  # a number within each block, the one that changed last first: RFC 2018 section 4

    def extend(self, data: bytes) -> None:
        """Take the piece that is missing, where nothing has come ahead of it: what nearly always comes."""
        length = len(data)
        self._ready.append(data)
        self.ready_bytes += length
        self.next += length

    def put(self, start: int, data: bytes) -> tuple[int, int] | None:
        """Take a piece; return the range of it that was there already, for a D-SACK, None if all of it is new."""
        if start == self.next and not self.starts:
            self.extend(data)
            return None
        end = start + len(data)
        known = self._known(start, end)
        if start < self.next:
            data = data[self.next - start :]
            start = self.next
        if data:
            self._insert(start, data)
            self._advance()
        return known

    def _known(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first range of this one that has come before: RFC 2883 section 4."""
        if start < self.next:
            return start, min(end, self.next)
        for left, right in self.blocks():
            if left < end and start < right:
                return max(start, left), min(end, right)
        return None

    def _insert(self, start: int, data: bytes) -> None:
        """Keep what is new of a piece, between the pieces that are there."""
        end = start + len(data)
        at = start
        place = max(0, bisect_left(self.starts, start) - 1)
        for left in self.starts[place:]:
            right = left + len(self._ahead[left])
            if right <= at:
                continue
            if left >= end:
                break
            if at < left:
                self._keep(at, data[at - start : left - start])
            at = max(at, right)
        if at < end:
            self._keep(at, data[at - start :])
        self._recent = [start, *(one for one in self._recent if one != start)][:16]

    def _keep(self, start: int, data: bytes) -> None:
        if len(self.starts) >= PIECES_MAX:
            return  # the peer will send it again
        self.starts.insert(bisect_left(self.starts, start), start)
        self._ahead[start] = data
        self.ahead_bytes += len(data)

    def _advance(self) -> None:
        """Make ready what is in order now."""
        count = 0
        for start in self.starts:
            if start != self.next:
                break
            data = self._ahead.pop(start)
            self.ahead_bytes -= len(data)
            self._ready.append(data)
            self.ready_bytes += len(data)
            self.next += len(data)
            count += 1
        del self.starts[:count]
        self._recent = [one for one in self._recent if one >= self.next]

    def blocks(self) -> list[tuple[int, int]]:
        """Return what has come ahead, in order, pieces that touch joined."""
        joined: list[tuple[int, int]] = []
        for start in self.starts:
            end = start + len(self._ahead[start])
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        return joined

    def sack_blocks(self, most: int) -> list[tuple[int, int]]:
        """Return the blocks to be told of, the one that changed last first: RFC 2018 section 4."""
        blocks = self.blocks()
        told: list[tuple[int, int]] = []
        for number in self._recent:
            for block in blocks:
                if block[0] <= number < block[1] and block not in told:
                    told.append(block)
        told += [block for block in blocks if block not in told]
        return told[:most]

    def take(self, limit: int) -> bytes:
        """Return up to so many bytes that are in order."""
        ready = self._ready
        if not ready:
            return b""
        if len(ready) == 1 and len(ready[0]) <= limit:
            self.ready_bytes = 0
            return ready.popleft()
        pieces, room = [], limit
        while ready and room:
            piece = ready.popleft()
            if len(piece) > room:
                ready.appendleft(piece[room:])
                piece = piece[:room]
            pieces.append(piece)
            room -= len(piece)
        data = b"".join(pieces)
        self.ready_bytes -= len(data)
        return data

    def peek(self, limit: int) -> bytes:
        """Return what ``take`` would, and leave it."""
        pieces, room = [], limit
        for piece in self._ready:
            if room <= 0:
                break
            pieces.append(piece[:room])
            room -= len(piece)
        return b"".join(pieces)
