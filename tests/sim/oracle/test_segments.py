"""TCP as raw segments: what Linux answers, ours does."""

from __future__ import annotations

import pytest

from portside.sim.frame import Offer, TcpFrame
from support.oracle import PEER, SOON_S, Wire
from support.oracle_tcp import ACK, FIN, FULL, ISS, OURS, PORT, PSH, RST, SYN, WORD, End


@pytest.mark.parametrize(
    ("flags", "payload", "answer"),
    [
        (SYN, b"", (0, ISS + 1, RST | ACK)),
        (SYN, b"abc", (0, ISS + 4, RST | ACK)),
        (FIN, b"abc", (0, ISS + 4, RST | ACK)),
        (ACK, b"abc", (77, 0, RST)),
        (SYN | ACK, b"", (77, 0, RST)),
    ],
)
def test_nobody_listens(wire: Wire, flags: int, payload: bytes, answer: tuple[int, int, int]) -> None:
    """RFC 9293 section 3.5.2, group 1."""
    end = End(wire, PORT + 1)
    end.ack = 77
    end.say(flags, payload)
    reset = end.hear()
    assert (reset.sequence, reset.ack, reset.flags) == answer


def test_a_reset_of_no_connection_is_not_answered(wire: Wire) -> None:
    End(wire, PORT + 1).say(RST)
    assert wire.silent(TcpFrame)


def test_a_listener_resets_an_acknowledgement(wire: Wire) -> None:
    """RFC 9293 section 3.10.7.2, second."""
    wire.host.listen(PORT)
    end = End(wire)
    end.ack = 99
    end.say(ACK)
    reset = end.hear()
    assert (reset.flags, reset.sequence) == (RST, 99)


@pytest.mark.parametrize("stamp", [None, 5])
@pytest.mark.parametrize("sack", [False, True])
@pytest.mark.parametrize("shift", [None, 0, 7])
@pytest.mark.parametrize("mss", [None, 1_000])
def test_options_answer_only_what_was_offered(
    wire: Wire, mss: int | None, shift: int | None, sack: bool, stamp: int | None
) -> None:
    """RFC 9293 section 3.7.1, RFC 7323 sections 2.2 and 3.2, RFC 2018 section 2; no window of a SYN is scaled."""
    wire.host.listen(PORT)
    offer = Offer(mss, shift, sack) if (mss, shift, sack) != (None, None, False) else None
    answer = End(wire).offer(offer, stamp)
    assert answer.flags == SYN | ACK
    assert answer.ack == ISS + 1
    assert answer.offer is not None
    assert answer.offer.mss == 1_460
    assert (answer.offer.shift is not None) == (shift is not None)
    assert answer.offer.sack == sack
    assert (answer.timestamp is not None, answer.echo) == (stamp is not None, stamp or 0)
    assert answer.window > 10_000


def test_a_wrong_checksum_is_ignored(wire: Wire) -> None:
    """RFC 9293 section 3.1: MUST-3."""
    wire.host.listen(PORT)
    segment = TcpFrame(wire.ours, OURS, PEER, PORT, ISS, 0, SYN, 1_000)
    original = wire.host.put
    wire.host.put = lambda data: original(data[:-1] + bytes([data[-1] ^ 1]))
    wire.send(segment)
    wire.host.put = original
    assert wire.silent(TcpFrame)


def test_data_in_order_is_acknowledged(wire: Wire) -> None:
    end = End(wire)
    stream = end.open(FULL)
    end.say(ACK | PSH, b"hello")
    assert end.acked(end.hear()) == 5
    assert stream.read() == b"hello"


def test_data_below_the_window_is_acknowledged_at_once_with_d_sack(wire: Wire) -> None:
    """RFC 9293 section 3.10.7.4, first; RFC 2883 section 4.1."""
    end = End(wire)
    stream = end.open(FULL)
    end.say(ACK, b"hello")
    end.hear()
    end.say(ACK, b"hello")
    again = end.hear()
    assert end.acked(again) == 5
    assert again.sack == (((ISS + 1) & WORD, (ISS + 6) & WORD),)
    assert stream.read() == b"hello"


def test_data_beyond_the_window_is_not_taken(wire: Wire) -> None:
    end = End(wire)
    stream = end.open(FULL)
    end.say(ACK, b"hello", at=50_000_000)
    assert end.acked(end.hear()) == 0
    assert stream.read() == b""


def test_gaps_are_told_the_latest_first(wire: Wire) -> None:
    """RFC 2018 section 4."""
    end = End(wire)
    stream = end.open(FULL)
    blocks = []
    for at in (10, 30, 20):
        end.say(ACK, bytes([at]) * 5, at=at)
        answer = end.hear()
        blocks.insert(0, ((ISS + 1 + at) & WORD, (ISS + 6 + at) & WORD))
        assert (end.acked(answer), list(answer.sack)) == (0, blocks)
    end.say(ACK, b"x" * 10)
    assert end.acked(end.hear()) == 15
    assert stream.read() == b"x" * 10 + b"\x0a" * 5


def test_of_segments_that_overlap_every_byte_comes_once(wire: Wire) -> None:
    end = End(wire)
    stream = end.open()
    end.say(ACK, b"abcdef")
    end.say(ACK, b"cdefghij", at=2)
    while not end.quiet:
        pass
    assert stream.read() == b"abcdefghij"


def test_what_was_never_sent_cannot_be_acknowledged(wire: Wire) -> None:
    """RFC 9293 section 3.10.7.4, fifth: answered, and its data dropped."""
    end = End(wire)
    stream = end.open()
    end.say(ACK, b"lies", acks=1_000)
    assert end.acked(end.hear()) == 0
    assert stream.read() == b""


def test_a_syn_on_a_connection_is_challenged(wire: Wire) -> None:
    """RFC 5961 section 4.2."""
    end = End(wire)
    stream = end.open()
    for at in (0, 100, -500):
        end.say(SYN, at=at)
        answer = end.hear()
        assert (answer.flags, end.acked(answer)) == (ACK, 0)
    stream.send(b"alive")
    assert end.hear().payload == b"alive"


def test_only_an_exact_reset_ends_a_connection(wire: Wire) -> None:
    """RFC 5961 section 3.2."""
    end = End(wire)
    stream = end.open()
    end.say(RST, at=100)
    assert end.hear().flags == ACK
    end.say(RST, at=-100)
    assert end.quiet
    end.say(RST)
    assert end.quiet
    with pytest.raises(ConnectionResetError):
        stream.read()


def test_a_blind_acknowledgement_of_long_ago_is_challenged(wire: Wire) -> None:
    """RFC 5961 section 5.2."""
    end = End(wire)
    stream = end.open()
    end.say(ACK, b"blind", acks=-1_000_000)
    assert end.acked(end.hear()) == 0
    assert stream.read() == b""


def test_a_passive_close(wire: Wire) -> None:
    """RFC 9293 section 3.6, figure 12; half-closed, the other direction goes on."""
    end = End(wire)
    stream = end.open()
    end.say(FIN | ACK)
    assert end.acked(end.hear()) == 1
    stream.send(b"more")
    assert end.hear().payload == b"more"
    end.say(ACK, at=1, acks=4)
    stream.close()
    last = end.hear()
    assert last.flags & FIN
    end.say(ACK, at=1, acks=5)
    assert end.quiet
    end.say(ACK, at=1, acks=5)
    assert end.hear().flags == RST


def test_an_active_close_ends_in_time_wait(wire: Wire) -> None:
    """RFC 9293 section 3.10.7.4, eighth: the FIN again is acknowledged again."""
    end = End(wire)
    stream = end.open()
    stream.close()
    assert end.hear().flags == FIN | ACK
    end.say(ACK, acks=1)
    end.say(FIN | ACK, acks=1)
    assert end.acked(end.hear()) == 1
    end.say(FIN | ACK, acks=1)
    assert end.acked(end.hear()) == 1


def test_both_close_at_once(wire: Wire) -> None:
    """RFC 9293 section 3.6, figure 13."""
    end = End(wire)
    end.open().close()
    assert end.hear().flags == FIN | ACK
    end.say(FIN | ACK)
    assert end.acked(end.hear()) == 1
    end.say(ACK, at=1, acks=1)
    assert end.quiet


def test_closing_with_something_unread_is_a_reset(wire: Wire) -> None:
    """RFC 2525 section 2.17."""
    end = End(wire)
    stream = end.open()
    end.say(ACK, b"unread")
    end.hear()
    stream.close()
    assert end.hear().flags == RST | ACK


def test_data_for_who_has_closed_is_a_reset(wire: Wire) -> None:
    """RFC 9293 section 3.6.1."""
    end = End(wire)
    end.open().close()
    end.hear()
    end.say(ACK, b"too late", acks=1)
    assert end.hear().flags & RST


def test_old_timestamps_are_not_taken(wire: Wire) -> None:
    """RFC 7323 section 5.3, PAWS."""
    wire.host.listen(PORT)
    end = End(wire)
    end.echo = 0
    end.echo = end.offer(FULL, 1_000).timestamp or 0
    end.say(ACK, stamp=1_000)
    stream = wire.host.accept(PORT)
    end.say(ACK, b"old", stamp=900)
    assert end.acked(end.hear()) == 0
    assert stream.read() == b""
    end.say(ACK, b"new", stamp=1_001)
    answer = end.hear()
    assert (end.acked(answer), answer.echo) == (3, 1_001)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_first_flight_keeps_to_the_window(wire: Wire, scaled: bool) -> None:
    """RFC 7323 section 2.2: the window of a SYN is as it is, those after it are scaled."""
    end = End(wire)
    stream = end.open(Offer(1_000, 2 if scaled else None))
    stream.send(b"x" * 20_000)
    total = 0
    while (segment := wire.next(TcpFrame, SOON_S)) is not None:
        total += len(segment.payload)
    assert total == (4_000 if scaled else 1_000)


def test_the_initial_window_is_ten_segments(wire: Wire) -> None:
    """RFC 6928."""
    end = End(wire)
    stream = end.open(Offer(1_000, 9))
    stream.send(b"x" * 30_000)
    sizes = []
    while (segment := wire.next(TcpFrame, SOON_S)) is not None:
        sizes.append(len(segment.payload))
    assert sizes == [1_000] * 10


def test_lost_data_is_sent_again_after_the_least_timeout(wire: Wire) -> None:
    """Linux's TCP_RTO_MIN of 200 ms, where RFC 6298 section 2.4 would have a second; the tick may take some off."""
    end = End(wire)
    stream = end.open()
    stream.send(b"again")
    first = end.hear()
    assert wire.silent(TcpFrame, 0.15)
    second = end.hear(0.3)
    assert (second.sequence, second.payload) == (first.sequence, b"again")


def test_a_shut_window_is_probed_below_it(wire: Wire) -> None:
    """RFC 9293 section 3.8.6.1; Linux's probe is an empty segment one below what is next: tcp_xmit_probe_skb."""
    end = End(wire)
    stream = end.open()
    end.say(ACK, window=0)
    stream.send(b"waits")
    probe = end.hear(0.6)
    assert (probe.payload, probe.sequence) == (b"", (end.ack - 1) & WORD)
    end.say(ACK, window=100)
    assert end.hear().payload == b"waits"


def test_who_connects_offers_everything_and_hears_a_refusal(wire: Wire) -> None:
    stream = wire.host.connect(wire.ours, 9_000)
    syn = End(wire).hear()
    assert (syn.flags, syn.ack) == (SYN, 0)
    assert syn.offer is not None
    assert (syn.offer.mss, syn.offer.sack, syn.offer.shift is not None) == (1_460, True, True)
    assert syn.timestamp is not None
    end = End(wire, syn.source_port, 9_000)
    end.sequence, end.ack = 0, syn.sequence + 1
    end.say(RST | ACK)
    with pytest.raises(ConnectionRefusedError):
        stream.read()


def test_both_open_at_once(wire: Wire) -> None:
    """RFC 9293 section 3.5, figure 7."""
    stream = wire.host.connect(wire.ours, 9_000)
    syn = End(wire).hear()
    end = End(wire, syn.source_port, 9_000)
    end.ack = syn.sequence + 1
    end.say(SYN)
    both = end.hear()
    assert (both.flags, both.sequence, end.acked(both)) == (SYN | ACK, syn.sequence, 1)
    end.say(SYN | ACK)
    end.sequence += 1
    wire.silent(TcpFrame)
    stream.send(b"open")
    assert end.hear().payload == b"open"


def test_an_acknowledgement_of_another_syn_is_reset(wire: Wire) -> None:
    """RFC 9293 section 3.10.7.3, first."""
    wire.host.connect(wire.ours, 9_000)
    syn = End(wire).hear()
    end = End(wire, syn.source_port, 9_000)
    end.ack = syn.sequence + 100
    end.say(SYN | ACK)
    reset = end.hear()
    assert (reset.flags, reset.sequence) == (RST, end.ack & WORD)
