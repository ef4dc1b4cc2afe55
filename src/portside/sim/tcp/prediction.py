"""Header prediction: the short way for the segment that was expected, of a connection on which nothing is wrong.

It is the next one in order, has no control bits but ACK and PSH and no selective acknowledgements, and either brings
data or acknowledges some. That is nearly every segment there is. Van Jacobson, "4BSD TCP Header Prediction", ACM CCR
20(2), 1990; ``tcp_rcv_established`` in Linux. For such a segment this does what ``arrival`` would do, which takes all
others; the tests run the same worlds with and without it, and compare every frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.sim.tcp.numbers import ACK, ESTABLISHED, HALF, PSH, WORD

if TYPE_CHECKING:
    from portside.sim.frame import TcpFrame
    from portside.sim.tcp.connection import Connection

_NOT_PSH: Final = ~PSH


def take(connection: Connection, frame: TcpFrame) -> bool:
    """Take a segment if it is as predicted; return whether it was."""
    out, into = connection.out, connection.into
    queue = into.queue
    number = queue.next
    if (
        connection.state is not ESTABLISHED
        or frame.flags & _NOT_PSH != ACK
        or frame.sequence != number & WORD
        or frame.sack
        or queue.starts
        or into.fin_at is not None
        or out.recovery.kind
        or out.board.starts
        or connection.is_abandoned
    ):
        return False
    una = out.una
    ack = una + ((frame.ack - una) & WORD)
    payload = frame.payload
    length = len(payload)
    if ack > out.next or out.edge <= una or length > into.edge - number:
        return False
    if ack == una and (not length or (out.next == una and una < out.end)):
        return False  # a duplicate, or the answer to a probe
    timestamp = None
    if connection.ts_on:
        timestamp = frame.timestamp
        if timestamp is None or (timestamp - into.ts_recent) & WORD >= HALF:
            return False
        if number <= into.last_ack:
            into.note_timestamp(timestamp)  # RFC 7323 section 4.3
    out.window(number, ack, frame.window << connection.peer_shift)
    if ack > una:
        out.acknowledged(ack, None if timestamp is None else frame.echo)
        if out.is_full and out.has_room_again():
            connection.user.writable()
        if connection.watch is not None:
            connection.watch(connection, "acknowledged")
    if connection.keeper.is_on:
        connection.keeper.heard()
    if length:
        into.take_next(payload)
        if not connection.told_readable:
            connection.told_readable = True
            connection.user.readable()
    if out.next < out.end:
        out.output()
    if connection.must_ack:
        connection.acknowledge()
    return True
