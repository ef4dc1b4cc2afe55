"""How a connection ends in peace: a FIN from each side, and a while in which old segments die. RFC 9293 section 3.6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.sim.clock import Timer
from portside.sim.tcp.numbers import CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, TIME_WAIT

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection


def shutdown(connection: Connection) -> None:
    """End our stream behind what was sent."""
    if connection.state == ESTABLISHED:
        connection.become(FIN_WAIT_1)
    elif connection.state == CLOSE_WAIT:
        connection.become(LAST_ACK)
    else:
        return
    connection.out.fin_queued = True
    connection.out.output()


def ours_is_acknowledged(connection: Connection) -> None:
    """Go on where the peer has heard that our stream has ended."""
    if connection.state == FIN_WAIT_1:
        connection.become(FIN_WAIT_2)
        if connection.is_abandoned:
            wait_for_theirs(connection)
    elif connection.state == CLOSING:
        wait_time(connection)
    elif connection.state == LAST_ACK:
        connection.end()
        connection.user.finished()


def theirs_came(connection: Connection) -> None:
    """Go on where the peer's stream has ended."""
    connection.must_ack = True
    if connection.state == ESTABLISHED:
        connection.become(CLOSE_WAIT)
    elif connection.state == FIN_WAIT_1:
        connection.become(CLOSING)  # or TIME-WAIT, if the same segment acknowledges our FIN: that came first
    elif connection.state == FIN_WAIT_2:
        connection.acknowledge()
        wait_time(connection)


def wait_for_theirs(connection: Connection) -> None:
    """Wait for the peer's FIN, but not for ever: nobody would read what comes before it."""
    if connection.profile.fin_wait_2_ns is not None:
        _end_after(connection, connection.profile.fin_wait_2_ns)


def wait_time(connection: Connection) -> None:
    """Wait until no segment of this connection can be anywhere any more: section 3.6.1."""
    was_waiting = connection.state == TIME_WAIT
    if not was_waiting:
        connection.become(TIME_WAIT)
        connection.out.halt()
    _end_after(connection, connection.profile.time_wait_ns)
    if not was_waiting:
        connection.user.finished()


def _end_after(connection: Connection, delay_ns: int) -> None:
    if connection.last is None:
        connection.last = Timer(connection.scheduler, connection.end)
    connection.last.start(delay_ns)
