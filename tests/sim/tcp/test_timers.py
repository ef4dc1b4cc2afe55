"""What TCP does when nothing comes: retransmission, probes of a window that is shut, keepalive, idleness."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest

from portside.sim.frame import Offer
from portside.sim.profile import LINUX, RFC, Profile
from support.talkers import Peer, Segment

PROFILES = pytest.mark.parametrize("profile", [RFC, LINUX], ids=["rfc", "linux"])
OFFER = Offer(mss=1_000, shift=None, sack=False)


def gaps_s(segments: list[Segment]) -> list[float]:
    """Return how long after the one before it each segment left."""
    times = [segment.at_ms for segment in segments]
    return [round(after - before) / 1_000 for before, after in pairwise(times)]


@PROFILES
def test_data_is_sent_again_each_time_after_twice_as_long_and_given_up(profile: Profile) -> None:
    """RFC 6298 section 5, RFC 9293 section 3.8.3 (R2)."""
    peer = Peer(profile)
    peer.open(OFFER).send(b"lost")
    (first,) = peer.heard()
    again = peer.wait(3_000)
    assert {segment.brief for segment in again} == {first.brief}
    assert len(again) == profile.data_retries
    gaps = gaps_s([first, *again])
    most = profile.rto_max_ns / 1e9
    assert gaps == pytest.approx([min(gaps[0] * 2**n, most) for n in range(len(gaps))])
    assert (peer.talker.errors, peer.tcp.connections()) == ([errno.ETIMEDOUT], [])


def test_an_acknowledgement_of_something_sent_twice_measures_nothing_without_timestamps() -> None:
    """Karn's algorithm: RFC 6298 section 3. The RTO stays backed off for what is sent next (section 5)."""
    peer = Peer(RFC)
    connection = peer.open(OFFER)
    connection.send(b"one")
    peer.wait(1.5)
    before = connection.facts()
    peer.say("A", 1, 4)
    assert connection.facts()["srtt_ns"] == before["srtt_ns"]
    connection.send(b"two")
    two, again = peer.wait(2.5)
    assert gaps_s([two, again]) == [2.0]


def test_a_timeout_leaves_one_segment_and_half_of_what_was_on_its_way() -> None:
    """RFC 5681 section 3.1, equation (4), and the loss window."""
    peer = Peer(RFC)
    connection = peer.open(OFFER)
    connection.send(bytes(8_000))
    assert len(peer.heard()) == 8
    peer.wait(1.5)
    facts = connection.facts()
    assert (facts["cwnd"], facts["ssthresh"]) == (1_000, 4_000)


# ── a window that is shut: RFC 9293 section 3.8.6.1 ──────────────────────────────────────────────────────────────────


def shut(peer: Peer) -> None:
    """Open a connection and shut its window while there is something to be sent."""
    connection = peer.open(OFFER, window=1_000)
    connection.send(bytes(1_000))
    peer.heard()
    peer.say("A", 1, 1_001, window=0)
    connection.send(b"waits")
    assert peer.heard() == []


@pytest.mark.parametrize(("profile", "probe"), [(RFC, ("A", 1_001, 1)), (LINUX, ("A", 1_000, 0))], ids=["rfc", "linux"])
def test_a_shut_window_is_probed_with_growing_patience(profile: Profile, probe: tuple[str, int, int]) -> None:
    """The RFC's probe has a byte of data, Linux' one is below the window and has none."""
    peer = Peer(profile)
    shut(peer)
    probes = peer.wait(8)
    assert {segment.brief for segment in probes} == {probe}
    gaps = gaps_s(probes)
    assert gaps == pytest.approx([gaps[0] * 2**n for n in range(len(gaps))], rel=0.01)


@PROFILES
def test_probes_that_nobody_answers_end_the_connection(profile: Profile) -> None:
    """Linux's tcp_probe_timer: the peer is as silent as any other that is gone."""
    peer = Peer(profile)
    shut(peer)
    probes = peer.wait(4_000)
    assert len(probes) == profile.data_retries
    assert (peer.talker.errors, peer.tcp.connections()) == ([errno.ETIMEDOUT], [])


@PROFILES
def test_a_peer_that_answers_may_keep_its_window_shut_for_ever(profile: Profile) -> None:
    """RFC 9293 section 3.8.6.1: a connection stays open as long as probes are acknowledged (MUST-37)."""
    peer = Peer(profile)
    shut(peer)
    for _ in range(3 * profile.data_retries):
        assert peer.wait(121)
        peer.say("A", 1, 1_001, window=0)
    assert (peer.state, peer.talker.errors) == ("ESTABLISHED", [])


def test_but_not_when_nobody_is_left_who_would_wait() -> None:
    peer = Peer(LINUX)
    shut(peer)
    peer.talker.connection.close()
    for _ in range(2 * LINUX.data_retries):
        peer.wait(121)
        if not peer.tcp.connections():
            break
        peer.say("A", 1, 1_001, window=0)
    assert peer.tcp.connections() == []


@PROFILES
def test_what_waits_is_sent_as_soon_as_the_window_opens(profile: Profile) -> None:
    """And the byte that a probe told, and for which there was no room, goes with the rest."""
    peer = Peer(profile)
    shut(peer)
    peer.wait(5)
    sent = peer.say("A", 1, 1_001, window=1_000)
    assert [segment.brief for segment in sent] == [("PA", 1_001, 5)]
    peer.say("A", 1, 1_006, window=1_000)
    assert peer.talker.connection.facts()["unacknowledged"] == 0


# ── keepalive: RFC 9293 section 3.8.4 ────────────────────────────────────────────────────────────────────────────────


def test_a_silent_peer_is_asked_nine_times_and_reset() -> None:
    peer = Peer(RFC)
    peer.open().keepalive = True
    peer.heard()
    assert peer.wait(7_199) == []
    probes = peer.wait(2_000)
    assert [segment.brief for segment in probes] == [("A", 0, 0)] * 9 + [("RA", 1, 0)]
    assert set(gaps_s(probes)) == {75.0}
    assert peer.talker.errors == [errno.ETIMEDOUT]


def test_who_answers_is_asked_again_after_another_two_hours() -> None:
    peer = Peer(RFC)
    peer.open().keepalive = True
    for _ in range(3):
        peer.heard()
        assert len(peer.wait(7_201)) == 1
        peer.say("A", 1, 1)
    assert peer.talker.errors == []


def test_nobody_is_asked_who_was_not_told_to() -> None:
    """It must be off unless a program turns it on (MUST-25)."""
    peer = Peer(RFC)
    peer.open()
    peer.heard()
    assert peer.wait(100_000) == []


# ── idleness ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("profile", "expected"), [(RFC, 10_000), (LINUX, 20_000)], ids=["rfc", "linux"])
def test_a_window_that_was_not_used_says_less(profile: Profile, expected: int) -> None:
    """RFC 5681 section 4.1: down to the restart window; Linux halves it for each RTO."""
    peer = Peer(profile)
    connection = peer.open(OFFER)
    connection.send(bytes(150_000))
    sent = peer.heard()
    while sent:
        sent = peer.say("A", 1, sent[-1].sequence + sent[-1].size)
    window = connection.facts()["cwnd"]
    peer.wait(1.5 * connection.facts()["rto_ns"] / 1e9)
    connection.send(b"again")
    assert connection.facts()["cwnd"] == (expected if profile is RFC else window // 2)


def test_timestamps_of_an_idle_connection_are_believed_again_after_24_days() -> None:
    """RFC 7323 section 5.5."""
    peer = Peer(RFC)
    peer.clock = 1_000_000
    peer.open(Offer(mss=1_000, shift=None, sack=False))
    peer.wait(23 * 86_400)
    peer.say("PA", 1, 1, b"old", clock=999_999)
    assert bytes(peer.talker.received) == b""
    peer.wait(2 * 86_400)
    peer.say("PA", 1, 1, b"new", clock=999_999)
    assert bytes(peer.talker.received) == b"new"
