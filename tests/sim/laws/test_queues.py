"""Queues: what theory says of waiting, where it says it exactly, and by how much chance may differ from it.

Arrivals are Poisson, from a seed; tolerances are some four standard errors of the mean of so many waits, which are
larger than those of independent ones, because who comes behind a long queue waits long as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from portside.sim import World
from portside.sim.addresses import to_int
from portside.sim.clock import SECOND, Scheduler
from portside.sim.frame import AnyFrame, UdpFrame
from portside.sim.impairments import LinkSettings
from portside.sim.link import Line, Link
from portside.sim.port import Port
from portside.sim.trace import Trace
from support.flows import transfer

A, B = to_int("10.0.0.1"), to_int("10.0.0.2")
RATE = 8_000_000  # a byte a microsecond
MEAN_BYTES = 1_000
SERVICE_S = MEAN_BYTES / 1e6


class Station:
    """A line as queueing theory sees it: a waiting room and one server. Times are in seconds."""

    def __init__(self, places: int | None = None) -> None:
        self.scheduler = Scheduler()
        self.near, far = Port("near", 1, lambda _: None), Port("far", 2, lambda _: None)
        settings = LinkSettings.of(rate=RATE, queue_frames=places)
        self.link = Link("line", self.scheduler, 1, (self.near, far), (settings, settings))
        self.waits_s: list[float] = []
        self.met: list[int] = []  # how many each has met in the waiting room
        self.dropped = 0
        self.link.there.watch(self._note)

    def _note(self, line: Line, frame: AnyFrame, fate: str, begins_ns: int, arrives_ns: int) -> None:
        if fate == "dropped":
            self.dropped += 1
        else:
            self.waits_s.append((begins_ns - self.scheduler.now) / SECOND)

    def _arrive(self, frame: UdpFrame) -> None:
        self.met.append(self.link.there.queued()[0])
        self.near.send(frame)

    def serve(self, load: float, sizes: Iterator[int], count: int) -> None:
        """Let customers come by chance, so many a second that the server is busy for that part of the time."""
        chance, time_s = Random(11), 0.0
        for _ in range(count):
            time_s += chance.expovariate(load / SERVICE_S)
            frame = UdpFrame(A, 1, B, 9, b"")
            frame.size = next(sizes)
            self.scheduler.at(round(time_s * SECOND), self._arrive, frame)
        self.scheduler.run()

    @property
    def wait_s(self) -> float:
        return sum(self.waits_s) / len(self.waits_s)


def always() -> Iterator[int]:
    while True:
        yield MEAN_BYTES


def exponential() -> Iterator[int]:
    chance = Random(12)
    while True:
        yield max(1, round(chance.expovariate(1 / MEAN_BYTES)))


@pytest.mark.parametrize(("load", "tolerance"), [(0.3, 0.04), (0.5, 0.04), (0.8, 0.1)])
def test_equal_frames_wait_half_as_long_as_those_of_chance(load: float, tolerance: float) -> None:
    """M/D/1, by Pollaczek and Khinchine: W = ρ / (2 (1 - ρ)) · S. Kleinrock, "Queueing Systems" I, equation 5.69."""
    station = Station()
    station.serve(load, always(), 40_000)
    assert station.wait_s == pytest.approx(load / (2 * (1 - load)) * SERVICE_S, rel=tolerance)


@pytest.mark.parametrize(("load", "tolerance"), [(0.3, 0.05), (0.5, 0.06), (0.8, 0.15)])
def test_frames_of_all_lengths_wait_for_each_other(load: float, tolerance: float) -> None:
    """M/M/1: W = ρ / (1 - ρ) · S. Kleinrock I, section 3.2."""
    station = Station()
    station.serve(load, exponential(), 40_000)
    assert station.wait_s == pytest.approx(load / (1 - load) * SERVICE_S, rel=tolerance)


def test_as_many_wait_as_come_while_one_waits() -> None:
    """Little's law, N = λ W; who comes by chance sees the average (PASTA: Wolff, Operations Research 30, 1982)."""
    station = Station()
    station.serve(0.7, exponential(), 40_000)
    assert sum(station.met) / len(station.met) == pytest.approx(0.7 / SERVICE_S * station.wait_s, rel=0.05)


@pytest.mark.parametrize("load", [0.5, 0.8, 1.2])
@pytest.mark.parametrize("places", [1, 4])
def test_a_full_room_turns_away_as_many_as_erlang_says(load: float, places: int) -> None:
    """M/M/1/K: (1 - ρ) ρ^K / (1 - ρ^(K + 1)), one of the K being served. Kleinrock I, section 3.6."""
    station = Station(places)
    station.serve(load, exponential(), 40_000)
    size = places + 1
    expected = (1 - load) * load**size / (1 - load ** (size + 1))
    assert station.dropped / 40_000 == pytest.approx(expected, rel=max(0.05, 4 / (expected * 40_000) ** 0.5))


def test_who_comes_on_time_never_waits_and_who_comes_too_fast_ever_longer() -> None:
    """D/D/1: without chance there is no queue below full load; above it, wait k (S - A) for the k-th."""
    for every_ns, growth_ns in ((1_000_000, 0), (900_000, 100_000)):
        station = Station()
        for number in range(100):
            frame = UdpFrame(A, 1, B, 9, b"")
            frame.size = MEAN_BYTES
            station.scheduler.at(number * every_ns, station.near.send, frame)
        station.scheduler.run()
        assert [round(wait_s * SECOND) for wait_s in station.waits_s] == [place * growth_ns for place in range(100)]


@pytest.mark.parametrize(
    ("queue", "least_s", "most_s"),
    [
        ({"queue": "drop-tail", "queue_frames": 400}, 0.3, 0.65),  # 400 frames of 1,514 bytes are 0.48 s
        ({"queue": "codel"}, 0.04, 0.075),  # RFC 8289 section 3.2: a target of 5 ms, over the 40 ms that the way takes
    ],
    ids=["drop-tail", "codel"],
)
def test_a_long_queue_makes_a_long_way_and_codel_a_short_one(
    queue: dict[str, object], least_s: float, most_s: float
) -> None:
    """Bufferbloat: a flow fills whatever room there is (Gettys, ACM Queue 9(11), 2011)."""
    world = World()
    world.link(world.host("alice"), world.host("bob"), rate="10Mbit/s", delay="20ms", **queue)
    with world:
        trace = Trace(world)
        transfer(world, 25_000_000)
    flow = trace.flows[0]
    times = sorted(srtt_s for at_s, srtt_s in flow.srtt.points if at_s > 8)
    assert least_s < times[len(times) // 2] < most_s
    assert 8 * flow.throughput > 8.9e6  # of 9.56: with either the line is as good as full
    assert flow.timeouts == 0
