"""What is sent when something is lost: RFC 5681 and 6582 (NewReno), 3042 (limited transmit), 2018 and 6675 (SACK)."""

from __future__ import annotations

from typing import Any

import pytest

from portside.sim.frame import Offer
from portside.sim.profile import LINUX, RFC, Profile
from support.talkers import Peer, Segment

MSS = 1_000
PLAIN = Offer(mss=MSS, shift=None, sack=False)
SACK = Offer(mss=MSS, shift=None, sack=True)
PROFILES = pytest.mark.parametrize("profile", [RFC, LINUX], ids=["rfc", "linux"])


def sending(offer: Offer, segments: int = 10, more: int = 20, profile: Profile = RFC) -> tuple[Peer, Any]:
    """Return a peer to whom ten segments are on their way (the initial window), with more to be sent behind them."""
    peer = Peer(profile)
    connection = peer.open(offer)
    connection.send(bytes((segments + more) * MSS))
    assert numbers(peer.heard()) == list(range(segments))
    return peer, connection


def numbers(heard: list[Segment]) -> list[int]:
    """Return which of the segments these are, from 0 on."""
    return [(segment.sequence - 1) // MSS for segment in heard if segment.size]


def at(segment: int) -> int:
    return 1 + segment * MSS


# ── without SACK ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_duplicates_let_a_new_segment_go_each_and_the_third_sends_the_lost_one() -> None:
    """RFC 3042, and RFC 5681 section 3.2, steps 1 to 3."""
    peer, connection = sending(PLAIN)
    assert [numbers(peer.say("A", 1, at(0))) for _ in range(3)] == [[10], [11], [0]]
    facts = connection.facts()
    assert (facts["ssthresh"], facts["recovery"]) == (5 * MSS, "newreno")


def test_every_further_duplicate_inflates_the_window_by_a_segment() -> None:
    """RFC 5681 section 3.2, step 4: ssthresh and three at first, so that five may go when ten and two were there."""
    peer, _ = sending(PLAIN)
    for _ in range(3):
        peer.say("A", 1, at(0))
    sent = [numbers(peer.say("A", 1, at(0))) for _ in range(8)]
    assert sent == [[], [], [], [], [12], [13], [14], [15]]


def test_a_partial_acknowledgement_sends_the_next_that_is_missing() -> None:
    """RFC 6582 section 3.2, step 5: two of one window were lost, and no timeout is waited for."""
    peer, connection = sending(PLAIN)
    for _ in range(3):
        peer.say("A", 1, at(0))
    sent = numbers(peer.say("A", 1, at(4)))
    assert sent[0] == 4
    peer.say("A", 1, at(12))
    facts = connection.facts()
    assert (facts["recovery"], facts["ssthresh"]) == ("", 5 * MSS)
    assert facts["cwnd"] <= 5 * MSS


def test_duplicates_of_before_begin_no_second_recovery() -> None:
    """RFC 6582 section 3.2, step 1: only beyond what was on its way at the last one (``recover``)."""
    peer, connection = sending(PLAIN)
    peer.wait(1.1)  # a timeout, which sends 0 again
    before = connection.facts()["ssthresh"]
    for _ in range(4):
        peer.say("A", 1, at(0))
    facts = connection.facts()
    assert (facts["recovery"], facts["ssthresh"]) == ("loss", before)


def test_data_or_another_window_is_no_duplicate() -> None:
    """RFC 5681 section 2: the definition of a duplicate acknowledgement."""
    peer, connection = sending(PLAIN)
    for number in range(4):
        peer.say("PA", 1 + number, at(0), b"x")
    for number in range(4):
        peer.say("A", 5, at(0), window=60_000 - number)
    assert connection.facts()["recovery"] == ""


# ── with SACK ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_three_segments_told_behind_a_hole_send_it() -> None:
    """RFC 6675 section 5: DupThresh, and IsLost."""
    peer, connection = sending(SACK)
    sent = [numbers(peer.say("A", 1, at(0), sack=[(at(1), at(number))])) for number in (2, 3, 4)]
    assert sent == [[10], [11], [0]]
    assert connection.facts()["recovery"] == "fast"


def test_a_jump_in_what_is_told_is_enough() -> None:
    """RFC 6675 section 5, step (2): more than two segments' bytes above it, though it is the first duplicate."""
    peer, _ = sending(SACK)
    assert numbers(peer.say("A", 1, at(0), sack=[(at(1), at(5))]))[0] == 0


def test_only_holes_are_sent_again_and_then_what_is_new() -> None:
    """RFC 6675 section 4, NextSeg, rules 1 and 2: 0, 3 and 6 were lost of ten."""
    peer, _ = sending(SACK)
    came = [1, 2, 4, 5, 7, 8, 9]
    sent: list[int] = []
    told: list[tuple[int, int]] = []
    for number in came:
        told = [(at(number), at(number + 1)), *told][:4]
        sent += numbers(peer.say("A", 1, at(0), sack=told))
    lost = [number for number in sent if number < 10]
    assert lost == [0, 3, 6]
    sent += numbers(peer.say("A", 1, at(10)))
    assert sorted(sent) == sorted(set(sent))  # nothing twice
    assert max(sent) > 10


def test_a_block_of_what_was_never_sent_or_is_acknowledged_tells_nothing() -> None:
    peer, connection = sending(SACK)
    peer.say("A", 1, at(2))
    for blocks in ([(at(0), at(1))], [(at(50), at(60))], [(at(5), at(4))]):
        for _ in range(3):
            peer.say("A", 1, at(2), sack=blocks)
    assert connection.facts()["recovery"] == ""


def test_after_a_timeout_what_was_told_is_not_sent_again_at_first() -> None:
    """RFC 6675 section 5.1: the scoreboard stays, and holes come first."""
    peer, _ = sending(SACK)
    peer.say("A", 1, at(0), sack=[(at(1), at(2))])
    assert numbers(peer.wait(1.1)) == [0]
    assert 1 not in numbers(peer.say("A", 1, at(2)))


@PROFILES
@pytest.mark.parametrize("offer", [PLAIN, SACK], ids=["plain", "sack"])
def test_what_is_lost_of_a_window_costs_one_reduction(profile: Profile, offer: Offer) -> None:
    """RFC 6582 and RFC 6675: several losses in one window of data are one sign of congestion."""
    peer, connection = sending(offer, profile=profile)
    tell = [[(at(1), at(number))] if offer is SACK else [] for number in (2, 3, 4)]
    for sack in tell:
        peer.say("A", 1, at(0), sack=sack)
    threshold = connection.facts()["ssthresh"]
    peer.say("A", 1, at(4))
    peer.say("A", 1, at(6))
    assert connection.facts()["ssthresh"] == threshold
