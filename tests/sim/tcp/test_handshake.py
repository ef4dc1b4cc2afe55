"""How connections begin: RFC 9293 sections 3.5 and 3.7.1, RFC 7323 section 2, RFC 2018 section 2."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest

from portside.sim.frame import Offer
from portside.sim.profile import LINUX, RFC, Profile
from support.talkers import BOB, Peer


def test_who_listens_answers_acknowledges_and_is_established_by_the_third_segment() -> None:
    """Section 3.5, figure 6."""
    peer = Peer()
    peer.listen()
    (answer,) = peer.say("S", 0)
    assert (answer.flags, answer.sequence, answer.ack) == ("SA", 0, 1)
    assert peer.talker.connection is None
    assert peer.say("A", 1, 1) == []
    assert peer.state == "ESTABLISHED"


def test_who_connects_acknowledges_the_answer() -> None:
    """Section 3.5, figure 6."""
    peer = Peer()
    peer.connect()
    (syn,) = peer.heard()
    assert (syn.flags, syn.sequence, syn.ack) == ("S", 0, 0)
    (third,) = peer.say("SA", 0, 1)
    assert (third.flags, third.sequence, third.ack) == ("A", 1, 1)
    assert peer.state == "ESTABLISHED"
    assert peer.talker.told == ["established"]


def test_both_begin_at_once() -> None:
    """Section 3.5, figure 7: whoever hears a SYN for its own answers it; neither answers for ever."""
    peer = Peer()
    peer.connect()
    peer.heard()
    (answer,) = peer.say("S", 0)
    assert (answer.flags, answer.sequence, answer.ack) == ("SA", 0, 1)
    assert peer.state == "SYN-RECEIVED"
    answers = peer.say("SA", 0, 1)
    assert peer.state == "ESTABLISHED"
    assert [one.flags for one in answers] == ["A"]
    assert peer.talker.told == ["established"]


def test_both_begin_at_once_and_a_bare_acknowledgement_ends_it() -> None:
    peer = Peer()
    peer.connect()
    peer.say("S", 0)
    assert peer.say("A", 1, 1) == []
    assert peer.state == "ESTABLISHED"


def test_an_old_syn_is_answered_and_reset_by_who_knows_better() -> None:
    """Section 3.5, figure 8: the reset leaves the listener listening."""
    peer = Peer()
    peer.listen()
    peer.say("S", 0)
    peer.say("R", 1)
    assert peer.tcp.connections() == []
    (answer,) = peer.say("S", 100)
    assert (answer.flags, answer.ack) == ("SA", 101)


def test_a_half_open_connection_is_found_and_reset() -> None:
    """Section 3.5.1, figure 10: an acknowledgement of what was never sent, in SYN-SENT."""
    peer = Peer()
    peer.connect()
    peer.heard()
    (reset,) = peer.say("A", 300, 100)
    assert (reset.flags, reset.sequence) == ("R", 100)
    assert peer.state == "SYN-SENT"
    assert peer.say("SA", 0, 1)[0].flags == "A"


@pytest.mark.parametrize("ack", [0, 2, -1 % 2**32])
def test_an_answer_to_another_syn_is_reset(ack: int) -> None:
    """Section 3.10.7.3, first check."""
    peer = Peer()
    peer.connect()
    peer.heard()
    (reset,) = peer.say("SA", 0, ack)
    assert (reset.flags, reset.sequence) == ("R", ack)
    assert peer.say("RA", 0, ack) == []  # a reset is never answered: section 3.5.2
    assert peer.state == "SYN-SENT"


def test_a_reset_that_acknowledges_the_syn_refuses_one_that_does_not_says_nothing() -> None:
    """Section 3.10.7.3, second check."""
    peer = Peer()
    peer.connect()
    peer.say("R", 0)
    assert peer.state == "SYN-SENT"
    peer.say("RA", 0, 1)
    assert peer.talker.errors == [errno.ECONNREFUSED]
    assert peer.tcp.connections() == []


def test_an_acknowledgement_of_something_else_is_reset_in_syn_received() -> None:
    """Section 3.10.7.4, fifth check: <SEQ=SEG.ACK><CTL=RST>."""
    peer = Peer()
    peer.listen()
    peer.say("S", 0)
    (reset,) = peer.say("A", 1, 77)
    assert (reset.flags, reset.sequence) == ("R", 77)
    assert [one.state for one in peer.tcp.connections()] == ["SYN-RECEIVED"]


def test_a_syn_that_comes_again_is_answered_again() -> None:
    peer = Peer()
    peer.listen()
    (first,) = peer.say("S", 0)
    (again,) = peer.say("S", 0)
    assert again.brief == first.brief
    assert len(peer.tcp.connections()) == 1


def test_data_with_the_third_segment_counts() -> None:
    peer = Peer()
    peer.listen()
    peer.say("S", 0)
    peer.say("PA", 1, 1, b"hello")
    assert bytes(peer.talker.received) == b"hello"


def test_data_with_the_answer_counts() -> None:
    """Section 3.10.7.3, fourth check: data is processed once the connection is established."""
    peer = Peer()
    peer.connect()
    peer.heard()
    answers = peer.say("SFA", 0, 1, b"bye")
    assert answers[-1].ack == 5
    assert (bytes(peer.talker.received), peer.state) == (b"bye", "CLOSE-WAIT")


@pytest.mark.parametrize("offer", [None, Offer(mss=1_000), Offer(shift=3), Offer(sack=True), Offer(900, 2, True)])
@pytest.mark.parametrize("clock", [None, 7])
def test_only_what_was_offered_is_answered(offer: Offer | None, clock: int | None) -> None:
    """RFC 7323 sections 2.5 and 3.2, RFC 2018 section 2; the MSS always: RFC 9293 section 3.7.1, MUST-14."""
    peer = Peer(LINUX)
    peer.clock = clock
    peer.listen()
    (answer,) = peer.say("S", 0, offer=offer)
    asked, told = offer or Offer(), answer.frame.offer
    assert told is not None
    assert told.mss == 1_460
    assert (told.shift is None) == (asked.shift is None)
    assert told.sack == asked.sack
    assert (answer.frame.timestamp is None) == (clock is None)
    assert answer.frame.echo == (clock or 0)


def test_a_syn_offers_everything() -> None:
    peer = Peer(LINUX)
    peer.connect()
    (syn,) = peer.heard()
    assert syn.frame.offer == Offer(1_460, 7, True)  # 6 MiB >> 7 is what a field of 16 bits can tell
    assert syn.frame.timestamp is not None
    assert (syn.frame.echo, syn.window) == (0, 65_535)


def test_the_window_of_a_syn_is_not_scaled_and_all_others_are() -> None:
    """RFC 7323 section 2.2; the first flight is bound by the SYN's window as it is."""
    peer = Peer(LINUX)
    connection = peer.open(Offer(1_000, 4), window=3_000, answer=250)
    connection.send(bytes(10_000))
    assert sum(one.size for one in peer.heard()) == 4_000
    peer = Peer(LINUX)
    peer.connect()
    peer.talker.say(bytes(10_000))
    peer.heard()
    answers = peer.say("SA", 0, 1, offer=Offer(1_000, 4), window=3_000)
    assert [one.size for one in answers if one.size] == [1_000] * 3


def test_without_scale_the_peers_windows_are_plain_and_so_are_ours() -> None:
    peer = Peer(LINUX)
    connection = peer.open(Offer(1_000), window=5_000)
    connection.send(bytes(10_000))
    first = peer.heard()
    assert sum(one.size for one in first) == 5_000
    assert {one.window for one in first} == {65_535}


def test_a_shift_above_fourteen_is_taken_for_fourteen() -> None:
    """RFC 7323 section 2.3."""
    assert Peer(LINUX).open(Offer(1_000, 20)).peer_shift == 14


@pytest.mark.parametrize(
    ("offer", "clock", "mtu", "size"),
    [
        (None, None, 1_500, 536),  # RFC 9293 section 3.7.1, MUST-15
        (None, 1, 1_500, 524),
        (Offer(1_460), None, 1_500, 1_460),
        (Offer(1_460), 1, 1_500, 1_448),  # RFC 6691: options are taken from the MSS by who sends
        (Offer(9_000), None, 1_500, 1_460),
        (Offer(1_460), None, 576, 536),
        (Offer(300), None, 1_500, 300),
    ],
)
def test_how_long_segments_are(offer: Offer | None, clock: int | None, mtu: int, size: int) -> None:
    peer = Peer(mtu=mtu)
    peer.clock = clock
    peer.open(offer).send(bytes(20_000))
    assert peer.heard()[0].size == size


@pytest.mark.parametrize(
    ("profile", "seconds"),
    [(RFC, [1, 2, 4, 8, 16, 32, 60]), (LINUX, [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64])],
    ids=["rfc", "linux"],
)
def test_when_a_syn_is_sent_again_and_given_up(profile: Profile, seconds: list[int]) -> None:
    """RFC 6298 sections 2.1 and 5.5; net.ipv4.tcp_syn_linear_timeouts: the last at 67 s, the end at 131 s."""
    peer = Peer(profile)
    peer.connect()
    syns = peer.wait(600)
    times = [one.at_ms / 1_000 for one in syns]
    assert [round(b - a, 3) for a, b in pairwise(times)] == seconds[:-1]
    assert {one.flags for one in syns} == {"S"}
    assert peer.talker.errors == [errno.ETIMEDOUT]


def test_the_answer_is_sent_again_five_times() -> None:
    peer = Peer(LINUX)
    peer.listen()
    peer.say("S", 0)
    assert [round(one.at_ms / 1_000) for one in peer.wait(100)] == [1, 3, 7, 15, 31]
    assert peer.tcp.connections() == []


def test_a_lost_syn_leaves_one_segment_and_three_seconds() -> None:
    """RFC 5681 section 3.1, RFC 6298 section 5.7."""
    peer = Peer()
    peer.connect()
    peer.run(1.5)
    peer.say("SA", 0, 1, offer=Offer(1_000))
    peer.talker.say(bytes(5_000))
    assert [one.brief for one in peer.heard()] == [("A", 1, 1_000)]
    assert [one.brief for one in peer.wait(2.9)] == []
    assert [one.brief for one in peer.wait(0.2)] == [("A", 1, 1_000)]


def test_no_more_than_the_backlog_wait_to_be_accepted() -> None:
    """As Linux: one more than was asked for; the others' SYNs are dropped, not refused."""
    peer = Peer()
    listener = peer.tcp.listen((0, 80), 1, lambda: None)
    for port in (1_001, 1_002, 1_003):
        peer.remote = port
        answers = peer.say("S", 0)
        if port < 1_003:
            assert [one.flags for one in answers] == ["SA"]
            peer.say("A", 1, 1)
        else:
            assert answers == []
    assert listener.accept().remote == (BOB, 1_001)
    assert [one.flags for one in peer.say("S", 0)] == ["SA"]


def test_what_nobody_accepted_is_reset_when_listening_ends() -> None:
    peer = Peer()
    listener = peer.tcp.listen((0, 80), 1, lambda: None)
    peer.say("S", 0)
    peer.say("A", 1, 1)
    listener.close()
    assert [one.brief for one in peer.heard()] == [("RA", 1, 0)]
    assert peer.tcp.connections() == []
