"""The sending side of a connection: what is sent when, and again. RFC 9293 section 3.8, RFC 5681, 6582 and 6675."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from portside.sim.clock import Timer
from portside.sim.tcp.congestion import Congestion, congestion_of
from portside.sim.tcp.numbers import ACK, FIN, PSH, WORD
from portside.sim.tcp.rtt import RttEstimator
from portside.sim.tcp.scoreboard import DUP_THRESH, Scoreboard

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection

Recovery = Literal["", "fast", "newreno", "loss"]
SACK_BASE_BYTES: Final = 4


class Sent:
    """A segment that is on its way: the number behind it, when it left, and whether it was sent again."""

    __slots__ = ("again", "end", "sent_ns")

    def __init__(self, end: int, sent_ns: int) -> None:
        self.end = end
        self.sent_ns = sent_ns
        self.again = False


class Sender:
    """SND.UNA is ``una``, SND.NXT ``next``; ``end`` is behind the last byte the user gave, ``edge`` the window."""

    __slots__ = (
        "_base", "_buffer", "_connection", "_duplicates", "_high_rxt", "_inflation", "_is_full", "_last_sent_ns",
        "_on_way", "_rescued", "board", "congestion", "edge", "end", "fin_queued", "initial_window", "mss", "next",
        "recovery", "recovery_point", "retransmits", "retries", "room_bytes", "rtt", "timer", "una",
        "window_max", "wl1", "wl2",
    )  # fmt: skip

    def __init__(self, connection: Connection, iss: int, room_bytes: int) -> None:
        self._connection = connection
        self.una = self.next = iss
        self.end = iss + 1
        self.edge = iss + 1
        self.wl1 = self.wl2 = 0
        self.window_max = 0
        self.mss = 536
        self.room_bytes = room_bytes
        self.fin_queued = False
        self.rtt = RttEstimator(connection.profile)
        self.congestion: Congestion = congestion_of(connection.profile, self.mss)
        self.initial_window = self.congestion.cwnd
        self.board = Scoreboard()
        self.recovery: Recovery = ""
        self.recovery_point = iss
        self.retransmits = 0
        self.retries = 0  # in a row, without anything new acknowledged: R2 of RFC 9293 section 3.8.3
        self.timer = Timer(connection.scheduler, self._timed_out)
        self._buffer = bytearray()
        self._base = iss + 1  # the number of the buffer's first byte
        self._duplicates = 0
        self._high_rxt = iss
        self._inflation = 0
        self._rescued = False
        self._is_full = False
        self._last_sent_ns = 0
        self._on_way: deque[Sent] = deque()

    # ── how it begins ────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, mss: int) -> None:
        """Begin to send segments of so many bytes: the handshake has shown how many."""
        self.mss = mss
        self.congestion = congestion_of(self._connection.profile, mss)
        self.initial_window = self.congestion.cwnd

    def shrink(self, mss: int) -> None:
        """Send shorter segments: the path carries no more. What was too long is sent again. RFC 1191 section 6.5."""
        if mss >= self.mss:
            return
        self.mss = self.congestion.mss = mss
        if self.una < self.next and self._base <= self.una:
            self._high_rxt = self.una
            self.recovery, self.recovery_point = "loss", self.next
            self._recover()

    @property
    def flight(self) -> int:
        """Bytes that were sent and not acknowledged, those selectively acknowledged among them: FlightSize."""
        return self.next - self.una

    @property
    def unacknowledged(self) -> int:
        """Bytes the user gave that are not acknowledged."""
        return len(self._buffer)

    @property
    def limit(self) -> int:
        """The number behind everything that there is to send, a FIN among it."""
        return self.end + self.fin_queued

    # ── from the user ────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much as there is room for, and return how much that is."""
        room = self.room_bytes - len(self._buffer)
        taken = len(data)
        if taken > room:
            taken = max(room, 0)
            data = memoryview(data)[:taken]
            self._is_full = True
        self._buffer += data
        self.end += taken
        return taken

    def has_room_again(self) -> bool:
        """Return whether there is room for a third of the buffer again, where ``put`` found too little; once."""
        if not self._is_full or 3 * len(self._buffer) > 2 * self.room_bytes:
            return False
        self._is_full = False
        return True

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def output(self) -> None:
        """Send what may be sent now."""
        if self.recovery and self.recovery != "newreno":
            self._recover()
        else:
            self._send_new()
        if self.next > self.una:
            if not self.timer.is_set:
                self.timer.start(self.rtt.rto_ns)
        elif self.next < self.limit and not self.timer.is_set:
            self.timer.start(self.rtt.rto_ns)  # the persist timer: RFC 9293 section 3.8.6.1

    def _send_new(self) -> None:
        if self.next >= self.limit:
            return
        congestion, now = self.congestion, self._connection.scheduler.now
        if self.next == self.una and now - self._last_sent_ns > self.rtt.rto_ns and self._last_sent_ns:
            congestion.restarted(self.initial_window)
        extra = self._inflation if self.recovery else min(self._duplicates, 2) * self.mss * (not self.board)
        behind = self.una + congestion.cwnd + extra + self.board.sacked_bytes
        while self.next < self.limit and self._send_one(behind):
            pass

    def _send_one(self, behind: int) -> bool:
        """Send the next segment that was never sent, if ``behind`` and the peer's window let it; return whether."""
        number, mss = self.next, self._connection.room()
        left = self.end - number
        if left > 0:
            size = min(left, mss, behind - number, self.edge - number)
            if size < mss and size < left and not self._is_worth(size, number, behind):
                return False
            if size <= 0:
                return False
            if (
                size < mss
                and size == left
                and not self._connection.nodelay
                and number > self.una
                and not self.fin_queued
            ):
                return False  # Nagle: RFC 9293 section 3.7.4
        else:
            size = 0  # the FIN alone, which needs no window
        self._transmit(number, size)
        return True

    def _is_worth(self, size: int, number: int, behind: int) -> bool:
        """Return whether part of a segment shall be sent: silly window syndrome, RFC 9293 section 3.8.6.2.1."""
        by_peer = self.edge - number
        if behind - number < by_peer:
            return False  # congestion control lets the rest go before long
        return size >= self.window_max // 2 > 0 and size > 0

    def _transmit(self, number: int, size: int) -> None:
        """Send so many bytes from that number on, with the FIN if it is behind them; for the first time or again."""
        connection = self._connection
        at = number - self._base
        payload = b""
        if size:
            with memoryview(self._buffer) as view:
                payload = bytes(view[at : at + size])
        behind = number + size
        flags = ACK
        if behind == self.end:
            flags |= PSH if size else 0
            if self.fin_queued:
                flags |= FIN
                behind += 1
        now = connection.scheduler.now
        self._last_sent_ns = now
        if behind > self.next:
            self.next = behind
            self._on_way.append(Sent(behind, now))
        else:
            self._note_again(number, behind)
        connection.emit(number & WORD, flags, payload)

    def _note_again(self, number: int, behind: int) -> None:
        self.retransmits += 1
        for sent in self._on_way:
            if sent.end > number:
                sent.again = True
            if sent.end >= behind:
                break
        self._connection.tell("retransmit")

    # ── acknowledgements ─────────────────────────────────────────────────────────────────────────────────────────────

    def window(self, number: int, ack: int, window: int) -> bool:
        """Take the peer's window from a segment; return whether it opened. RFC 9293 section 3.10.7.4, fifth check."""
        if not (self.wl1 < number or (self.wl1 == number and self.wl2 <= ack)):
            return False
        self.wl1, self.wl2 = number, ack
        edge = ack + window
        opened = edge > self.edge
        self.edge = edge
        self.window_max = max(self.window_max, window)
        if opened and self.next == self.una:
            self.timer.cancel()  # probes are over
            self.retries = 0
        return opened

    def acknowledged(self, ack: int, echo: int | None) -> None:
        """Take an acknowledgement of something new."""
        flight = self.next - self.una
        count = ack - self.una
        self.una = ack
        freed = min(ack, self.end) - self._base
        if freed > 0:
            del self._buffer[:freed]
            self._base += freed
        self._sample(ack, echo)
        self.retries = 0
        if self.board:
            self.board.forget_below(ack)
        if self.recovery:
            self._recovering(ack, count, flight)
        else:
            self._duplicates = 0
            if 2 * flight >= self.congestion.cwnd:
                self._grow(count)
        if self.next > self.una:
            self.timer.start(self.rtt.rto_ns)
        else:
            self.timer.cancel()

    def _grow(self, count: int) -> None:
        rtt = self.rtt
        self.congestion.acked(count, self._connection.scheduler.now, rtt.srtt_ns or rtt.rto_ns)

    def _sample(self, ack: int, echo: int | None) -> None:
        """Measure the round-trip time: by when the segment left, or if it was sent again by its timestamp."""
        on_way, last, again = self._on_way, None, False
        while on_way and on_way[0].end <= ack:
            last = on_way.popleft()
            again = again or last.again
        if last is None or again or self.board:
            self.rtt.forward()
            if echo is not None and last is not None:
                self._connection.sample_echo(echo)
            return
        self.rtt.sample(self._connection.scheduler.now - last.sent_ns)

    def duplicate(self, *, news: bool) -> None:
        """Take an acknowledgement of nothing new: something behind has come. ``news``: with blocks that are new, or
        without SACK. RFC 5681 section 3.2, RFC 6675 section 5.
        """
        if self.recovery == "newreno":
            self._inflation += self.mss
            return
        if self.recovery or not news:
            return
        self._duplicates += 1
        is_lost = self._duplicates >= DUP_THRESH or self.board.lost_below(self.mss) > self.una
        if is_lost and self.una >= self.recovery_point:
            self._begin_recovery()

    # ── recovery ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_recovery(self) -> None:
        self.recovery_point = self.next
        # What limited transmit has sent beyond the window does not count: RFC 5681 section 3.2, step 2.
        self.congestion.lost(min(self.flight, self.congestion.cwnd), self._connection.scheduler.now)
        self._rescued = False
        self._high_rxt = self.una
        if self._connection.sack_on:
            self.recovery = "fast"
        else:
            self.recovery = "newreno"
            self._inflation = DUP_THRESH * self.mss  # RFC 5681 section 3.2, step 3
        self._again(*(self.board.next_hole(self.una, self.next) or (self.una, self.next)))
        self._connection.tell("recovery")
        self.timer.start(self.rtt.rto_ns)

    def _again(self, start: int, end: int) -> None:
        """Send one segment of what is missing again."""
        size = max(0, min(end, self.end, start + self._connection.room()) - start)
        self._transmit(start, size)
        self._high_rxt = max(self._high_rxt, start + size + (start + size == self.end and self.fin_queued))

    def _recovering(self, ack: int, count: int, flight: int) -> None:
        """Take an acknowledgement of something new while something is lost."""
        if ack >= self.recovery_point:
            self._end_recovery(flight - count)
            return
        if self.recovery == "newreno":  # a partial acknowledgement: RFC 6582 section 3.2, step 5
            self._inflation = max(self._inflation - count + (self.mss if count >= self.mss else 0), 0)
            self._again(self.una, self.next)
        elif self.recovery == "loss":
            self._grow(count)
            self._high_rxt = max(self._high_rxt, self.una)

    def _end_recovery(self, flight: int) -> None:
        if self.recovery == "newreno":  # RFC 6582 section 3.2, step 4, option 1: no burst
            self.congestion.cwnd = min(self.congestion.ssthresh, max(flight, self.mss) + self.mss)
        self.recovery = ""
        self._inflation = self._duplicates = 0
        self._connection.tell("recovered")

    def _recover(self) -> None:
        """Send what is missing and what is new, while less is on its way than the window: RFC 6675 section 5 (C)."""
        pipe, cwnd = self._pipe(), self.congestion.cwnd
        while cwnd - pipe >= self.mss:
            before = self.next
            sent = self._next_segment()
            if sent is None:
                return
            pipe += self.next - before or sent

    def _lost_below(self) -> int:
        return self.recovery_point if self.recovery == "loss" else self.board.lost_below(self.mss)

    def _pipe(self) -> int:
        """Return how much is on its way, as far as can be known: ``SetPipe`` of RFC 6675 section 4."""
        lost, rxt, pipe = self._lost_below(), self._high_rxt, 0
        for start, end in self.board.holes(self.una, self.next):
            pipe += max(0, end - max(start, lost)) + max(0, min(end, rxt) - start)
        return pipe

    def _next_segment(self) -> int | None:
        """Send one segment, and return its length, None if there is none to send: ``NextSeg`` of RFC 6675 section 4."""
        after = max(self._high_rxt, self.una)
        hole = self.board.next_hole(after, min(self._lost_below(), self.next))  # rule 1
        if hole is None and self.next < self.limit:
            before = self.next
            if self._send_one(self.next + self.mss):  # rule 2
                return max(self.next - before, 1)
        if hole is None:
            hole = self.board.next_hole(after, min(self.board.highest, self.next))  # rule 3
        if hole is None:
            return self._rescue()
        before = self._high_rxt
        self._again(*hole)
        return max(self._high_rxt - max(before, hole[0]), 1)

    def _rescue(self) -> int | None:
        """Send the end of what is missing again, once: without it nothing would tell of its loss. Rule 4."""
        if self._rescued or self.recovery != "fast":
            return None
        self._rescued = True
        holes = list(self.board.holes(self.una, min(self.recovery_point, self.next)))
        if not holes:
            return None
        start, end = holes[-1]
        start = max(start, min(end, self.end) - self._connection.room())
        size = max(0, min(end, self.end) - start)
        self._transmit(start, size)
        return max(size, 1)

    # ── the retransmission timer, which is the persist timer when the window is shut ─────────────────────────────────

    def _timed_out(self) -> None:
        if self._connection.is_opening:
            self._connection.opening_timed_out()
            return
        self.retries += 1
        if self.next == self.una or self.edge <= self.una < self.end:
            self._probe()
            return
        if self.retries > self._connection.profile.data_retries:
            self._connection.time_out()
            return
        now = self._connection.scheduler.now
        if self.rtt.backoff == 0:
            self.congestion.timed_out(self.flight, now)
        else:
            self.congestion.cwnd = self.mss  # RFC 5681 section 3.1: ssthresh is held for a segment that times out again
            self.board.clear()
        self.rtt.back_off()
        self.recovery, self.recovery_point = "loss", self.next
        self._high_rxt = self.una
        self._duplicates = self._inflation = 0
        self._connection.tell("timeout")
        self._again(*(self.board.next_hole(self.una, self.next) or (self.una, self.next)))
        self.timer.start(self.rtt.rto_ns)

    def _probe(self) -> None:
        """Ask whether the window is open by now, again and again: RFC 9293 section 3.8.6.1."""
        connection = self._connection
        if self.next == self.una and self.edge > self.next and self.next < self.limit:
            size = min(self.end - self.next, self._connection.room(), self.edge - self.next)
            self._transmit(self.next, size)  # the override of RFC 9293 section 3.8.6.2.1, step (4)
        elif connection.profile.probes_with_data and self.unacknowledged:
            self._transmit(self.una, 1)
        else:
            connection.emit((self.una - 1) & WORD, ACK)
        if connection.is_abandoned and self.retries > connection.profile.data_retries:
            connection.time_out()  # nobody is left who would wait
            return
        self.rtt.back_off()
        self.timer.start(self.rtt.rto_ns)

    def halt(self) -> None:
        """Send nothing more."""
        self.timer.cancel()
