"""Datagrams through a NAT: RFC 4787."""

from __future__ import annotations

from typing import Any

import pytest

from portside.sim import World
from portside.sim.nat.policy import BEHAVIOURS
from support.homes import GAME, OUTER, WEB, home, play, settle, socket_on


@pytest.mark.parametrize("mapping", BEHAVIOURS)
def test_mappings_depend_on_the_other_end_as_the_nat_is(mapping: Any) -> None:
    """Section 4.1: the same outer port for all others, for all ports of one, or for one port alone."""
    world = home(mapping=mapping)

    async def main() -> list[int]:
        web, game, also_web = [await socket_on(world, *where) for where in (("web", 9), ("game", 9), ("web", 10))]
        ann = await socket_on(world, "ann", 4_000)
        await settle()
        for target in ((WEB, 9), (GAME, 9), (WEB, 10)):
            ann.transport.sendto(b"hello", target)
        await settle()
        return [one.got[0][1][1] for one in (web, game, also_web)]

    to_web, to_game, to_other_port = play(world, main)
    assert to_web == 4_000
    assert (to_game == to_web) == (mapping == "endpoint-independent")
    assert (to_other_port == to_web) == (mapping != "address-and-port-dependent")


@pytest.mark.parametrize("filtering", BEHAVIOURS)
def test_filters_let_in_whom_they_shall(filtering: Any) -> None:
    """Section 5."""
    world = home(filtering=filtering)

    async def main() -> list[bytes]:
        web, also_web, game = [await socket_on(world, *where) for where in (("web", 9), ("web", 10), ("game", 9))]
        ann = await socket_on(world, "ann", 4_000)
        await settle()
        ann.transport.sendto(b"hello", (WEB, 9))
        await settle()
        for name, sender in (("web", web), ("other port", also_web), ("game", game)):
            sender.transport.sendto(name.encode(), (OUTER, 4_000))
        await settle()
        return [data for data, _ in ann.got]

    expected = [b"web"]
    if filtering != "address-and-port-dependent":
        expected.append(b"other port")
    if filtering == "endpoint-independent":
        expected.append(b"game")
    assert play(world, main) == expected


@pytest.mark.parametrize(("refreshed_by", "is_open"), [("inside", True), ("outside", False), ("nobody", False)])
def test_a_mapping_lives_as_long_as_somebody_inside_uses_it(refreshed_by: str, is_open: bool) -> None:
    """REQ-5, REQ-6: outbound packets refresh it, inbound ones do not."""
    world = home(udp_timeout="2min")

    async def main() -> bool:
        web, ann = await socket_on(world, "web", 9), await socket_on(world, "ann", 4_000)
        await settle()
        ann.transport.sendto(b"hello", (WEB, 9))
        await settle(90)
        if refreshed_by == "inside":
            ann.transport.sendto(b"hello", (WEB, 9))
        elif refreshed_by == "outside":
            web.transport.sendto(b"hello", (OUTER, 4_000))
        await settle(60)
        before = len(ann.got)
        web.transport.sendto(b"late", (OUTER, 4_000))
        await settle()
        return len(ann.got) > before

    assert play(world, main) is is_open


@pytest.mark.parametrize("mapping", ["endpoint-independent", "address-and-port-dependent"])
def test_two_behind_nats_meet_by_a_third_if_mappings_are_the_same_for_all(mapping: Any) -> None:
    """UDP hole punching: RFC 5128 section 3.3. With a mapping for each remote port, both guess wrong."""
    world = World(seed=4)
    provider = world.router("provider", "203.0.113.1/24", "203.0.114.1/24", "198.51.100.1/24")
    meeting = world.host("meeting", "198.51.100.2/24")
    world.link(provider, meeting, delay="5ms", ports=("eth2", None))
    for number, name in enumerate(("ann", "bob")):
        inner = world.host(name, "192.168.1.2/24")  # both homes have the same addresses
        box = world.nat(f"box-{name}", inside="192.168.1.1/24", outside=f"203.0.{113 + number}.5/24", mapping=mapping)
        world.link(inner, box, delay="1ms")
        world.link(box, provider, delay="5ms", ports=("eth1", f"eth{number}"))

    async def main() -> list[list[bytes]]:
        place = await socket_on(world, "meeting", 9)
        ann, bob = await socket_on(world, "ann", 4_000), await socket_on(world, "bob", 4_000)
        await settle()
        for one in (ann, bob):
            one.transport.sendto(b"here", ("198.51.100.2", 9))
        await settle()
        (_, ann_at), (_, bob_at) = place.got
        for _ in range(3):
            ann.transport.sendto(b"from ann", bob_at)
            bob.transport.sendto(b"from bob", ann_at)
            await settle()
        return [[data for data, _ in one.got] for one in (ann, bob)]

    to_ann, to_bob = play(world, main)
    if mapping == "endpoint-independent":
        assert b"from bob" in to_ann
        assert b"from ann" in to_bob
    else:
        assert to_ann == to_bob == []


def test_fragments_are_translated_in_any_order() -> None:
    """REQ-14: their ports are in the first one alone."""
    world = home()
    link = next(link for link in world.links if link.name == "ann-at-home")
    link.change(reorder="50%", reorder_delay="3ms")

    async def main() -> list[int]:
        web, ann = await socket_on(world, "web", 9), await socket_on(world, "ann", 4_000)
        await settle()
        for _ in range(5):
            ann.transport.sendto(bytes(5_000), (WEB, 9))
            await settle()
        return [len(data) for data, _ in web.got]

    assert play(world, main) == [5_000] * 5
