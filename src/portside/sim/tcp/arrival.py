"""Segments that arrive: RFC 9293 section 3.10.7, RFC 5961 against blind attacks, RFC 7323 for timestamps."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from portside.sim.frame import TcpFrame
from portside.sim.tcp import closing, handshake
from portside.sim.tcp.numbers import (
    ACK,
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN,
    RECEIVING,
    RST,
    SYN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    WORD,
    os_error,
    unwrap,
)
from portside.sim.tcp.receiver import WINDOW_MAX

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection

_RESET_ERRORS: Final = {SYN_RECEIVED: errno.ECONNREFUSED, CLOSE_WAIT: errno.EPIPE}  # as Linux's tcp_reset


def take(connection: Connection, frame: TcpFrame) -> None:
    """Take a segment of a connection."""
    state = connection.state
    if state == SYN_SENT:
        _in_syn_sent(connection, frame)
    elif state != CLOSED:
        _in_other_states(connection, frame)
    if connection.state not in {CLOSED, SYN_SENT, SYN_RECEIVED, TIME_WAIT}:
        connection.out.output()
    if connection.must_ack and connection.state != CLOSED:
        connection.acknowledge()


# ── SYN-SENT: section 3.10.7.3 ───────────────────────────────────────────────────────────────────────────────────────


def _in_syn_sent(connection: Connection, frame: TcpFrame) -> None:
    flags, out = frame.flags, connection.out
    acks_ours = False
    if flags & ACK:
        ack = unwrap(frame.ack, out.next)
        if ack <= connection.iss or ack > out.next:
            if not flags & RST:
                connection.tcp.refuse(frame)
            return
        acks_ours = True
    if flags & RST:
        if acks_ours:
            connection.fail(os_error(errno.ECONNREFUSED))
        return
    if not flags & SYN:
        return
    if frame.timestamp is not None and acks_ours and not _echoes_ours(connection, frame):
        connection.tcp.refuse(frame)  # RFC 7323 section 5.5, as Linux: an answer to a SYN of before
        return
    into = connection.into
    handshake.take_offer(connection, frame)
    into.edge = into.queue.next + min(into.buffer_bytes, WINDOW_MAX)  # what our SYN has told
    if not acks_ours:  # both have begun at once: section 3.5, figure 7
        connection.become(SYN_RECEIVED)
        connection.out.timer.cancel()
        handshake.send_syn(connection)
        return
    rtt_ns = None if out.retries else connection.scheduler.now - connection.opened_ns
    out.edge = ack + frame.window
    handshake.done(connection, ack)
    if rtt_ns is not None:
        out.rtt.sample(rtt_ns)
    connection.must_ack = True
    start = into.queue.next
    if frame.payload:
        into.take(start, frame.payload)
    if flags & FIN:
        _note_fin(connection, start + len(frame.payload))
    _hand_on(connection)


def _echoes_ours(connection: Connection, frame: TcpFrame) -> bool:
    return not connection.ts_on or (connection.timestamp() - frame.echo) & WORD < 1 << 31


# ── all other states: section 3.10.7.4 ───────────────────────────────────────────────────────────────────────────────


def _in_other_states(connection: Connection, frame: TcpFrame) -> None:
    flags, into = frame.flags, connection.into
    number = into.number(frame.sequence)
    if not _is_acceptable(connection, frame, number):
        return
    if flags & RST:
        _reset(connection, number)
        return
    if flags & SYN:
        connection.challenge()  # RFC 5961 section 4.2
        return
    if not flags & ACK:
        return
    timestamp = frame.timestamp if connection.ts_on else None
    if timestamp is not None and number <= into.last_ack and not into.is_old(timestamp):
        into.note_timestamp(timestamp)  # RFC 7323 section 4.3
    if not _acknowledge(connection, frame, number):
        return
    if connection.state == TIME_WAIT:
        if flags & FIN:  # our last acknowledgement was lost
            connection.must_ack = True
            closing.wait_time(connection)
        return
    connection.keeper.heard()
    payload = frame.payload
    if payload and connection.state in RECEIVING:
        if connection.is_abandoned and number + len(payload) > into.queue.next:
            connection.abort()  # section 3.6: there is nobody to read it
            return
        into.take(number, payload)
    if flags & FIN:
        _note_fin(connection, number + len(payload))
    _hand_on(connection)


def _is_acceptable(connection: Connection, frame: TcpFrame, number: int) -> bool:
    """Make the first checks: timestamps, and whether the segment is in the window."""
    flags, into = frame.flags, connection.into
    if connection.ts_on and frame.timestamp is not None and not flags & RST and into.is_old(frame.timestamp):
        connection.tcp.count("paws")
        connection.acknowledge()
        return False
    length = len(frame.payload) + (flags & SYN > 0) + (flags & FIN)
    if into.accepts(number, length):
        return True
    if flags & RST:
        return False
    if flags & SYN and connection.state == SYN_RECEIVED and number == into.queue.next - 1:
        if _opens_as_we_do(connection, frame):
            return False
        handshake.send_syn(connection)  # our SYN was lost, and theirs comes again
        return False
    if flags & SYN:
        connection.challenge()
        return False
    if number == into.queue.next and into.edge == into.queue.next and flags & ACK:
        _acknowledge(connection, frame, number)  # the window is shut, but what it acknowledges counts
    elif frame.payload and connection.sack_on and number < into.queue.next:
        into.note_duplicate(number, number + len(frame.payload))
    if connection.state == TIME_WAIT and flags & FIN:
        closing.wait_time(connection)
    connection.acknowledge()
    return False


def _reset(connection: Connection, number: int) -> None:
    """Take a reset: only one that is exactly where the next segment would be ends anything. RFC 5961 section 3.2."""
    if number != connection.into.queue.next:
        connection.challenge()
        return
    if connection.state == TIME_WAIT:
        connection.is_abandoned = True  # the user was told that it is finished: that was all
    connection.fail(os_error(_RESET_ERRORS.get(connection.state, errno.ECONNRESET)))


def _opens_as_we_do(connection: Connection, frame: TcpFrame) -> bool:
    """Take their SYN again, now with the acknowledgement of ours: simultaneous open, RFC 9293 section 3.5, figure 7.

    By the letter of section 3.10.7.4 this segment is before the window. Were it answered by our own SYN again, both
    would go on like that for ever; as Linux has it, it opens the connection.
    """
    out = connection.out
    ack = unwrap(frame.ack, out.next)
    if connection.listener is not None or not frame.flags & ACK or ack != out.next:
        return False
    if _opens(connection, frame, ack, connection.into.number(frame.sequence), shift=0):
        connection.must_ack = True
    return True


def _acknowledge(connection: Connection, frame: TcpFrame, number: int) -> bool:
    """Take the acknowledgement of a segment; return whether the rest of it counts. Section 3.10.7.4, fifth check."""
    out = connection.out
    ack = unwrap(frame.ack, out.next)
    if connection.state == SYN_RECEIVED:
        return _opens(connection, frame, ack, number, connection.peer_shift)
    if ack > out.next:
        connection.challenge() if connection.state in RECEIVING else connection.acknowledge()
        return False
    if ack < out.una - max(out.window_max, 1):
        connection.challenge()  # RFC 5961 section 5.2
        return False
    news = _take_blocks(connection, frame) if frame.sack and connection.sack_on else False
    window = frame.window << connection.peer_shift
    if ack > out.una:
        out.window(number, ack, window)
        out.acknowledged(ack, frame.echo if frame.timestamp is not None and connection.ts_on else None)
        if out.una == out.limit and out.fin_queued:
            closing.ours_is_acknowledged(connection)
        elif out.has_room_again():
            connection.user.writable()
        connection.tell("acknowledged")
    elif ack == out.una:
        same_window, was_shut = ack + window == out.edge, out.edge <= ack
        out.window(number, ack, window)
        is_bare = not frame.payload and not frame.flags & FIN
        if was_shut or out.next == ack:
            out.probe_is_answered()
        elif is_bare and (news if connection.sack_on else same_window):
            out.recovery.duplicate()
    return connection.state != CLOSED


def _opens(connection: Connection, frame: TcpFrame, ack: int, number: int, shift: int) -> bool:
    """Take the acknowledgement of our SYN where we have heard theirs: the handshake is done, or it was another's."""
    out = connection.out
    if not out.una < ack <= out.next:
        connection.tcp.refuse(frame)
        return False
    if connection.listener is not None and not connection.listener.has_room():
        return False  # as Linux: dropped, and the peer will try again
    out.wl1, out.wl2 = number, ack
    out.edge = ack + (frame.window << shift)
    out.window_max = max(out.window_max, frame.window << shift)
    if not out.retries:
        out.rtt.sample(connection.scheduler.now - connection.opened_ns)
    handshake.done(connection, ack)
    return connection.state == ESTABLISHED


def _take_blocks(connection: Connection, frame: TcpFrame) -> bool:
    """Take selective acknowledgements; return whether they tell anything new. A D-SACK tells nothing (RFC 2883)."""
    out, news = connection.out, False
    for left, right in frame.sack:
        start, end = unwrap(left, out.next), unwrap(right, out.next)
        if out.una < end <= out.next and start < end and start >= unwrap(frame.ack, out.next):
            news = out.board.add(max(start, out.una), end) or news
    return news


def _note_fin(connection: Connection, number: int) -> None:
    """Take note of where the peer's stream ends."""
    if connection.into.fin_at is None and connection.state in RECEIVING:
        connection.into.fin_at = number
        if number > connection.into.queue.next:
            connection.must_ack = True  # something before it is missing


def _hand_on(connection: Connection) -> None:
    """Tell the user what is there now."""
    into = connection.into
    if into.fin_at is not None and into.queue.next == into.fin_at:
        into.queue.next += 1
        into.edge = max(into.edge, into.queue.next)
        closing.theirs_came(connection)
        connection.tell_readable()
    elif into.queue.ready_bytes:
        connection.tell_readable()
