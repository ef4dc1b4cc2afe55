"""Connections through a NAT: RFC 5382."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from portside.errors import UsageError
from portside.sim import World
from portside.sim.addresses import to_text
from portside.sim.frame import TcpFrame
from support.homes import GAME, OUTER, WEB, ask, home, play, seen_by, serve, settle


def ann_asks(world: World) -> str:
    """Return what a server outside says to who is inside."""

    async def main() -> str:
        world["web"].spawn(serve())
        await settle()
        answer: str = await world["ann"].spawn(ask(WEB))
        return answer

    return str(play(world, main))


def test_who_is_inside_speaks_by_the_outer_address() -> None:
    world = home()
    seen = seen_by(world, "web")

    assert ann_asks(world) == f"you are {OUTER}"
    assert {to_text(frame.source) for frame in seen if isinstance(frame, TcpFrame)} == {OUTER}


def test_two_from_the_same_port_are_kept_apart() -> None:
    """One keeps its port, the other is given one of the same parity: RFC 4787 REQ-3, REQ-4."""
    world = home()

    async def main() -> tuple[list[str], list[Any]]:
        world["web"].spawn(serve())
        await settle()
        visits = [
            world[name].spawn(ask(WEB, local=(f"192.168.1.{number}", 5_001)))
            for name, number in (("ann", 2), ("ben", 3))
        ]
        answers = [await visit for visit in visits]
        return answers, list(world["box"].stack.table.entries())  # type: ignore[attr-defined]

    answers, entries = play(world, main)
    assert answers == [f"you are {OUTER}"] * 2
    ports = [entry.outer_port for entry in entries]
    assert ports[0] == 5_001 != ports[1]
    assert ports[1] % 2 == 1
    assert ports[1] >= 1_024


def test_nobody_outside_gets_in_unasked_and_is_told_after_six_seconds() -> None:
    """RFC 5382 REQ-4."""
    world = home()

    async def main() -> float:
        world["ann"].spawn(serve())
        await settle()
        began_s = world.now_s
        with pytest.raises(OSError, match="Connect call failed") as caught:
            await world["web"].spawn(ask(OUTER))
        assert caught.value.errno == errno.ECONNREFUSED
        return world.now_s - began_s

    assert 6 < play(world, main) < 6.2


def test_inner_addresses_lead_nowhere_from_outside() -> None:
    world = home()

    async def main() -> None:
        world["ann"].spawn(serve())
        await settle()
        with pytest.raises(OSError, match=r"Connect call failed"):
            await world["web"].spawn(ask("192.168.1.2"))

    play(world, main)


def test_a_port_that_is_forwarded_leads_inside() -> None:
    world = home(forward={"tcp/8080": "192.168.1.2:80"})

    async def main() -> tuple[str, str]:
        world["ann"].spawn(serve())
        await settle()
        from_outside = await world["web"].spawn(ask(OUTER, 8_080))
        from_inside = await world["ben"].spawn(ask(OUTER, 8_080))
        return from_outside, from_inside

    # Ben too is seen as the outer address: hairpinning with an external source, RFC 4787 REQ-9.
    assert play(world, main) == (f"you are {WEB}", f"you are {OUTER}")


def test_an_idle_connection_is_remembered_for_two_hours_and_more() -> None:
    """RFC 5382 REQ-5: 2 h 4 min for one that is established, 4 min for one that is closing."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(b"yes\n")
        writer.close()

    world = home()

    async def main() -> tuple[bytes, list[float], list[Any]]:
        world["web"].spawn(serve(handler=slow))
        await settle()

        async def visit() -> tuple[bytes, list[float]]:
            reader, writer = await asyncio.open_connection(WEB, 80)
            writer.write(b"there?\n")
            await reader.readline()
            await asyncio.sleep(7_400)
            writer.write(b"still there?\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(1)
            return answer, [entry.left_s for entry in world["box"].stack.table.entries()]  # type: ignore[attr-defined]

        answer, left_s = await world["ann"].spawn(visit())
        await settle(300)
        return answer, left_s, list(world["box"].stack.table.entries())  # type: ignore[attr-defined]

    answer, left_s, later = play(world, main)
    assert answer == b"yes\n"
    assert len(left_s) == 1
    assert 238 < left_s[0] <= 240
    assert later == []


def test_programs_on_the_box_itself_speak_and_are_spoken_to() -> None:
    """Even from a port that stands for somebody inside, and where the filter would let everybody in to that one."""
    world = home(filtering="endpoint-independent")

    async def main() -> list[str]:
        for name in ("web", "game", "box"):
            world[name].spawn(serve())
        await settle()
        return [
            await world["ann"].spawn(ask(WEB, local=("192.168.1.2", 5_001))),
            await world["box"].spawn(ask(GAME, local=(OUTER, 5_001))),
            await world["web"].spawn(ask(OUTER)),
            await world["ann"].spawn(ask("192.168.1.1")),
        ]

    assert play(world, main) == [f"you are {OUTER}", f"you are {OUTER}", f"you are {WEB}", "you are 192.168.1.2"]


def test_an_interface_that_is_added_does_not_become_the_outside() -> None:
    world = home()
    world["box"].add_interface("192.168.9.1/24")

    assert ann_asks(world) == f"you are {OUTER}"


def test_the_same_seed_gives_the_same_run_and_a_restart_forgets() -> None:
    def run() -> tuple[str, int]:
        world = home(seed=9)

        async def main() -> int:
            world["web"].spawn(serve())
            await settle()
            await world["ann"].spawn(ask(WEB))
            assert list(world["box"].stack.table.entries())  # type: ignore[attr-defined]
            world["box"].crash()
            world["box"].restart()
            return len(list(world["box"].stack.table.entries()))  # type: ignore[attr-defined]

        left = play(world, main)
        return world.digest(), left

    assert run() == run()
    assert run()[1] == 0


def test_what_is_no_nat_is_refused() -> None:
    world = World(seed=1)
    with pytest.raises(UsageError, match="a NAT is endpoint-independent"):
        world.nat("other", inside="192.168.2.1/24", outside="203.0.113.6/24", mapping="symmetric")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tcp/80 or udp/53"):
        world.nat("third", inside="192.168.2.1/24", outside="203.0.113.6/24", forward={"80": "192.168.2.2:80"})
    with pytest.raises(UsageError, match=r"192\.168\.0\.2:8080"):
        world.nat("fourth", inside="192.168.2.1/24", outside="203.0.113.6/24", forward={"tcp/80": "192.168.2.2"})
