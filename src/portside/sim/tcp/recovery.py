"""What is sent again when something is lost: RFC 6675 with selective acknowledgements, RFC 6582 (NewReno) without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from portside.sim.tcp.scoreboard import DUP_THRESH

if TYPE_CHECKING:
    from portside.sim.tcp.sender import Sender

Kind = Literal["", "fast", "newreno", "loss"]


class Recovery:
    """What a sender does from a loss on until all is acknowledged that was on its way then.

    ``kind`` is how: ``fast`` by the scoreboard, ``newreno`` without one, ``loss`` after a timeout, "" for not at all.
    ``point`` is RecoveryPoint, ``high_rxt`` HighRxt: RFC 6675 section 2.
    """

    __slots__ = ("_inflation", "_rescued", "_sender", "duplicates", "high_rxt", "kind", "point")

    def __init__(self, sender: Sender, iss: int) -> None:
        self._sender = sender
        self.kind: Kind = ""
        self.point = iss
        self.high_rxt = iss
        self.duplicates = 0
        self._inflation = 0
        self._rescued = False

    def extra_bytes(self) -> int:
        """How much more than the window may be on its way: for each segment that has left the network, another.

        RFC 5681 section 3.2, step 4; before a recovery, limited transmit (RFC 3042), which the scoreboard does itself.
        """
        if self.kind:
            return self._inflation
        return 0 if self._sender.board else min(self.duplicates, 2) * self._sender.mss

    # ── what tells of a loss ─────────────────────────────────────────────────────────────────────────────────────────

    def duplicate(self) -> None:
        """Take an acknowledgement of nothing new: something behind has come. RFC 5681 section 3.2, RFC 6675 section 5.

        With SACK it is one with blocks that are new.
        """
        sender = self._sender
        if self.kind == "newreno":
            self._inflation += sender.mss
        if self.kind:
            return
        self.duplicates += 1
        is_lost = self.duplicates >= DUP_THRESH or sender.board.lost_below(sender.mss) > sender.una
        if is_lost and sender.una >= self.point:
            self._begin()

    def _begin(self) -> None:
        sender = self._sender
        self.point = sender.next
        # What limited transmit has sent beyond the window does not count: RFC 5681 section 3.2, step 2.
        sender.congestion.lost(min(sender.flight, sender.congestion.cwnd), sender.connection.scheduler.now)
        self._rescued = False
        self.high_rxt = sender.una
        if sender.connection.sack_on:
            self.kind = "fast"
        else:
            self.kind = "newreno"
            self._inflation = DUP_THRESH * sender.mss  # RFC 5681 section 3.2, step 3
        self._send_first_hole()
        sender.connection.tell("recovery")
        sender.timer.start(sender.rtt.rto_ns)

    def after_timeout(self) -> None:
        """Begin anew: all that is on its way counts as lost. RFC 6298 section 5.4, RFC 6675 section 5.1."""
        self.kind, self.point = "loss", self._sender.next
        self.high_rxt = self._sender.una
        self.duplicates = self._inflation = 0
        self._sender.connection.tell("timeout")
        self._send_first_hole()

    def after_shrinking(self) -> None:
        """Send again what was too long for the path: RFC 1191 section 6.5."""
        self.kind, self.point = "loss", self._sender.next
        self.high_rxt = self._sender.una
        self.run()

    # ── what tells that something has come ───────────────────────────────────────────────────────────────────────────

    def acknowledged(self, ack: int, count: int, flight: int) -> None:
        """Take an acknowledgement of something new while something is lost. ``flight`` is from before it."""
        sender = self._sender
        if ack >= self.point:
            self._end(flight - count)
        elif self.kind == "newreno":  # a partial acknowledgement: RFC 6582 section 3.2, step 5
            self._inflation = max(self._inflation - count + (sender.mss if count >= sender.mss else 0), 0)
            self._again(sender.una, sender.next)
        elif self.kind == "loss":
            sender.grow(count)
            self.high_rxt = max(self.high_rxt, sender.una)

    def _end(self, flight: int) -> None:
        sender = self._sender
        if self.kind == "newreno":  # RFC 6582 section 3.2, step 4, option 1: no burst
            sender.congestion.cwnd = min(sender.congestion.ssthresh, max(flight, sender.mss) + sender.mss)
        self.kind = ""
        self._inflation = self.duplicates = 0
        sender.connection.tell("recovered")

    # ── what is sent: RFC 6675 ───────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Send what is missing and what is new, while less is on its way than the window: section 5 (C)."""
        sender = self._sender
        pipe, cwnd = self._pipe(), sender.congestion.cwnd
        while cwnd - pipe >= sender.mss:
            before = sender.next
            sent = self._next_segment()
            if sent is None:
                return
            pipe += sender.next - before or sent

    def _lost_below(self) -> int:
        return self.point if self.kind == "loss" else self._sender.board.lost_below(self._sender.mss)

    def _pipe(self) -> int:
        """Return how much is on its way, as far as can be known: ``SetPipe`` of section 4."""
        sender = self._sender
        lost, rxt, pipe = self._lost_below(), self.high_rxt, 0
        for start, end in sender.board.holes(sender.una, sender.next):
            pipe += max(0, end - max(start, lost)) + max(0, min(end, rxt) - start)
        return pipe

    def _next_segment(self) -> int | None:
        """Send one segment, and return its length, None if there is none to send: ``NextSeg`` of section 4."""
        sender = self._sender
        board = sender.board
        after = max(self.high_rxt, sender.una)
        hole = board.next_hole(after, min(self._lost_below(), sender.next))  # rule 1
        if hole is None and sender.next < sender.limit:
            before = sender.next
            if sender.send_one(sender.next + sender.mss):  # rule 2
                return max(sender.next - before, 1)
        if hole is None:
            hole = board.next_hole(after, min(board.highest, sender.next))  # rule 3
        if hole is None:
            return self._rescue()
        before = self.high_rxt
        self._again(*hole)
        return max(self.high_rxt - max(before, hole[0]), 1)

    def _rescue(self) -> int | None:
        """Send the end of what is missing again, once: without it nothing would tell of its loss. Rule 4."""
        sender = self._sender
        if self._rescued or self.kind != "fast":
            return None
        self._rescued = True
        holes = list(sender.board.holes(sender.una, min(self.point, sender.next)))
        if not holes:
            return None
        start, end = holes[-1]
        start = max(start, min(end, sender.end) - sender.connection.room())
        size = max(0, min(end, sender.end) - start)
        sender.transmit(start, size)
        return max(size, 1)

    def _send_first_hole(self) -> None:
        sender = self._sender
        self._again(*(sender.board.next_hole(sender.una, sender.next) or (sender.una, sender.next)))

    def _again(self, start: int, end: int) -> None:
        """Send one segment of what is missing again."""
        sender = self._sender
        size = max(0, min(end, sender.end, start + sender.connection.room()) - start)
        sender.transmit(start, size)
        behind = start + size
        self.high_rxt = max(self.high_rxt, behind + (behind == sender.end and sender.fin_queued))
