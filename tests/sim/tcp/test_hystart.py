"""Slow start ends when the round trips get longer, before anything is lost: RFC 9406."""

from __future__ import annotations

import pytest

from portside.sim import World
from portside.sim.clock import MILLISECOND
from portside.sim.tcp.hystart import CSS_ROUNDS, N_RTT_SAMPLE, HyStart
from portside.sim.trace import Trace
from support.flows import transfer

MSS = 1_448


def rounds(*times_ms: float, samples: int = 10) -> HyStart:
    """Return what has heard of so many rounds, all acknowledgements of each after the same time."""
    hystart = HyStart()
    for time_ms in times_ms:
        for place in range(samples):
            hystart.acked(MSS, (samples - place - 1) * MSS + place * MSS, round(time_ms * MILLISECOND))
    return hystart


def test_round_trips_of_one_length_tell_nothing() -> None:
    hystart = rounds(*[50] * 20)
    assert not hystart.is_conservative
    assert not hystart.is_over


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "tells"),
    [(16, 19.9, False), (16, 20, True), (80, 89.9, False), (80, 90, True), (400, 415.9, False), (400, 416, True)],
)
def test_an_eighth_more_tells_but_four_milliseconds_at_least_and_sixteen_at_most(
    before_ms: float, after_ms: float, tells: bool
) -> None:
    """Section 4.2: RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH))."""
    assert rounds(before_ms, after_ms).is_conservative is tells


def test_few_samples_tell_nothing() -> None:
    """Section 4.2: N_RTT_SAMPLE of them make a round that counts."""
    assert not rounds(20, 60, samples=N_RTT_SAMPLE - 1).is_conservative
    assert rounds(20, 60, samples=N_RTT_SAMPLE).is_conservative


def test_a_false_alarm_is_forgotten() -> None:
    """Section 4.2: an RTT below the one at which it began resumes slow start."""
    hystart = rounds(20, 30, 30, 29)
    assert not hystart.is_conservative
    assert not hystart.is_over


def test_after_five_conservative_rounds_it_is_over() -> None:
    assert not rounds(20, *[30] * CSS_ROUNDS).is_over
    assert rounds(20, *[30] * (CSS_ROUNDS + 1)).is_over


def test_slow_start_into_a_long_queue_loses_nothing() -> None:
    """Without it the window doubles until the queue of 400 frames runs over, and half of what is sent is lost."""
    world = World(seed=1)
    link = world.link(world.host("alice"), world.host("bob"), rate="10Mbit/s", delay="20ms", queue_frames=400)
    with world:
        trace = Trace(world)
        transfer(world, 5_000_000)
    flow = trace.flows[0]
    assert link.there.dropped == 0
    assert flow.retransmits == 0
    assert flow.ssthresh.points  # slow start has ended all the same
    assert 8 * flow.throughput > 8.8e6
