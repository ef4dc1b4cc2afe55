"""The receiving side of a connection: which segments are acceptable, the window it offers, and when it acknowledges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.sim.clock import SECOND, Timer
from portside.sim.tcp.numbers import HALF, WORD, unwrap
from portside.sim.tcp.reassembly import Reassembly

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection

SHIFT_MAX = 14  # RFC 7323 section 2.3
WINDOW_MAX = 65_535
TS_RECENT_MAX_NS = 24 * 86_400 * SECOND  # RFC 7323 section 5.5: the clock may have come half round by then


def shift_for(buffer_bytes: int) -> int:
    """Return the least shift with which a window of so many bytes can be told."""
    shift = 0
    while shift < SHIFT_MAX and buffer_bytes >> shift > WINDOW_MAX:
        shift += 1
    return shift


class Receiver:
    """RCV.NXT is ``queue.next``; ``edge`` is the number behind the window that was told last, and never goes back."""

    __slots__ = (
        "_connection",
        "_delayed",
        "_quick",
        "_ts_noted_ns",
        "_unacknowledged",
        "buffer_bytes",
        "duplicate",
        "edge",
        "fin_at",
        "last_ack",
        "queue",
        "segment_bytes",
        "shift",
        "ts_recent",
    )

    def __init__(self, connection: Connection, buffer_bytes: int) -> None:
        self._connection = connection
        self.buffer_bytes = buffer_bytes
        self.shift = 0
        self.queue = Reassembly(0)
        self.edge = 0
        self.last_ack = 0
        self.fin_at: int | None = None  # the number of the peer's FIN, once it has come
        self.ts_recent = 0
        self._ts_noted_ns = 0
        self.segment_bytes = 536  # the longest segment that has come: what a full one is
        self._unacknowledged = 0
        self._quick = connection.profile.quick_acks
        self.duplicate: tuple[int, int] | None = None  # to be told as a D-SACK
        self._delayed = Timer(connection.scheduler, connection.acknowledge)

    def begin(self, irs: int) -> None:
        """Begin behind the peer's SYN."""
        self.queue = Reassembly(irs + 1)
        self.edge = self.last_ack = irs + 1

    # ── what is acceptable ───────────────────────────────────────────────────────────────────────────────────────────

    def number(self, wire: int) -> int:
        """Return the sequence number that a number of the header stands for."""
        return unwrap(wire, self.queue.next)

    def accepts(self, start: int, length: int) -> bool:
        """Return whether a segment is in the window, or any part of it: RFC 9293 section 3.10.7.4, table 6."""
        next_number, edge = self.queue.next, self.edge
        if length == 0:
            return start == next_number if edge == next_number else next_number <= start < edge
        if edge == next_number:
            return False
        return next_number <= start < edge or start < next_number < start + length

    def is_old(self, timestamp: int) -> bool:
        """Return whether a timestamp is one of before: PAWS, RFC 7323 section 5.3."""
        if (timestamp - self.ts_recent) & WORD < HALF:
            return False
        return self._connection.scheduler.now - self._ts_noted_ns <= TS_RECENT_MAX_NS

    def note_timestamp(self, timestamp: int) -> None:
        """Remember the peer's clock, to be told back: TS.Recent of RFC 7323 section 4.3."""
        self.ts_recent = timestamp
        self._ts_noted_ns = self._connection.scheduler.now

    # ── what has come ────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, start: int, data: bytes) -> None:
        """Take data that is acceptable, and decide when it is acknowledged: RFC 5681 section 4.2."""
        queue = self.queue
        if start == queue.next and not queue.starts:
            self.take_next(data[: self.edge - start])
            return
        room = self.edge - start
        duplicate = queue.put(start, data[:room])
        if self._connection.sack_on:
            self.duplicate = duplicate
        self._connection.must_ack = True  # out of order, or what fills a gap, or old: at once

    def take_next(self, data: bytes) -> None:
        """Take the data that is next in order, all of it in the window, where nothing has come ahead of it."""
        length = len(data)
        self.queue.extend(data)
        if length > self.segment_bytes:
            self.segment_bytes = length
        self._unacknowledged += length
        if self._quick > 0:
            self._quick -= 1
            self._connection.must_ack = True
        elif self._unacknowledged >= 2 * self.segment_bytes:
            self._connection.must_ack = True
        elif self._delayed.due_ns is None:
            self._delayed.start(self._connection.profile.delayed_ack_min_ns)

    def note_duplicate(self, start: int, end: int) -> None:
        """Take note that all of a segment had come before: RFC 2883 section 4.1."""
        self.duplicate = (start, end)

    def halt(self) -> None:
        """Acknowledge nothing more."""
        self._delayed.cancel()

    # ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────

    def window(self) -> int:
        """Return the window field of a segment that is sent now.

        The right edge moves only by what is worth a segment (silly window syndrome: RFC 9293 section 3.8.6.2.2), and
        never back (section 3.8.6).
        """
        queue, told, shift = self.queue, self.edge, self.shift
        next_number = queue.next
        edge = next_number + self.buffer_bytes - queue.ready_bytes
        if edge - told < self.segment_bytes and edge - told < self.buffer_bytes // 2:
            edge = told
        window = edge - next_number >> shift
        if next_number + (window << shift) < told:
            window = -(-(told - next_number) >> shift)
        if window > WINDOW_MAX:
            window = WINDOW_MAX
        edge = next_number + (window << shift)
        if edge > told:
            self.edge = edge
        return window

    def told(self) -> None:
        """Take note that a segment with an acknowledgement has left."""
        self._delayed.due_ns = None  # ``cancel``, written out
        self._unacknowledged = 0
        self._connection.must_ack = False
        self.last_ack = self.queue.next

    def sack(self, most: int) -> tuple[tuple[int, int], ...]:
        """Return the blocks to tell, a duplicate first: RFC 2018 section 4, RFC 2883 section 4."""
        duplicate, self.duplicate = self.duplicate, None
        told = self.queue.sack_blocks(most - (duplicate is not None))
        blocks = told if duplicate is None else [duplicate, *told]
        return tuple((start & WORD, end & WORD) for start, end in blocks)

    @property
    def has_blocks(self) -> bool:
        """Whether the next segment tells any."""
        return bool(self.duplicate or self.queue.starts)

    def sack_bytes(self, most: int) -> int:
        """Return how long the option is that ``sack`` would give."""
        return 4 + 8 * min(most, len(self.queue.blocks()) + (self.duplicate is not None))

    def has_opened(self) -> bool:
        """Return whether the peer is to be told that there is room again: RFC 9293 section 3.8.6.2.2."""
        queue, free = self.queue, self.buffer_bytes - self.queue.ready_bytes
        opened = queue.next + free - self.edge
        if opened < 2 * self.segment_bytes and opened < self.buffer_bytes // 2:
            return False
        tellable = WINDOW_MAX << self.shift  # without scale, a buffer beyond that opens nothing
        return free <= tellable or queue.next + tellable - self.edge >= min(
            self.buffer_bytes // 2, 2 * self.segment_bytes
        )
