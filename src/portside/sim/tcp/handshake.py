"""How a connection is opened: RFC 9293 sections 3.5 and 3.7.1, with the options of RFC 2018 and RFC 7323."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.sim.frame import Offer, TcpFrame
from portside.sim.tcp.numbers import ACK, ESTABLISHED, SYN, SYN_RECEIVED, SYN_SENT, WORD
from portside.sim.tcp.receiver import SHIFT_MAX, WINDOW_MAX, shift_for

if TYPE_CHECKING:
    from portside.sim.tcp.connection import Connection

MSS_LEAST: Final = 64  # what a peer offers below that is not taken at its word: it would be all headers


def begin(connection: Connection) -> None:
    """Begin to connect: send a SYN."""
    connection.become(SYN_SENT)
    connection.into.shift = shift_for(connection.into.buffer_bytes)
    send_syn(connection)


def answer(connection: Connection, frame: TcpFrame) -> None:
    """Answer a SYN that came for a port that is listened at."""
    connection.become(SYN_RECEIVED)
    take_offer(connection, frame)
    send_syn(connection)


def take_offer(connection: Connection, frame: TcpFrame) -> None:
    """Take what the peer's SYN offers; what it does not, neither side uses. Section 3.7.1."""
    offer = frame.offer or Offer()
    into, out = connection.into, connection.out
    into.begin(frame.sequence)
    connection.ts_on = connection.ts_on and frame.timestamp is not None
    if frame.timestamp is not None:
        into.note_timestamp(frame.timestamp)
    connection.sack_on = connection.sack_on and offer.sack
    into.shift = 0 if offer.shift is None else shift_for(into.buffer_bytes)
    connection.shifts = offer.shift is not None
    connection.peer_shift = min(offer.shift or 0, SHIFT_MAX)
    if offer.mss is not None:
        connection.peer_mss = max(offer.mss, MSS_LEAST)
    out.begin(connection.segment_bytes())
    out.wl1, out.wl2 = frame.sequence, out.una
    # The window of a SYN is never scaled: RFC 7323 section 2.2.
    out.edge = out.una + frame.window + (1 if out.una == connection.iss else 0)
    out.window_max = frame.window


def send_syn(connection: Connection) -> None:
    """Send the SYN, or the SYN that answers one; for the first time, or again."""
    out, into = connection.out, connection.into
    is_first = connection.state == SYN_SENT
    shift = into.shift if is_first or connection.shifts else None
    offer = Offer(connection.mtu - connection.headers_bytes, shift, connection.sack_on)
    window = min(into.buffer_bytes, WINDOW_MAX)
    if not is_first:
        into.edge = max(into.edge, into.queue.next + window)
    connection.emit(connection.iss & WORD, SYN if is_first else SYN | ACK, b"", offer, window)
    if out.next == connection.iss:
        out.next = connection.iss + 1
    if not out.timer.is_set:
        out.timer.start(out.rtt.rto_ns)


def timed_out(connection: Connection) -> None:
    """Send the SYN again, or give up. Linux does not back off at first: net.ipv4.tcp_syn_linear_timeouts."""
    out, profile = connection.out, connection.profile
    out.retries += 1
    linear = profile.syn_linear_timeouts if connection.state == SYN_SENT else 0
    most = profile.syn_retries + linear if connection.state == SYN_SENT else profile.synack_retries
    if out.retries > most:
        connection.time_out()
        return
    if out.retries > linear:
        out.rtt.back_off()
    out.retransmits += 1
    out.timer.start(out.rtt.rto_ns)
    send_syn(connection)
    connection.tell("retransmit")


def done(connection: Connection, ack: int) -> None:
    """Take the handshake as done: the peer has acknowledged our SYN."""
    out = connection.out
    was_lost = out.retries > 0
    out.una = ack
    out.timer.cancel()
    out.retries = 0
    if was_lost:
        out.rtt.after_syn_loss()  # RFC 6298 section 5.7
        out.congestion.restarted(out.mss)  # RFC 5681 section 3.1: a lost SYN leaves one segment
    connection.become(ESTABLISHED)
    connection.keeper.opened()
    if connection.listener is not None:
        connection.listener.is_done(connection)
    else:
        connection.user.established()
