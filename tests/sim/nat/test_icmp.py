"""Pings and errors through a NAT: RFC 5508."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portside.sim import World
from portside.sim.addresses import ANY_V4, parse_network, to_int, to_text
from portside.sim.clock import Scheduler
from portside.sim.encoding import encode, encode_packet
from portside.sim.frame import IcmpFrame, TcpFrame, UdpFrame
from portside.sim.host import Host
from portside.sim.link import Line
from portside.sim.nat import Policy, Translator
from portside.sim.profile import LINUX
from portside.sim.scenario.traffic import ping
from portside.sim.tcp import Tcp
from portside.wire.icmp import OtherIcmp, ParameterProblem, Redirect, TimeExceeded, Unreachable
from support.homes import OUTER, WEB, home, play, seen_by, serve, settle


async def pings(host: Host, target: str) -> str:
    return await ping(host, target, count=3, interval_s=1, size=56, patience_s=5)


def test_pings_go_out_and_their_answers_come_back() -> None:
    world = home()
    seen = seen_by(world, "web")

    async def main() -> Any:
        ann, ben = (world[name].spawn(pings(world[name], WEB)) for name in ("ann", "ben"))
        return [await ann, await ben]

    for told in play(world, main):
        assert "3 sent, 3 answered" in str(told)
    assert {to_text(frame.source) for frame in seen if isinstance(frame, IcmpFrame)} == {OUTER}


def test_the_box_itself_answers_pings_from_both_sides() -> None:
    world = home()

    async def main() -> list[str]:
        return [str(await world[name].spawn(pings(world[name], OUTER))) for name in ("ann", "web")]

    for told in play(world, main):
        assert "3 sent, 3 answered" in told


def test_an_error_finds_its_way_to_who_has_sent() -> None:
    """REQ-4: port unreachable, with the packet quoted as it was sent."""
    world = home()
    seen = seen_by(world, "ann")

    async def main() -> None:
        async def visit() -> None:
            loop = asyncio.get_running_loop()
            sender, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("192.168.1.2", 4_000), remote_addr=(WEB, 999)
            )
            sender.sendto(b"anybody?")
            await asyncio.sleep(1)

        await world["ann"].spawn(visit())

    play(world, main)
    (told,) = [frame.message for frame in seen if isinstance(frame, IcmpFrame)]
    assert told.code == 3
    assert told.original[12:16] == bytes([192, 168, 1, 2])
    assert int.from_bytes(told.original[20:22]) == 4_000


def test_the_way_can_be_traced_through_it() -> None:
    """Each hop says that the time is up: the NAT by its inner address, those behind it about the inner packet."""
    world = home()
    said: list[str] = []

    def note(way: str, frame: Any) -> None:
        if way == "in" and isinstance(frame, IcmpFrame) and isinstance(frame.message, TimeExceeded):
            said.append(to_text(frame.source))
            assert frame.message.original[12:16] == bytes([192, 168, 1, 2])

    next(iter(world["ann"].ports.values())).tap(note)

    async def main() -> None:
        async def trace() -> None:
            for hops in (1, 2):
                frame = UdpFrame(to_int("192.168.1.2"), 4_000, to_int(WEB), 33_434 + hops, b"", ttl=hops)
                world["ann"].stack.send(frame)
                await asyncio.sleep(1)

        await world["ann"].spawn(trace())

    play(world, main)
    assert said == ["192.168.1.1", "203.0.113.1"]


def test_the_mtu_of_the_way_is_found_through_it() -> None:
    """RFC 1191 works only if the NAT passes the news on, with the packet quoted as its sender knows it."""
    world = World(seed=1)
    ann, box = world.host("ann", "192.168.1.2/24"), world.nat("box", inside="192.168.1.1/24", outside=f"{OUTER}/24")
    provider = world.router("provider", "203.0.113.1/24")
    provider.add_interface("198.51.100.1/24", mtu=1_000)
    web = world.host("web", f"{WEB}/24", mtu=1_500)
    for one, other in ((ann, box), (box, provider), (provider, web)):
        world.link(one, other, delay="5ms")
    sizes: list[int] = []

    def note(line: Line, frame: Any, *_: Any) -> None:
        if isinstance(frame, TcpFrame):
            sizes.append(frame.size - 14)

    world.links[0].there.watch(note)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async def main() -> None:
        world["web"].spawn(serve(handler=take))
        await settle()

        async def upload() -> None:
            reader, writer = await asyncio.open_connection(WEB, 80)
            writer.write(bytes(100_000))
            writer.write_eof()
            await reader.read()
            writer.close()

        await world["ann"].spawn(upload())

    play(world, main)
    assert max(sizes[:20]) == 1_500
    assert max(sizes[-60:]) <= 1_000


@given(st.sampled_from(["inside", "outside"]), st.integers(0, 4), st.binary(max_size=80), st.booleans(), st.data())
def test_nothing_that_an_error_quotes_is_too_much(
    side: str, kind: int, noise: bytes, is_true: bool, data: st.DataObject
) -> None:
    """What is quoted may be cut off, spoiled or made up: it is passed on, or counted, and harms nobody."""
    box, heard = standing()
    inner, remote = (to_int("192.168.1.2"), 4_000), (to_int(WEB), 9)
    box.interfaces[0].receive(addressed(UdpFrame(*inner, *remote, b"hello"), box.interfaces[0].mac))
    assert [type(passed) for passed in heard] == [UdpFrame]
    heard.clear()
    original = noise
    if is_true:
        about = (
            UdpFrame(box.address, 4_000, *remote, b"hello")
            if side == "outside"
            else UdpFrame(*remote, *inner, b"hello")
        )
        original = bytearray(encode_packet(about))
        for at in data.draw(st.lists(st.integers(0, len(original) - 1), max_size=3)):
            original[at] ^= 1 << at % 8
        original = bytes(original[: data.draw(st.integers(0, len(original)))])
    message: Any = (
        Unreachable(3, original),
        TimeExceeded(0, original),
        ParameterProblem(0, 1, original),
        Redirect(1, IPv4Address("10.0.0.1"), original),
        OtherIcmp(40, 0, bytes(4), original),
    )[kind]
    source, target, at = (inner[0], remote[0], 0) if side == "inside" else (remote[0], box.address, 1)
    frame = addressed(IcmpFrame(source, target, message, 8 + len(original)), box.interfaces[at].mac)
    box.interfaces[at].receive(frame)
    box.scheduler.run(box.scheduler.now + 10**9)
    for passed in heard:
        encode(passed)
    errors = [passed for passed in heard if isinstance(passed, IcmpFrame)]
    if is_true and kind < 3 and original == bytes(encode_packet(about)):
        assert len(errors) == 1


def standing() -> tuple[Translator, list[Any]]:
    """Return a NAT by itself, whose neighbours are known, and what it sends."""
    box = Translator("box", Scheduler(), Random(1), LINUX, Policy())
    box.attach_tcp(Tcp(box))  # type: ignore[arg-type]
    heard: list[Any] = []
    for name, mac, network in (("eth0", 1, "192.168.1.1/24"), ("eth1", 2, f"{OUTER}/24")):
        interface = box.add_interface(name, mac, [parse_network(network)])
        interface.port.plug(heard.append)
    box.routes.add(ANY_V4, 96, box.interfaces[1], gateway=to_int("203.0.113.1"))
    box.interfaces[0].neighbors.confirm(to_int("192.168.1.2"), 3)
    box.interfaces[1].neighbors.confirm(to_int("203.0.113.1"), 4)
    return box, heard


def addressed(frame: Any, mac: int) -> Any:
    frame.source_mac, frame.target_mac = 9, mac
    return frame


def test_an_error_dies_at_its_last_hop_and_a_redirect_is_for_the_box() -> None:
    box, heard = standing()
    box.interfaces[0].receive(
        addressed(UdpFrame(to_int("192.168.1.2"), 4_000, to_int(WEB), 9, b"hello"), box.interfaces[0].mac)
    )
    heard.clear()
    original = encode_packet(UdpFrame(box.address, 4_000, to_int(WEB), 9, b"hello"))
    for message, ttl in ((Unreachable(3, original), 1), (Redirect(1, IPv4Address("203.0.113.9"), original), 64)):
        frame = IcmpFrame(to_int(WEB), box.address, message, 8 + len(original), ttl)
        box.interfaces[1].receive(addressed(frame, box.interfaces[1].mac))
    assert heard == []
    frame = IcmpFrame(to_int(WEB), box.address, Unreachable(3, original), 8 + len(original), 2)
    box.interfaces[1].receive(addressed(frame, box.interfaces[1].mac))
    assert [(passed.ttl, to_text(passed.target)) for passed in heard] == [(1, "192.168.1.2")]


def test_ipv6_is_routed_as_it_is() -> None:
    box, heard = standing()
    for interface, network in zip(box.interfaces, ("2001:db8:1::/64", "2001:db8:2::/64"), strict=True):
        box.routes.add(*parse_network(network), interface)
    source, target = to_int("2001:db8:1::2"), to_int("2001:db8:2::2")
    box.interfaces[1].neighbors.confirm(target, 5)
    box.interfaces[0].receive(addressed(UdpFrame(source, 4_000, target, 9, b"hello"), box.interfaces[0].mac))
    assert [(one.source, one.source_port, one.target, one.ttl) for one in heard] == [(source, 4_000, target, 63)]
    assert list(box.table.entries()) == []
