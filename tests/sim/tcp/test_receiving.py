"""What comes, in whatever order: RFC 9293 sections 3.8.6 and 3.10.7.4, RFC 5681 section 4.2, RFC 2018 and 2883."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.sim.frame import Offer
from portside.sim.profile import LINUX, RFC, Profile
from support.talkers import Peer

PLAIN = Offer(mss=1_000, shift=None, sack=False)
SACK = Offer(mss=1_000, shift=None, sack=True)


def opened(profile: Profile = RFC, offer: Offer = PLAIN) -> Peer:
    peer = Peer(profile)
    peer.open(offer)
    peer.heard()
    return peer


def test_every_second_full_segment_is_acknowledged_at_once() -> None:
    """RFC 5681 section 4.2: at least every second full-sized segment."""
    peer = opened()
    assert peer.say("A", 1, 1, bytes(1_000)) == []
    (answer,) = peer.say("A", 1_001, 1, bytes(1_000))
    assert answer.ack == 2_001


def test_a_single_segment_is_acknowledged_within_half_a_second() -> None:
    """RFC 9293 section 3.8.6.3, MUST-58."""
    peer = opened()
    assert peer.say("PA", 1, 1, b"x") == []
    assert peer.wait(0.199) == []
    (answer,) = peer.wait(0.3)
    assert (answer.brief, answer.ack) == (("A", 1, 0), 2)


def test_an_acknowledgement_rides_on_data_that_is_sent_meanwhile() -> None:
    peer = opened()
    peer.say("PA", 1, 1, b"question")
    peer.talker.connection.send(b"answer")
    (answer,) = peer.heard()
    assert (answer.ack, answer.size) == (9, 6)
    peer.say("A", 9, 7)
    assert peer.wait(1) == []


def test_linux_acknowledges_the_first_segments_at_once() -> None:
    """Its quick acknowledgements let the peer's slow start go on."""
    peer = opened(LINUX)
    for number in range(LINUX.quick_acks):
        assert len(peer.say("A", 1 + 10 * number, 1, bytes(10))) == 1
    assert peer.say("A", 1 + 10 * LINUX.quick_acks, 1, bytes(10)) == []


def test_what_is_out_of_order_is_kept_and_told_at_once() -> None:
    """RFC 5681 section 4.2: a duplicate acknowledgement, and one at once for what fills the gap."""
    peer = opened()
    (duplicate,) = peer.say("A", 11, 1, b"behind....")
    assert (duplicate.ack, bytes(peer.talker.received)) == (1, b"")
    (filled,) = peer.say("A", 1, 1, b"first.....")
    assert (filled.ack, bytes(peer.talker.received)) == (21, b"first.....behind....")


def test_blocks_are_told_the_newest_first() -> None:
    """RFC 2018 section 4: the first block is of the segment that has just come, then those told before."""
    peer = opened(offer=SACK)
    assert peer.say("A", 101, 1, bytes(100))[0].sack == [(101, 201)]
    assert peer.say("A", 301, 1, bytes(100))[0].sack == [(301, 401), (101, 201)]
    assert peer.say("A", 501, 1, bytes(100))[0].sack == [(501, 601), (301, 401), (101, 201)]
    assert peer.say("A", 201, 1, bytes(100))[0].sack == [(101, 401), (501, 601)]
    (filled,) = peer.say("A", 1, 1, bytes(100))
    assert (filled.ack, filled.sack) == (401, [(501, 601)])


def test_no_more_than_four_blocks_are_told_and_three_beside_a_timestamp() -> None:
    """RFC 2018 section 3: 40 bytes of options."""
    for clock, most in ((None, 4), (7, 3)):
        peer = Peer(RFC)
        peer.clock = clock
        peer.open(SACK)
        peer.heard()
        for number in range(6):
            heard = peer.say("A", 101 + 200 * number, 1, bytes(100))
        assert len(heard[0].sack) == most
        assert heard[0].sack[0] == (1_101, 1_201)


def test_what_comes_twice_is_told_first_and_once() -> None:
    """RFC 2883 section 4: a D-SACK, below the acknowledgement or within a block that follows it."""
    peer = opened(offer=SACK)
    peer.say("A", 1, 1, bytes(100))
    (again,) = peer.say("A", 1, 1, bytes(100))
    assert (again.ack, again.sack) == (101, [(1, 101)])
    peer.say("A", 201, 1, bytes(100))
    (again,) = peer.say("A", 201, 1, bytes(100))
    assert again.sack == [(201, 301), (201, 301)]
    assert peer.say("A", 401, 1, bytes(100))[0].sack == [(401, 501), (201, 301)]


def test_what_overlaps_counts_once_and_the_first_that_came_stays() -> None:
    peer = opened()
    peer.say("A", 5, 1, b"EFGH")
    peer.say("A", 1, 1, b"abcdefghij")
    assert bytes(peer.talker.received) == b"abcdEFGHij"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 120)), max_size=30), st.booleans())
def test_pieces_in_any_order_and_overlap_make_the_stream(pieces: list[tuple[int, int]], sack: bool) -> None:
    peer = opened(offer=SACK if sack else PLAIN)
    stream = bytes(range(256)) * 3
    for start, size in pieces:
        peer.say("A", 1 + start, 1, stream[start : start + size])
    whole = sorted({place for start, size in pieces for place in range(start, start + size)})
    expected = next((place for place, number in enumerate(whole) if place != number), len(whole))
    assert bytes(peer.talker.received) == stream[:expected]
    (answer,) = peer.say("A", 1 + 600, 1, b"x")
    assert answer.ack == 1 + expected


def test_what_is_behind_the_window_is_cut_off() -> None:
    """Section 3.10.7.4: the segment is trimmed to the window."""
    peer = Peer(RFC)
    connection = peer.open(PLAIN)
    connection.receive_buffer = 2_048
    peer.talker.reads = False
    peer.heard()
    window = 0
    sent = 0
    while True:
        heard = peer.say("A", 1 + sent, 1, bytes(1_000)) or peer.wait(1)
        sent = heard[-1].ack - 1
        window = heard[-1].window
        if window < 1_000:
            break
    (answer,) = peer.say("A", 1 + sent, 1, bytes(window + 500)) or peer.wait(1)
    assert (answer.ack, answer.window) == (1 + sent + window, 0)


def test_a_window_that_has_opened_a_little_is_not_told() -> None:
    """RFC 9293 section 3.8.6.2.2: silly window syndrome, by the receiver."""
    peer = Peer(RFC)
    peer.talker.reads = False
    connection = peer.open(PLAIN)
    sent, window = 0, 65_535
    while window:
        heard = peer.say("A", 1 + sent, 1, bytes(min(window, 1_000))) or peer.wait(1)
        sent, window = heard[-1].ack - 1, heard[-1].window
    connection.receive(500)
    assert peer.wait(10) == []
    connection.receive(100_000)
    (opened_again,) = peer.heard()
    assert opened_again.window > 2_000


@pytest.mark.parametrize("offer", [PLAIN, SACK], ids=["plain", "sack"])
def test_a_byte_at_a_time_arrives_whole(offer: Offer) -> None:
    peer = opened(offer=offer)
    data = bytes(range(200))
    for place in reversed(range(len(data))):
        peer.say("PA", 1 + place, 1, data[place : place + 1])
    assert bytes(peer.talker.received) == data
