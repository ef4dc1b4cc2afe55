"""How connections end: RFC 9293 sections 3.6 and 3.10.4, figures 12 and 13, and RFC 2525 section 2.17."""

from __future__ import annotations

from typing import Any

import pytest

from portside.sim.frame import Offer
from portside.sim.profile import LINUX, RFC, Profile
from support.talkers import Peer

PROFILES = pytest.mark.parametrize("profile", [RFC, LINUX], ids=["rfc", "linux"])


@PROFILES
def test_who_ends_first_waits_and_then_forgets(profile: Profile) -> None:
    """Section 3.6, figure 12, with the duration of TIME-WAIT."""
    peer = Peer(profile)
    peer.open().close()
    (fin,) = peer.heard()
    assert (fin.brief, peer.state) == (("FA", 1, 0), "FIN-WAIT-1")
    assert peer.say("A", 1, 2) == []
    assert peer.state == "FIN-WAIT-2"
    (last,) = peer.say("FA", 1, 2)
    assert (last.flags, last.sequence, last.ack) == ("A", 2, 2)
    assert (peer.state, peer.talker.told) == ("TIME-WAIT", ["finished"])
    peer.run(profile.time_wait_ns / 1e9 - 0.001)
    assert len(peer.tcp.connections()) == 1
    peer.run(0.002)
    assert peer.tcp.connections() == []


def test_who_ends_last_forgets_at_once() -> None:
    peer = Peer()
    connection = peer.open()
    (answer,) = peer.say("FA", 1, 1)
    assert (answer.ack, peer.state, peer.talker.ended) == (2, "CLOSE-WAIT", True)
    connection.send(b"more")
    peer.say("A", 2, 5)
    connection.close()
    assert peer.heard()[-1].brief == ("FA", 5, 0)
    assert peer.state == "LAST-ACK"
    peer.say("A", 2, 6)
    assert (peer.tcp.connections(), peer.talker.told) == ([], ["finished"])


def test_both_end_at_once() -> None:
    """Section 3.6, figure 13."""
    peer = Peer()
    peer.open().shutdown()
    peer.heard()
    (answer,) = peer.say("FA", 1, 1)
    assert (answer.flags, answer.sequence, answer.ack, peer.state) == ("A", 2, 2, "CLOSING")
    assert peer.say("A", 2, 2) == []
    assert peer.state == "TIME-WAIT"


def test_a_fin_with_the_acknowledgement_of_ours_goes_to_time_wait_at_once() -> None:
    peer = Peer()
    peer.open().shutdown()
    peer.say("FA", 1, 2)
    assert peer.state == "TIME-WAIT"


def test_a_stream_that_has_ended_hears_on() -> None:
    """Section 3.6, case 1: half-close."""
    peer = Peer()
    peer.open().shutdown()
    peer.say("A", 1, 2)
    peer.run(1_000)
    peer.say("PA", 1, 2, b"still here")
    assert (bytes(peer.talker.received), peer.state) == (b"still here", "FIN-WAIT-2")


def test_a_fin_that_comes_again_is_acknowledged_and_the_wait_begins_anew() -> None:
    """Section 3.10.7.4, eighth check."""
    peer = Peer()
    peer.open().close()
    peer.say("FA", 1, 2)
    peer.run(200)
    assert [one.brief for one in peer.say("FA", 1, 2)] == [("A", 2, 0)]
    peer.run(200)
    assert peer.state == "TIME-WAIT"
    peer.run(41)
    assert peer.tcp.connections() == []


def test_closing_again_does_not_cut_time_wait_short() -> None:
    peer = Peer()
    connection = peer.open()
    connection.shutdown()
    peer.say("FA", 1, 2)
    connection.linger_s = 0
    connection.close()
    assert peer.state == "TIME-WAIT"


@PROFILES
def test_who_has_let_go_waits_for_the_other_as_long_as_the_profile_says(profile: Profile) -> None:
    """Section 3.6: for ever; net.ipv4.tcp_fin_timeout: 60 s."""
    peer = Peer(profile)
    connection = peer.open()
    connection.keepalive, connection.keepalive_idle_ns = True, 10**10
    connection.close()
    peer.say("A", 1, 2)
    peer.run(59)
    assert peer.state == "FIN-WAIT-2"
    peer.run(100_000)
    assert bool(peer.tcp.connections()) == (profile is RFC)


def closes_over(peer: Peer, linger_s: int | None = None) -> Any:
    connection = peer.open()
    peer.talker.reads = False
    connection.linger_s = linger_s
    return connection


def test_closing_with_something_unread_resets() -> None:
    """RFC 2525 section 2.17, RFC 9293 section 3.6."""
    peer = Peer()
    connection = closes_over(peer)
    peer.say("PA", 1, 1, b"unread")
    connection.close()
    assert peer.heard()[-1].flags == "RA"
    assert peer.tcp.connections() == []


def test_data_after_closing_is_reset() -> None:
    """Section 3.6: nobody is left to read it."""
    peer = Peer()
    peer.open().close()
    peer.say("A", 1, 2)
    (reset,) = peer.say("PA", 1, 2, b"anybody?")
    assert (reset.flags[0], reset.sequence) == ("R", 2)
    assert peer.tcp.connections() == []


def test_lingering_for_nothing_resets() -> None:
    peer = Peer()
    connection = closes_over(peer, 0)
    connection.send(b"lost")
    peer.heard()
    connection.close()
    assert [one.brief for one in peer.heard()] == [("RA", 5, 0)]
    assert peer.talker.told == []


def test_the_fin_is_behind_all_data_and_sent_again_with_it() -> None:
    peer = Peer()
    connection = peer.open(Offer(1_000), window=1_000)
    connection.send(bytes(1_500))
    connection.close()
    assert [one.brief for one in peer.heard()] == [("A", 1, 1_000)]
    assert [one.brief for one in peer.say("A", 1, 1_001, window=1_000)] == [("FPA", 1_001, 500)]
    assert [one.brief for one in peer.wait(1.1)] == [("FPA", 1_001, 500)]


def test_a_fin_ahead_of_what_is_missing_ends_nothing_yet() -> None:
    peer = Peer()
    peer.open()
    peer.say("FA", 4, 1, b"def")
    assert peer.state == "ESTABLISHED"
    (answer,) = peer.say("A", 1, 1, b"abc")
    assert (bytes(peer.talker.received), answer.ack, peer.state) == (b"abcdef", 8, "CLOSE-WAIT")


@pytest.mark.parametrize(("number", "clock"), [(3, None), (2**31, None), (0, 2)])
def test_a_later_syn_takes_the_place_of_a_connection_in_time_wait(number: int, clock: int | None) -> None:
    """Section 3.10.7.4, fourth check; RFC 6191 section 2, by number or by timestamp."""
    peer = Peer()
    peer.clock = clock and 1
    peer.open()
    peer.talker.connection.close()
    peer.say("FA", 1, 2)
    (answer,) = peer.say("S", number, clock=clock)
    assert (answer.flags, answer.ack) == ("SA", number + 1)
    assert [one.state for one in peer.tcp.connections()] == ["SYN-RECEIVED"]


def test_an_older_syn_does_not() -> None:
    peer = Peer()
    peer.open()
    peer.talker.connection.close()
    peer.say("FA", 1, 2)
    (answer,) = peer.say("S", 0)
    assert (answer.flags, peer.state) == ("A", "TIME-WAIT")
