"""The sending side of a connection: what is sent when, and again. RFC 9293 section 3.8, RFC 5681, 6582 and 6675."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from portside.sim.clock import Timer
from portside.sim.tcp import handshake, timeouts
from portside.sim.tcp.congestion import Congestion, congestion_of
from portside.sim.tcp.numbers import ACK, FIN, PSH, WORD
from portside.sim.tcp.recovery import Recovery
from portside.sim.tcp.rtt import RttEstimator
from portside.sim.tcp.scoreboard import Scoreboard

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection


_PUSHED: Final = ACK | PSH


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
        "_base", "_buffer", "_last_sent_ns", "_on_way", "board", "congestion", "connection", "edge", "end",
        "fin_queued", "initial_window", "is_full", "mss", "next", "recovery", "retransmits", "retries", "room_bytes",
        "rtt", "timer", "una", "window_max", "wl1", "wl2",
    )  # fmt: skip

    def __init__(self, connection: Connection, iss: int, room_bytes: int) -> None:
        self.connection = connection
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
        self.recovery = Recovery(self, iss)
        self.retransmits = 0
        self.retries = 0  # in a row, without anything new acknowledged: R2 of RFC 9293 section 3.8.3
        self.timer = Timer(connection.scheduler, self._timed_out)
        self._buffer = bytearray()
        self._base = iss + 1  # the number of the buffer's first byte
        self.is_full = False
        self._last_sent_ns = 0
        self._on_way: deque[Sent] = deque()

    # ── how it begins ────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, mss: int) -> None:
        """Begin to send segments of so many bytes: the handshake has shown how many."""
        self.mss = mss
        self.congestion = congestion_of(self.connection.profile, mss)
        self.initial_window = self.congestion.cwnd

    def shrink(self, mss: int) -> None:
        """Send shorter segments: the path carries no more. What was too long is sent again. RFC 1191 section 6.5."""
        if mss >= self.mss:
            return
        self.mss = self.congestion.mss = mss
        if self.una < self.next and self._base <= self.una:
            self.recovery.after_shrinking()

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
            self.is_full = True
        self._buffer += data
        self.end += taken
        return taken

    def send_at_once(self, data: bytes | bytearray | memoryview) -> bool:
        """Take and send a short message by one segment, if nothing else waits and all windows let it; return whether.

        It is what ``put`` and ``output`` would do with it: the short way of requests and answers.
        """
        size, number, recovery, connection = len(data), self.next, self.recovery, self.connection
        behind = number + size
        if (
            not 0 < size < self.mss
            or self.end != number
            or behind > self.edge
            or behind > self.una + self.congestion.cwnd
            or recovery.kind
            or recovery.duplicates
            or self.board.starts
            or len(self._buffer) + size > self.room_bytes
        ):
            return False
        now, into = connection.scheduler.now, connection.into
        if into.queue.starts or into.duplicate:
            return False  # there are blocks to be told beside it
        if number > self.una:
            if not connection.nodelay:
                return False
        elif now - self._last_sent_ns > self.rtt.rto_ns:
            return False  # the window shrinks while nothing is sent
        self._buffer += data
        self.end = self.next = behind
        self._last_sent_ns = now
        self._on_way.append(Sent(behind, now))
        connection.emit(number & WORD, _PUSHED, bytes(data))
        if self.timer.due_ns is None:
            self.timer.start(self.rtt.rto_ns)
        return True

    def has_room_again(self) -> bool:
        """Return whether there is room for a third of the buffer again, where ``put`` found too little; once."""
        if not self.is_full or 3 * len(self._buffer) > 2 * self.room_bytes:
            return False
        self.is_full = False
        return True

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def output(self) -> None:
        """Send what may be sent now."""
        kind = self.recovery.kind
        if kind and kind != "newreno":
            self.recovery.run()
        elif self.next < self.limit:
            self._send_new()
        # For what is on its way; or, as the persist timer (RFC 9293 section 3.8.6.1), for what a shut window holds back
        if self.timer.due_ns is None and self.una < self.limit:
            self.timer.start(self.rtt.rto_ns)

    def _send_new(self) -> None:
        if self.next == self.una:
            idle_ns = self.connection.scheduler.now - self._last_sent_ns
            if idle_ns > self.rtt.rto_ns:
                self._restart_after(idle_ns)
        recovery = self.recovery
        behind = self.una + self.congestion.cwnd + self.board.sacked_bytes
        if recovery.kind or recovery.duplicates:
            behind += recovery.extra_bytes()
        while self.send_one(behind) and self.next < self.limit:
            pass

    def _restart_after(self, idle_ns: int) -> None:
        """Take the window down after a time in which nothing was sent: RFC 5681 section 4.1.

        The RFC goes to the restart window at once, Linux halves the window for each RTO (tcp_cwnd_restart, after
        RFC 2861), never below it.
        """
        window = self.initial_window
        if self.connection.profile.idle_halves_window:
            window = max(window, self.congestion.cwnd >> min((idle_ns - 1) // self.rtt.rto_ns, 64))
        self.congestion.restarted(window)

    def send_one(self, behind: int) -> bool:
        """Send the next segment that was never sent, if ``behind`` and the peer's window let it; return whether."""
        number, mss, into = self.next, self.mss, self.connection.into
        if into.queue.starts or into.duplicate:
            mss = self.connection.room()
        size: int | None = mss
        if number + mss > self.end or number + mss > behind or number + mss > self.edge:
            size = self._part(number, mss, behind)
        if size is None:
            return False
        self.transmit(number, size)
        return True

    def _part(self, number: int, mss: int, behind: int) -> int | None:
        """Return how much less than a whole segment shall be sent now, None for nothing."""
        left = self.end - number
        if left <= 0:
            return 0  # the FIN alone, which needs no window
        size = min(left, behind - number, self.edge - number)
        if size < left and not self._is_worth(size, number, behind):
            return None
        if size <= 0:
            return None
        waits = not self.connection.nodelay and number > self.una and not self.fin_queued
        if size == left < mss and waits:
            return None  # Nagle: RFC 9293 section 3.7.4
        return size

    def _is_worth(self, size: int, number: int, behind: int) -> bool:
        """Return whether part of a segment shall be sent: silly window syndrome, RFC 9293 section 3.8.6.2.1."""
        by_peer = self.edge - number
        if behind - number < by_peer:
            return False  # congestion control lets the rest go before long
        return size >= self.window_max // 2 > 0 and size > 0

    def transmit(self, number: int, size: int) -> None:
        """Send so many bytes from that number on, with the FIN if it is behind them; for the first time or again."""
        connection = self.connection
        at = number - self._base
        payload = b""
        if size:
            with memoryview(self._buffer) as view:
                payload = view[at : at + size].tobytes()
        behind = number + size
        flags = ACK
        if behind == self.end:
            if size:
                flags = ACK | PSH
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
        self.connection.tell("retransmit")

    # ── acknowledgements ─────────────────────────────────────────────────────────────────────────────────────────────

    def window(self, number: int, ack: int, window: int) -> bool:
        """Take the peer's window from a segment; return whether it opened. RFC 9293 section 3.10.7.4, fifth check."""
        if self.wl1 > number or (self.wl1 == number and self.wl2 > ack):
            return False
        self.wl1, self.wl2 = number, ack
        edge = ack + window
        opened = edge > self.edge
        self.edge = edge
        if window > self.window_max:
            self.window_max = window
        if opened and self.next == self.una:
            self.timer.cancel()  # probes are over
            self.retries = 0
            self.rtt.forget_backing_off()
        return opened

    def probe_is_answered(self) -> None:
        """Take an acknowledgement of nothing new where a probe may have asked for it: the peer is there.

        If it has opened its window, a byte that went with the probe and that it had no room for goes with the rest.
        """
        if self.una >= self.end:
            return  # a FIN at most is on its way
        self.retries = 0
        if self.una < self.next and self.una < self.edge:
            self.rtt.forget_backing_off()
            self.transmit(self.una, min(self.end - self.una, self.connection.room(), self.edge - self.una))
            self.timer.start(self.rtt.rto_ns)

    def acknowledged(self, ack: int, echo: int | None) -> None:
        """Take an acknowledgement of something new."""
        flight = self.next - self.una
        count = ack - self.una
        self.una = ack
        freed = (ack if ack < self.end else self.end) - self._base
        if freed > 0:
            del self._buffer[:freed]
            self._base += freed
        on_way = self._on_way
        if on_way and on_way[0].end == ack and not on_way[0].again and not self.board.starts:
            self.rtt.sample(self.connection.scheduler.now - on_way.popleft().sent_ns)  # ``_sample``, of one segment
        else:
            self._sample(ack, echo)
        self.retries = 0
        if self.board.starts:
            self.board.forget_below(ack)
        if self.recovery.kind:
            self.recovery.acknowledged(ack, count, flight)
        else:
            self.recovery.duplicates = 0
            if 2 * flight >= self.congestion.cwnd:
                self.grow(count)
        if self.next > ack:
            self.timer.start(self.rtt.rto_ns)
        else:
            self.timer.due_ns = None  # ``cancel``, written out

    def grow(self, count: int) -> None:
        """Let the congestion window grow by so many bytes acknowledged."""
        self.congestion.acked(count, self.next - self.una, self.connection.scheduler.now, self.rtt)

    def _sample(self, ack: int, echo: int | None) -> None:
        """Measure the round-trip time: by when the segment left, or if it was sent again by its timestamp."""
        on_way, last, again = self._on_way, None, False
        while on_way and on_way[0].end <= ack:
            last = on_way.popleft()
            again = again or last.again
        if last is None or again or self.board.starts:
            self.rtt.forward()
            if echo is not None and last is not None:
                self.connection.sample_echo(echo)
            return
        self.rtt.sample(self.connection.scheduler.now - last.sent_ns)

    def _timed_out(self) -> None:
        if self.connection.is_opening:
            handshake.timed_out(self.connection)
        else:
            timeouts.rang(self)

    def halt(self) -> None:
        """Send nothing more."""
        self.timer.cancel()
