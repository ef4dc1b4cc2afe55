"""How long packets take: serialisation, propagation, store and forward, fragments. Exact to the nanosecond.

The laws are those of every textbook: a link of rate R and length d carries L bits in L / R + d, and a router sends on
what it has wholly heard (Kurose and Ross, "Computer Networking", section 1.4; Bertsekas and Gallager, section 1.3).
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from math import ceil

import pytest

from portside.sim import World
from portside.sim.frame import OpaqueFrame

HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP
SECOND = 1_000_000_000


def chain(rates: list[int], delays_ms: list[int], mtu: int = 1_500) -> World:
    """Return alice, routers, and bob, one link after the other; addresses are resolved, nothing is on its way."""
    world = World()
    count = len(rates)
    alice, bob = world.host("alice", "10.0.0.2/24", mtu=mtu), world.host("bob", f"10.0.{count - 1}.9/24", mtu=mtu)
    routers = [world.router(f"r{n}", f"10.0.{n}.3/24", f"10.0.{n + 1}.1/24", mtu=mtu) for n in range(count - 1)]
    for (one, other), rate, delay_ms in zip(pairwise([alice, *routers, bob]), rates, delays_ms, strict=True):
        world.link(one, other, rate=rate, delay=f"{delay_ms}ms")
    return world


def arrivals(world: World, sizes: list[int]) -> list[int]:
    """Send datagrams of so many bytes of data at once, and return when each came, in nanoseconds after that."""

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: object) -> None:
            heard.append((len(data), world.now_ns))

    heard: list[tuple[int, int]] = []

    async def listen() -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(Listener, local_addr=(world["bob"].address, 9))

    async def send() -> int:
        remote = (world["bob"].address, 9)
        sender, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=remote
        )
        sender.sendto(bytes(max(sizes)))  # finds all neighbours, and how much the way carries
        await asyncio.sleep(60)
        heard.clear()
        began_ns = world.now_ns
        for size in sizes:
            sender.sendto(bytes(size))
        await asyncio.sleep(600)
        return began_ns

    async def main() -> int:
        world["bob"].spawn(listen())
        return await world["alice"].spawn(send())

    with world:
        began_ns = world.play(main())
    assert [size for size, _ in heard] == sizes
    return [time_ns - began_ns for _, time_ns in heard]


def on_wire_ns(data: int, rate: int) -> int:
    return ceil((HEADERS + data) * 8 * SECOND / rate)


@pytest.mark.parametrize(
    ("rates", "delays_ms"),
    [([1_000_000], [0]), ([64_000, 10_000_000, 2_000_000], [5, 1, 250]), ([10_000_000] * 6, [3] * 6)],
)
@pytest.mark.parametrize("size", [0, 1, 1_000, 1_472])
def test_a_packet_is_sent_anew_on_every_link(rates: list[int], delays_ms: list[int], size: int) -> None:
    """The sum over all links of L / R + d."""
    expected = sum(
        on_wire_ns(size, rate) + delay * SECOND // 1_000 for rate, delay in zip(rates, delays_ms, strict=True)
    )
    assert arrivals(chain(rates, delays_ms), [size]) == [expected]


@pytest.mark.parametrize("links", [1, 2, 5])
@pytest.mark.parametrize("count", [2, 20])
def test_packets_in_a_row_are_on_all_links_at_once(links: int, count: int) -> None:
    """The k-th of equal packets on n equal links comes after (n + k - 1) times its own, and n times the delay."""
    slot_ns, delay_ms = on_wire_ns(958, 8_000_000), 2  # a millisecond
    times = arrivals(chain([8_000_000] * links, [delay_ms] * links), [958] * count)
    first_ns = links * (slot_ns + delay_ms * SECOND // 1_000)
    assert times == [first_ns + place * slot_ns for place in range(count)]


def test_the_slowest_link_sets_the_distance_between_packets() -> None:
    times = arrivals(chain([10_000_000, 1_000_000, 5_000_000], [1, 1, 1]), [1_000] * 10)
    assert {later - earlier for earlier, later in pairwise(times)} == {on_wire_ns(1_000, 1_000_000)}


def test_a_message_in_many_packets_is_there_before_one_in_a_single_packet() -> None:
    """On n links a message costs n times its length, cut into packets once, and n - 1 packets more."""
    links, parts, rate = 4, 20, 1_000_000
    whole = arrivals(chain([rate] * links, [0] * links, mtu=30_000), [20_000])[-1]
    cut = arrivals(chain([rate] * links, [0] * links), [20_000 // parts] * parts)[-1]
    assert whole == links * on_wire_ns(20_000, rate)
    assert cut == (parts + links - 1) * on_wire_ns(20_000 // parts, rate)
    assert cut < whole / 3


@pytest.mark.parametrize("mtu", [68, 576, 1_006])
@pytest.mark.parametrize("size", [1_000, 1_452])
def test_a_packet_that_is_too_long_becomes_as_many_as_it_takes(mtu: int, size: int) -> None:
    """Each but the last carries the most multiples of eight bytes that fit: RFC 791 section 3.2.

    The sender cuts: as Linux does, it has asked not to be cut up on the way, and was told how much the way carries.
    """
    world = World()
    alice, bob = world.host("alice", "10.0.0.2/24"), world.host("bob", "10.0.1.2/24", mtu=mtu)
    router = world.router("router", "10.0.0.1/24")
    router.add_interface("10.0.1.1/24", mtu=mtu)
    first = world.link(alice, router)
    world.link(router, bob)
    pieces: list[int] = []

    def note(_: object, frame: object, *__: object) -> None:
        if isinstance(frame, OpaqueFrame):  # what is cut; the first datagram was too long, and is not
            pieces.append(len(frame.payload))

    first.there.watch(note)
    arrivals(world, [size])
    most = (mtu - 20) // 8 * 8
    assert len(pieces) == ceil((8 + size) / most)
    assert sum(pieces) == 8 + size
    assert set(pieces[:-1]) == {most}
