"""Worlds: unmodified asyncio programs on hosts, joined by cables, in one virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import subprocess
import sys
import textwrap
import time

import pytest

from portside.sim import HostCrashed, NothingLeft, TimeIsUp, World


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve_echo(port: int = 7) -> None:
    server = await asyncio.start_server(echo, port=port)
    async with server:
        await server.serve_forever()


async def say(host: str, words: bytes, port: int = 7) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(words)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def pair(seed: int = 1, **link: object) -> World:
    world = World(seed)
    world.host("alice")
    world.host("bob")
    world.link(world["alice"], world["bob"], **(link or {"delay": "10ms"}))
    return world


def test_two_hosts_talk_and_time_passes_as_the_cable_says() -> None:
    world = pair(delay="10ms")

    async def main() -> bytes:
        world["bob"].spawn(serve_echo())
        return await world["alice"].spawn(say("bob", b"hello"))

    with world:
        assert world.play(main()) == b"hello"
        # ARP, SYN and SYN-ACK, data and echo with the two FINs: three round trips of 20 ms
        assert 0.06 <= world.now_s < 0.07


def test_a_run_can_be_awaited_where_a_loop_runs_and_leaves_it_as_it_was() -> None:
    world = pair()

    async def main() -> float:
        assert asyncio.get_running_loop() is world.outside.loop
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time()

    async def outside() -> float:
        loop = asyncio.get_running_loop()
        hours = await world.run(main())
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        return hours

    began = time.monotonic()
    with world:
        assert asyncio.run(outside()) == pytest.approx(3_600)
    assert time.monotonic() - began < 60


def test_hosts_have_loops_of_their_own() -> None:
    world = pair()
    found: dict[str, object] = {}

    async def look(name: str) -> None:
        found[name] = asyncio.get_running_loop()
        await asyncio.sleep(0.1)
        assert asyncio.get_running_loop() is found[name]
        assert {task.get_loop() for task in asyncio.all_tasks()} == {found[name]}

    async def main() -> None:
        await asyncio.gather(world["alice"].spawn(look("alice")), world["bob"].spawn(look("bob")))

    with world:
        world.play(main())
    assert len({id(loop) for loop in found.values()}) == 2


def test_what_cannot_go_on_says_who_waits_where() -> None:
    world = pair()

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await world["alice"].spawn(wait_for_ever(), name="patient")

    with world:
        with pytest.raises(NothingLeft) as caught:
            world.play(main())
        said = str(caught.value)
    assert "world: main waits" in said
    assert "alice: patient waits in Event.wait" in said or "in test_what_cannot_go_on" in said


def test_a_run_has_a_limit_in_its_own_time() -> None:
    world = pair()

    async def main() -> None:
        for _ in range(100):
            await asyncio.sleep(1)

    with world, pytest.raises(TimeIsUp, match="within 10 s"):
        world.play(main(), limit="10s")


def test_what_nobody_awaits_ends_the_run_when_it_fails() -> None:
    world = pair()

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("a bug")

    async def main() -> None:
        world["bob"].spawn(fail(), name="failing")
        await asyncio.sleep(10)

    with world, pytest.raises(ValueError, match="a bug") as caught:
        world.play(main())
    assert "'failing' on bob" in caught.value.__notes__[0]


def test_what_is_awaited_raises_where_it_is_awaited() -> None:
    world = pair()

    async def fail() -> None:
        raise ValueError("a bug")

    async def main() -> str:
        try:
            await world["bob"].spawn(fail())
        except ValueError:
            return "caught"
        return "missed"

    with world:
        assert world.play(main()) == "caught"


def test_a_crash_is_felt_by_the_peer_as_silence_and_after_the_restart_as_a_reset() -> None:
    world = pair()
    cleaned: list[str] = []

    async def serve() -> None:
        try:
            await serve_echo()
        finally:
            cleaned.append("bob")

    async def talk() -> str:
        reader, writer = await asyncio.open_connection("bob", 7)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        await asyncio.sleep(2)  # bob crashes, and is there again
        writer.write(b"two")
        try:
            await reader.readexactly(3)
        except (ConnectionResetError, asyncio.IncompleteReadError) as error:
            writer.close()
            return type(error).__name__
        return "nothing happened"

    async def main() -> str:
        running = world["bob"].program(serve)
        world.at("1s", world["bob"].crash)
        world.at("1.5s", world["bob"].restart)
        told = await world["alice"].spawn(talk())
        with pytest.raises(HostCrashed, match="bob crashed"):
            await running
        assert await world["alice"].spawn(say("bob", b"again")) == b"again"
        return told

    with world:
        assert world.play(main()) == "ConnectionResetError"
        assert cleaned == []


def test_a_host_that_is_down_runs_nothing() -> None:
    world = pair()
    world["bob"].crash()
    with world, pytest.raises(HostCrashed, match="bob is down"):
        world["bob"].spawn(serve_echo())


def test_a_partition_is_silence_until_it_is_healed() -> None:
    world = pair()

    async def main() -> float:
        world["bob"].spawn(serve_echo())
        assert await world["alice"].spawn(say("bob", b"before")) == b"before"
        world.partition(world["alice"], world["bob"])
        world.at("5s", world.heal)
        began = asyncio.get_running_loop().time()
        assert await world["alice"].spawn(say("bob", b"after")) == b"after"
        return asyncio.get_running_loop().time() - began

    with world:
        assert 4.5 < world.play(main()) < 20


def test_routes_lay_themselves() -> None:
    world = World(3)
    alice, bob = world.host("alice", "10.0.1.2/24"), world.host("bob", "10.0.3.2/24")
    one = world.router("one", "10.0.1.1/24", "10.0.2.1/24")
    two = world.router("two", "10.0.2.2/24", "10.0.3.1/24")
    world.link(alice, one, delay="1ms")
    world.link(one, two, delay="1ms")
    world.link(two, bob, delay="1ms")

    async def main() -> bytes:
        bob.spawn(serve_echo())
        return await alice.spawn(say("bob", b"far"))

    with world:
        assert world.play(main()) == b"far"


def test_a_lan_is_hosts_on_a_switch() -> None:
    world = World(3)
    hosts = [world.host(f"h{number}") for number in range(5)]
    world.lan("switch", *hosts, delay="100us")

    async def main() -> list[bytes]:
        for host in hosts:
            host.spawn(serve_echo())
        asked = [host.spawn(say(f"h{(number + 1) % 5}", b"hi")) for number, host in enumerate(hosts)]
        return await asyncio.gather(*asked)

    with world:
        assert world.play(main()) == [b"hi"] * 5


def test_ipv6_is_spoken_as_well() -> None:
    world = World(3)
    alice, bob = world.host("alice", "2001:db8::1/64"), world.host("bob", "2001:db8::2/64")
    world.link(alice, bob, delay="1ms")

    async def main() -> bytes:
        bob.spawn(serve_echo())
        return await alice.spawn(say("2001:db8::2", b"six"))

    with world:
        assert world.play(main()) == b"six"


SCRIPT = """
import asyncio
import contextlib
from portside.sim import World
from portside.sim.journal import Journal

async def echo(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()

async def serve():
    async with await asyncio.start_server(echo, port=7) as server:
        await server.serve_forever()

async def say():
    reader, writer = await asyncio.open_connection("bob", 7)
    writer.write(bytes(100_000))
    writer.write_eof()
    assert len(await reader.read()) == 100_000
    writer.close()

world = World(11)
world.link(world.host("alice"), world.host("bob"), rate="10Mbit/s", delay="5ms", jitter="1ms", loss="3%")
journal = Journal(world)

async def main():
    world["bob"].spawn(serve())
    await asyncio.gather(*(world["alice"].spawn(say()) for _ in range(3)))

with world:
    world.play(main())
    print(world.digest(), len(journal.lines), hash(tuple(journal.lines)) and "", world.now_ns)
    print("\\n".join(journal.lines[-50:]))
"""


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1", "random")
    }
    assert len(told) == 1
    assert next(iter(told)).count("\n") > 50


def test_a_world_that_is_closed_lets_its_programs_clean_up_and_a_crash_does_not() -> None:
    ended: list[str] = []

    async def serve(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            ended.append(name)

    with World() as world:
        alice, bob = world.host("alice"), world.host("bob")
        alice.spawn(serve("alice"))
        bob.spawn(serve("bob"))

        async def main() -> None:
            await asyncio.sleep(1)
            bob.crash()

        world.play(main())
    assert ended == ["alice"]


def test_an_end_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The streams of asyncio 3.11 complain of a handler that is cancelled."""
    with pair() as world:

        async def main() -> None:
            world["bob"].spawn(serve_echo())
            world["alice"].spawn(hold())
            await asyncio.sleep(1)

        async def hold() -> None:
            _, writer = await asyncio.open_connection("bob", 7)
            try:
                await asyncio.Event().wait()
            finally:
                writer.close()

        world.play(main())
    assert caplog.text == ""


def test_a_program_that_will_not_end_is_left_after_a_minute() -> None:
    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(20)

    with World() as world:
        world.host("alice").spawn(stubborn())
        world.play(asyncio.sleep(1))
    assert 20 < world.now_s <= 61


def test_a_host_that_is_not_there_behind_a_router_is_unreachable() -> None:
    """The router hears nothing from it, and says so of the packet that it holds: RFC 1812 section 5.2.7.1."""
    with World() as world:
        alice = world.host("alice", "10.0.0.2/24")
        router = world.router("router", "10.0.0.1/24", "10.0.1.1/24")
        for other in (alice, world.host("bob", "10.0.1.2/24")):
            world.link(other, router, delay="1ms")

        async def visit() -> None:
            with pytest.raises(OSError, match="Connect call failed") as caught:
                await asyncio.open_connection("10.0.1.99", 7)
            assert caught.value.errno == errno.EHOSTUNREACH

        async def main() -> None:
            await alice.spawn(visit())

        world.play(main())
