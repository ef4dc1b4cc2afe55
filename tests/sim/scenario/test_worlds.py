"""The worlds of ``examples/worlds``: each shows what it says, and the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portside.cli.simulate import serve_battery
from portside.sim.scenario import Outcome, read_scenario, run_scenario
from portside.sim.scenario.sweeping import mathis

WORLDS = Path(__file__).parents[3] / "examples" / "worlds"


def run(name: str, **more: Any) -> Outcome:
    outcome = run_scenario(read_scenario(WORLDS / f"{name}.toml"), **more)
    assert outcome.failure is None
    return outcome


def largest(outcome: Outcome) -> Any:
    assert outcome.trace is not None
    return max(outcome.trace.flows, key=lambda flow: flow.acknowledged_bytes)


@pytest.mark.parametrize("name", ["one-lost-packet", "partition", "avian-carriers"])
def test_a_world_is_the_same_every_time(name: str) -> None:
    one, other = run(name), run(name)
    assert one.trace is not None
    assert other.trace is not None
    assert (one.results, one.trace.digest) == (other.results, other.trace.digest)


def test_one_lost_packet_is_sent_again_without_a_timeout() -> None:
    outcome = run("one-lost-packet")
    assert outcome.trace is not None
    lost = [flight for flight in outcome.trace.flights if not flight.arrives]
    assert len(lost) == 1
    again = [flight for flight in outcome.trace.flights if flight.is_again and flight.words.startswith("ACK")]
    assert [flight.words.split(",")[1] for flight in again] == [lost[0].words.split(",")[1]]
    assert largest(outcome).timeouts == 0


def test_a_partition_costs_time_and_no_byte() -> None:
    outcome = run("partition")
    flow = largest(outcome)
    assert flow.acknowledged_bytes == 5_000_000
    assert flow.timeouts >= 4
    assert max(rto_s for _, rto_s in flow.rto.points) >= 3
    assert outcome.trace is not None
    assert outcome.trace.marks == [(2.0, "partition ann | bob"), (10.0, "heal")]
    assert outcome.trace.ended_s > 12


def test_pigeons_are_as_slow_as_they_were() -> None:
    """The log of Bergen, 28 April 2001: four of nine, in this order."""
    ((_, _, told),) = run("avian-carriers").results
    assert told.startswith("9 sent, 4 answered, 56 % lost")
    assert told.endswith("6165.731 s, 6388.671 s, 5124.922 s, 3211.900 s")


def test_who_comes_later_gets_a_share_of_the_bottleneck() -> None:
    outcome = run("bottleneck")
    assert outcome.trace is not None
    ann, eve = (next(flow for flow in outcome.trace.flows if flow.host == name) for name in ("ann", "eve"))

    def between(flow: Any, begin_s: float, end_s: float) -> float:
        reached = [size for at, size in flow.acknowledged.points if begin_s <= at <= end_s]
        return 8 * float(reached[-1] - reached[0]) / (end_s - begin_s)

    alone, shared, other = between(ann, 2, 5), between(ann, 10, 25), between(eve, 10, 25)
    assert alone > 4.2e6
    assert 0.5 < shared / other < 2
    assert shared + other > 4.2e6


@pytest.mark.parametrize("loss", [0.005, 0.02])
def test_loss_leaves_what_mathis_says(loss: float) -> None:
    flow = largest(run("mathis", changes={"ann-bob": {"loss": loss}}))
    assert 0.7 < 8 * flow.throughput / mathis(flow, loss) < 1.4


def test_all_at_home_speak_by_one_address_and_a_visitor_gets_in_by_one_port() -> None:
    outcome = run("home", serve=serve_battery)
    told = {(what, host): how for what, host, how in outcome.results}
    assert len(told) == 4
    assert all("200 OK" in how or "2 sent, 2 answered" in how for how in told.values())
    assert outcome.trace is not None
    ends = {end for _, *both in outcome.trace.conversations for end in both}
    outside = [flight for flight in outcome.trace.flights if {flight.source, flight.target} == {"box", "provider"}]
    assert outside
    assert not any("192.168.1." in flight.words for flight in outside if "ARP" not in flight.words)
    assert any(end.startswith("203.0.113.5 port") for end in ends)
