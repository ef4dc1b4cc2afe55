"""TCP's windows: what slow start, additive increase and the receiver's window do in each round trip."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import ceil, log2, sqrt
from typing import Any

import pytest

from portside.sim import World
from portside.sim.frame import TcpFrame
from portside.sim.profile import LINUX, RFC, Profile
from portside.sim.rules import Rule, drop
from portside.sim.tcp.numbers import ACK
from support.flows import compete, send, serve, transfer

MSS = 1_448  # 1,500 less 20 for IP, 20 for TCP, 12 for timestamps
ROUND_TRIP_S = 0.1


def world_of(profile: Profile, **link: Any) -> World:
    world = World(profile=profile)
    world.link(world.host("alice"), world.host("bob"), **({"delay": "50ms"} | link))
    return world


def watched(world: World, host: str = "alice") -> list[tuple[float, str, dict[str, Any]]]:
    """Note what a sender knows, whenever something happens to it."""
    seen: list[tuple[float, str, dict[str, Any]]] = []
    world[host].watch_connections(lambda connection, what: seen.append((world.now_s, what, connection.facts())))
    return seen


def data_only(frame: object) -> bool:
    return isinstance(frame, TcpFrame) and len(frame.payload) == MSS


# ── slow start ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("segments", [1, 10, 11, 30, 31, 70, 71, 150, 310, 311, 600])
def test_what_is_sent_doubles_every_round_trip(segments: int) -> None:
    """From ten segments on (RFC 6928), S are sent in ⌈log₂(S / 10 + 1)⌉ rounds: Kurose and Ross, section 3.7.

    The last of an odd number is acknowledged 40 ms late, which is little against a long way.
    """
    world = world_of(LINUX, delay="200ms")
    heard: list[float] = []
    world.links[0].there.watch(lambda _, frame, *__: heard.append(world.now_s) if data_only(frame) else None)
    with world:
        transfer(world, segments * MSS)
    assert len(heard) == segments
    rounds = {round((at_s - heard[0]) / 0.4) for at_s in heard}
    assert rounds == set(range(ceil(log2(segments / 10 + 1))))


def test_every_acknowledgement_opens_the_window_by_a_segment() -> None:
    """However much it is for: RFC 5681 section 3.1, equation 2. What is acknowledged lets as much follow, too."""
    world = world_of(RFC)
    sent: dict[int, int] = {}
    acks: dict[int, int] = {}
    there, back = world.links[0].lines
    there.watch(lambda _, frame, *__: count(sent, world) if data_only(frame) else None)
    back.watch(lambda _, frame, *__: count(acks, world) if getattr(frame, "flags", 0) == ACK else None)
    with world:
        transfer(world, 130 * MSS)
    first = min(sent)
    assert sent[first] == 10
    for place in range(first, max(sent) - 1):
        assert sent[place + 1] == sent[place] + acks[place]
    assert sum(sent.values()) == 130


def count(rounds: dict[int, int], world: World) -> None:
    """Count what is sent now among what is sent in the same round trip, in the middle of which the peer answers."""
    place = int(world.now_s / ROUND_TRIP_S + 0.01)
    rounds[place] = rounds.get(place, 0) + 1


@pytest.mark.parametrize(("mss", "segments"), [(536, 10), (1_095, 10), (1_448, 10), (2_000, 7), (8_948, 2)])
def test_the_first_window_is_of_ten_segments_if_they_are_not_long(mss: int, segments: int) -> None:
    """min(10 MSS, max(2 MSS, 14,600)): RFC 6928 section 2, equation 1."""
    world = World(profile=RFC)
    world.link(world.host("alice", mtu=mss + 52), world.host("bob", mtu=mss + 52), delay="50ms")
    seen = watched(world)
    with world:
        transfer(world, 1)
    facts = next(facts for _, what, facts in seen if facts["state"] == "ESTABLISHED")
    assert facts["mss"] == mss
    assert facts["cwnd"] == min(10 * mss, max(2 * mss, 14_600))
    assert facts["cwnd"] // mss == segments


# ── the receiver's window ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("buffer_bytes", [20_000, 65_535, 200_000])
def test_no_more_than_a_window_is_sent_in_a_round_trip(buffer_bytes: int) -> None:
    """Throughput is W / RTT, whatever the line carries: RFC 7323 section 1.1."""
    world = world_of(replace(LINUX, receive_buffer_bytes=buffer_bytes))
    seen = watched(world)
    with world:
        transfer(world, 40 * buffer_bytes)
    middle = [(at_s, facts["acknowledged"]) for at_s, what, facts in seen if what == "acknowledged" and at_s > 1.5]
    (begin_s, begun), *_, (end_s, ended) = middle[: len(middle) * 3 // 4]
    assert (ended - begun) / (end_s - begin_s) == pytest.approx(
        buffer_bytes // MSS * MSS / ROUND_TRIP_S, rel=0.08
    )  # in whole segments: RFC 9293 section 3.8.6.2.1


# ── additive increase, multiplicative decrease ───────────────────────────────────────────────────────────────────────


def dropping(world: World, number: int) -> None:
    """Lose the segment with this place among those that carry data."""
    world.links[0].there.add(Rule(data_only, drop, first=number, count=1))


def test_after_a_loss_there_is_half_and_then_a_segment_more_in_every_round_trip() -> None:
    """RFC 5681 section 3.1: additive increase, multiplicative decrease."""
    world = world_of(replace(RFC, receive_buffer_bytes=4 << 20, send_buffer_bytes=4 << 20))
    dropping(world, 200)
    seen = watched(world)
    with world:
        transfer(world, 6_000_000)
    begun = next(place for place, (_, what, __) in enumerate(seen) if what == "recovery")
    half = seen[begun][2]["ssthresh"]
    flight = seen[begun][2]["flight"]
    assert half == pytest.approx(flight / 2, abs=2 * MSS)
    ended = next(place for place, (_, what, __) in enumerate(seen) if what == "recovered")
    began_s, cwnd = seen[ended][0], seen[ended][2]["cwnd"]
    assert cwnd == pytest.approx(half, abs=MSS)
    for at_s, what, facts in seen[ended:]:
        if what == "acknowledged" and facts["flight"] > 0.9 * facts["cwnd"]:
            grown = (facts["cwnd"] - cwnd) / MSS
            assert grown == pytest.approx((at_s - began_s) / ROUND_TRIP_S, abs=1.6)
    assert seen[-1][0] - began_s > 10 * ROUND_TRIP_S


@pytest.mark.parametrize("every", [50, 200, 800])
def test_periodic_loss_leaves_what_the_saw_has_under_its_teeth(every: int) -> None:
    """With one of every 1 / p lost: MSS / RTT · √(3 / 2 p). Mathis and others, CCR 27(3), 1997, equation 1.

    By its derivation a tooth is W / 2 round trips wide and has 3 W² / 8 segments under it. The formula leaves out the
    round trip in which the lost one is sent again, in which the window does not grow: a tooth is W / 2 + 1 wide.
    """
    world = world_of(replace(RFC, receive_buffer_bytes=4 << 20, send_buffer_bytes=4 << 20))
    seen = watched(world)
    count = 40
    sent = [0]

    def is_the_one(frame: object) -> bool:
        sent[0] += data_only(frame)
        return data_only(frame) and sent[0] % every == 0

    world.links[0].there.add(Rule(is_the_one, drop))
    with world:
        transfer(world, every * count * MSS)
    points = [(at_s, facts["acknowledged"]) for at_s, what, facts in seen if what == "acknowledged"]
    (begin_s, begun), *_, (end_s, ended) = points[len(points) // 8 : -len(points) // 20]
    expected, window = MSS / ROUND_TRIP_S * sqrt(3 / 2 * every), sqrt(8 / 3 * every)
    assert (ended - begun) / (end_s - begin_s) == pytest.approx(expected * window / (window + 2), rel=0.12)


# ── CUBIC ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lost", [700, 1_500])
def test_cubic_grows_by_the_cube_of_the_time_since_the_loss(lost: int) -> None:
    """W(t) = C (t - K)³ + W_max, with K = ∛(W_max (1 - β) / C): RFC 9438 sections 4.2 and 4.6, in segments."""
    world = world_of(replace(LINUX, receive_buffer_bytes=64 << 20, send_buffer_bytes=64 << 20))
    dropping(world, lost)
    seen = watched(world)

    async def main() -> None:
        world["bob"].spawn(serve())
        sending = world["alice"].spawn(send(world["bob"].address, 1 << 26))
        await asyncio.sleep(16)
        sending.cancel()

    with world:
        world.play(main())
    begun = next(place for place, (_, what, __) in enumerate(seen) if what == "recovery")
    most = next(facts for _, what, facts in reversed(seen[:begun]) if what == "acknowledged")["cwnd"] / MSS
    assert seen[begun][2]["ssthresh"] == pytest.approx(0.7 * seen[begun][2]["flight"], rel=0.02)
    began_s = next(at_s for at_s, what, _ in seen if what == "recovered")
    turn_s = (most * 0.3 / 0.4) ** (1 / 3)
    checked = 0
    for at_s, what, facts in seen:
        passed_s = at_s - began_s
        if what != "acknowledged" or not 0.5 < passed_s < 1.6 * turn_s or facts["flight"] < 0.95 * facts["cwnd"]:
            continue
        checked += 1
        expected = 0.4 * (passed_s - turn_s) ** 3 + most
        assert facts["cwnd"] / MSS == pytest.approx(expected, rel=0.05), passed_s
    assert checked > 1_000


def test_on_a_short_way_cubic_is_no_slower_than_reno() -> None:
    """In the Reno-friendly region the window grows by 3 (1 - β) / (1 + β) = 0.53 segments a round trip: section 4.3."""
    world = World(profile=replace(LINUX, receive_buffer_bytes=4 << 20))
    world.link(world.host("alice"), world.host("bob"), delay="2ms", rate="500Mbit/s", queue_frames=10_000)
    dropping(world, 60)
    seen = watched(world)
    with world:
        transfer(world, 3_000_000)
    ended = next(place for place, (_, what, __) in enumerate(seen) if what == "recovered")
    began_s, cwnd = seen[ended][0], seen[ended][2]["cwnd"]
    prior = seen[ended - 1][2]["cwnd"] / 0.7
    growing = [
        (at_s, facts["cwnd"], facts["srtt_ns"] / 1e9)
        for at_s, what, facts in seen[ended:]
        if what == "acknowledged" and facts["cwnd"] < prior and facts["flight"] > 0.8 * facts["cwnd"]
    ]
    at_s, reached, srtt_s = growing[-1]
    assert (reached - cwnd) / MSS / ((at_s - began_s) / srtt_s) == pytest.approx(0.53, rel=0.25)


# ── sharing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def shares(profile: Profile, delays_ms: list[int], seconds: float) -> list[float]:
    """Return what each of several senders has got of a bottleneck of 4 Mbit/s, in the second half of the time."""
    world = World(seed=3, profile=profile)
    left, bob = world.router("left", "10.0.9.1/24"), world.host("bob", "10.0.9.2/24")
    names = [f"sender{number}" for number in range(len(delays_ms))]
    for number, (name, delay_ms) in enumerate(zip(names, delays_ms, strict=True)):
        left.add_interface(f"10.0.{number}.1/24")
        world.link(world.host(name, f"10.0.{number}.2/24"), left, delay=f"{delay_ms}ms")
    world.link(left, bob, rate="4Mbit/s", delay="5ms", queue_frames=20)
    reached: dict[str, dict[str, int]] = {name: {} for name in names}
    half: list[dict[str, int]] = []
    for name in names:
        world[name].watch_connections(
            lambda connection, _, name=name: reached[name].update(now=connection.facts()["acknowledged"])
        )
    with world:
        compete(world, names, seconds, lambda: half.append({name: reached[name]["now"] for name in names}))
    return [8 * (reached[name]["now"] - half[0][name]) / (seconds / 2) for name in names]


@pytest.mark.parametrize("profile", [LINUX, RFC], ids=lambda one: one.name)
def test_equals_share_a_line_equally(profile: Profile) -> None:
    """By Jain's index, (Σx)² / (n Σx²): 1 for equal shares, 1 / n for one who has all (DEC-TR-301, 1984)."""
    got = shares(profile, [20, 20, 20], 120)
    assert sum(got) > 0.9 * 4e6
    assert sum(got) ** 2 / (len(got) * sum(one**2 for one in got)) > 0.9


def test_who_is_nearer_gets_more() -> None:
    """Reno's shares go by 1 / RTT^α with 1 < α < 2: Lakshman and Madhow, IEEE/ACM Trans. on Networking 5(3), 1997."""
    near, far = shares(RFC, [10, 60], 120)
    # With the queue, 60 ms when full, which both share: 30 and 130 ms without it, at most 90 and 190 with it.
    assert 190 / 90 * 0.8 < near / far < (130 / 30) ** 2
