"""What a sender does when nothing has come for too long: RFC 6298 section 5, and probes of a window that is shut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.sim.tcp.numbers import ACK, WORD

if TYPE_CHECKING:
    from portside.sim.tcp.sender import Sender


def rang(sender: Sender) -> None:
    """Send again, or ask again, as the retransmission timer has run out. It is the persist timer while a window is
    shut.
    """
    sender.retries += 1
    if sender.next == sender.una or sender.edge <= sender.una < sender.end:
        _probe(sender)
    elif sender.retries > sender.connection.profile.data_retries:
        sender.connection.time_out()
    else:
        _send_again(sender)


def _send_again(sender: Sender) -> None:
    congestion = sender.congestion
    if sender.rtt.backoff == 0:
        congestion.timed_out(sender.flight, sender.connection.scheduler.now)
    else:
        congestion.cwnd = sender.mss  # RFC 5681 section 3.1: ssthresh is held for a segment that times out again
        sender.board.clear()
    sender.rtt.back_off()
    sender.recovery.after_timeout()
    sender.timer.start(sender.rtt.rto_ns)


def _probe(sender: Sender) -> None:
    """Ask whether the window is open by now: RFC 9293 section 3.8.6.1.

    A peer that answers may keep it shut for ever, and one that does not is gone like any other that is silent
    (Linux's tcp_probe_timer). Where nobody is left who would wait, answers do not help.
    """
    connection = sender.connection
    asked = sender.rtt.backoff + 1 if connection.is_abandoned else sender.retries
    if asked > connection.profile.data_retries:
        connection.time_out()
        return
    if sender.next == sender.una and sender.edge > sender.next and sender.next < sender.limit:
        size = min(sender.end - sender.next, connection.room(), sender.edge - sender.next)
        sender.transmit(sender.next, size)  # the override of RFC 9293 section 3.8.6.2.1, step (4)
    elif connection.profile.probes_with_data and sender.unacknowledged:
        sender.transmit(sender.una, 1)
    else:
        connection.emit((sender.una - 1) & WORD, ACK)
    sender.rtt.back_off()
    sender.timer.start(sender.rtt.rto_ns)
