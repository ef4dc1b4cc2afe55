"""Segments that are not what was waited for: RFC 9293 sections 3.5.2, 3.5.3, 3.10.7, RFC 5961, RFC 7323 section 5."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from portside.sim.frame import Offer
from portside.sim.profile import RFC
from portside.sim.seams import Trouble
from support.talkers import ALICE, BOB, Peer


@pytest.mark.parametrize(
    ("flags", "data", "answer"),
    [
        ("S", b"", ("RA", 0, 6)),
        ("", b"abc", ("RA", 0, 8)),
        ("F", b"ab", ("RA", 0, 8)),
        ("A", b"abc", ("R", 9, 0)),
        ("SA", b"", ("R", 9, 0)),
    ],
)
def test_a_segment_of_no_connection_is_reset(flags: str, data: bytes, answer: tuple[str, int, int]) -> None:
    """Section 3.10.7.1: the reset is acceptable to who sent the segment."""
    peer = Peer()
    (reset,) = peer.say(flags, 5, 9, data)
    assert (reset.flags, reset.sequence, reset.ack) == answer
    assert reset.window == 0


def test_a_reset_of_no_connection_says_nothing() -> None:
    peer = Peer()
    assert peer.say("R", 5) == peer.say("RA", 5, 9) == []


def test_who_listens_resets_an_acknowledgement_and_ignores_a_reset() -> None:
    """Section 3.10.7.2, first and second check."""
    peer = Peer()
    peer.listen()
    assert peer.say("R", 0) == []
    (reset,) = peer.say("A", 0, 50)
    assert (reset.flags, reset.sequence) == ("R", 50)


@pytest.mark.parametrize("state", ["ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"])
def test_a_reset_at_the_next_number_ends_the_connection_elsewhere_in_the_window_it_asks(state: str) -> None:
    """RFC 5961 section 3.2; the error as in Linux's tcp_reset."""
    peer = Peer()
    peer.open()
    next_number = bring_to(peer, state)
    assert peer.state == state
    (challenge,) = peer.say("R", next_number + 1)
    assert (challenge.flags, challenge.ack) == ("A", next_number)
    assert peer.say("R", next_number - 1) == []  # out of the window
    assert peer.say("R", next_number + 65_535) == []
    assert peer.state == state
    assert peer.say("R", next_number) == []
    assert peer.talker.errors == [errno.EPIPE if state == "CLOSE-WAIT" else errno.ECONNRESET]
    assert peer.tcp.connections() == []


def bring_to(peer: Peer, state: str) -> int:
    """Bring an established connection to another state, and return the peer's next number."""
    if state in {"CLOSE-WAIT", "LAST-ACK"}:
        peer.say("FA", 1, 1)
    if state not in {"ESTABLISHED", "CLOSE-WAIT"}:
        peer.talker.connection.shutdown()
    if state == "FIN-WAIT-2":
        peer.say("A", 1, 2)
    if state == "CLOSING":
        peer.say("FA", 1, 1)
    peer.heard()
    return 2 if state in {"CLOSE-WAIT", "LAST-ACK", "CLOSING"} else 1


@pytest.mark.parametrize("number", [0, 1, 5, 100_000])
@pytest.mark.parametrize("flags", ["S", "SA"])
def test_a_syn_within_a_connection_is_challenged(number: int, flags: str) -> None:
    """RFC 5961 section 4.2: irrespective of the sequence number."""
    peer = Peer()
    peer.open()
    (challenge,) = peer.say(flags, number, 1)
    assert (challenge.flags, challenge.sequence, challenge.ack) == ("A", 1, 1)
    assert peer.state == "ESTABLISHED"


def test_challenges_are_bounded() -> None:
    """RFC 5961 section 7."""
    peer = Peer(replace(RFC, challenge_acks_per_s=3))
    peer.open()
    assert sum(len(peer.say("S", 1)) for _ in range(10)) == 3
    peer.run(1)
    assert len(peer.say("S", 1)) == 1


def test_an_acknowledgement_of_what_was_not_sent_is_answered_and_its_data_dropped() -> None:
    """Section 3.10.7.4, fifth check."""
    peer = Peer()
    peer.open()
    (answer,) = peer.say("PA", 1, 2, b"x")
    assert (answer.flags, answer.sequence, answer.ack) == ("A", 1, 1)
    assert peer.talker.received == b""


def test_an_acknowledgement_from_long_ago_is_challenged() -> None:
    """RFC 5961 section 5.2: older than SND.UNA - MAX.SND.WND."""
    peer = Peer()
    peer.open(window=1_000)
    (answer,) = peer.say("PA", 1, (1 - 1_001) % 2**32, b"x", window=1_000)
    assert answer.ack == 1
    assert peer.talker.received == b""
    peer.say("PA", 1, (1 - 1_000) % 2**32, b"x", window=1_000)
    assert peer.talker.received == b"x"


def test_a_segment_without_acknowledgement_is_dropped() -> None:
    """Section 3.10.7.4, fifth check."""
    peer = Peer()
    peer.open()
    assert peer.say("P", 1, 0, b"x") == []
    assert peer.talker.received == b""


def test_what_is_out_of_the_window_is_acknowledged_and_dropped() -> None:
    """Section 3.10.7.4, first check."""
    peer = Peer()
    peer.open()
    for number in (1 + 65_535 + 100_000, 2**32 - 5):
        (answer,) = peer.say("A", number, 1, b"x")
        assert (answer.flags, answer.ack) == ("A", 1)
    assert peer.talker.received == b""


def test_old_timestamps_are_acknowledged_and_dropped_but_for_resets() -> None:
    """RFC 7323 section 5.3, rules R1 to R3."""
    peer = Peer()
    peer.clock = 1_000
    peer.open(Offer(1_000))
    peer.say("PA", 1, 1, b"a", clock=1_010)
    (answer,) = peer.say("PA", 2, 1, b"b", clock=1_009)
    assert (answer.ack, answer.frame.echo) == (2, 1_010)
    assert peer.talker.received == b"a"
    peer.say("PA", 2, 1, b"c", clock=1_010)
    assert peer.talker.received == b"ac"
    peer.say("R", 3, clock=5)
    assert peer.talker.errors == [errno.ECONNRESET]


def test_a_clock_that_wraps_is_not_old() -> None:
    peer = Peer()
    peer.clock = 2**32 - 2
    peer.open(Offer(1_000))
    peer.say("PA", 1, 1, b"a", clock=3)
    assert peer.talker.received == b"a"


def test_what_is_echoed_is_the_stamp_of_the_segment_that_was_waited_for() -> None:
    """RFC 7323 section 4.3: neither one out of order nor a later one while the acknowledgement is delayed."""
    peer = Peer()
    peer.clock = 100
    peer.open(Offer(1_000))
    assert peer.say("A", 11, 1, bytes(10), clock=120)[0].frame.echo == 100
    assert peer.say("A", 1, 1, bytes(10), clock=110)[0].frame.echo == 110
    peer.say("A", 21, 1, bytes(10), clock=130)
    peer.say("A", 31, 1, bytes(10), clock=140)
    assert peer.wait(1)[0].frame.echo == 130


def troubled(peer: Peer, number: int, *, is_hard: bool, sequence: int = 0) -> None:
    wire = ((peer.iss or 0) + sequence) & 0xFFFF_FFFF
    trouble = Trouble(OSError(number, ""), is_hard=is_hard, sequence=wire)
    peer.tcp.troubled((ALICE, peer.local), (BOB, peer.remote), trouble)


def test_icmp_ends_an_attempt_if_it_is_hard_and_is_remembered_if_not() -> None:
    """Section 3.9.2.2, RFC 5461."""
    peer = Peer()
    peer.connect()
    troubled(peer, errno.EHOSTUNREACH, is_hard=False)
    assert peer.talker.errors == []
    peer.run(300)
    assert peer.talker.errors == [errno.EHOSTUNREACH]
    peer = Peer()
    peer.connect()
    troubled(peer, errno.ECONNREFUSED, is_hard=True, sequence=1)  # not of what is on its way: RFC 5927 section 4.1
    assert peer.talker.errors == []
    troubled(peer, errno.ECONNREFUSED, is_hard=True)
    assert peer.talker.errors == [errno.ECONNREFUSED]


def test_icmp_does_not_end_what_is_established() -> None:
    """RFC 5927 section 5.2: hard errors are taken for soft ones."""
    peer = Peer()
    peer.open().send(b"x")
    troubled(peer, errno.ECONNREFUSED, is_hard=True, sequence=1)
    assert peer.state == "ESTABLISHED"
