"""Keepalive: whether a peer that has been silent for long is still there. RFC 9293 section 3.8.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.sim.clock import Timer
from portside.sim.tcp.numbers import ACK, CLOSE_WAIT, ESTABLISHED, FIN_WAIT_2, WORD

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection


class Keeper:
    """Asks, when it is on, after a while without a segment, by one that the peer must acknowledge."""

    __slots__ = ("_connection", "_timer", "_unanswered", "is_on")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_on = False
        self._unanswered = 0
        self._timer: Timer | None = None

    def turn(self, *, on: bool) -> None:
        """Turn it on or off; it is off unless a program asks (the same section)."""
        self.is_on = on
        if self._applies:
            self._wait_anew()

    @property
    def _applies(self) -> bool:
        connection = self._connection
        return self.is_on and not connection.is_abandoned and connection.state in {ESTABLISHED, CLOSE_WAIT, FIN_WAIT_2}

    def opened(self) -> None:
        """Begin to count, where it was turned on before there was a connection."""
        if self._applies:
            self._wait_anew()

    def heard(self) -> None:
        """Take note that the peer is there."""
        if self._timer is not None and self._applies:
            self._wait_anew()

    def _wait_anew(self) -> None:
        if self._timer is None:
            self._timer = Timer(self._connection.scheduler, self._was_silent)
        self._unanswered = 0
        self._timer.start(self._connection.keepalive_idle_ns)

    def _was_silent(self) -> None:
        if not self._applies:
            return
        assert self._timer is not None
        connection = self._connection
        if connection.out.unacknowledged:  # the retransmission timer finds out, as in Linux's tcp_keepalive_timer
            self._timer.start(connection.keepalive_idle_ns)
        elif self._unanswered >= connection.keepalive_count:
            connection.reset_peer()
            connection.time_out()
        else:
            self._unanswered += 1
            connection.emit((connection.out.next - 1) & WORD, ACK)
            self._timer.start(connection.keepalive_interval_ns)

    def halt(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
