"""Transfers that are over before anybody could say a word to them, and those that only look like it."""

from __future__ import annotations

import pytest

from portside import events
from portside.accounts.account import Account
from portside.errors import ConnectionLost
from portside.net.work import TaskWork
from portside.protocols.ftp.transfers import SHORT_BYTES
from portside.storage.contract import StorageFailed
from portside.storage.memory_tree import MemoryStored
from portside.testing.memory import MemoryNetwork
from support.ftp_visits import STRANGER, World


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was begun beside conversations."""
    begun: list[object] = []
    start = MemoryNetwork.start

    def note(network: MemoryNetwork, work: object) -> TaskWork:
        begun.append(work)
        return start(network, work)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(MemoryNetwork, "start", note)
    return begun


@pytest.mark.parametrize("line", ["RETR f", "NLST", "LIST", "MLSD", "RETR empty", "LIST nothing"])
def test_a_short_one_takes_its_turn_and_says_both_replies_in_one_breath(
    world: World, works: list[object], line: str
) -> None:
    async def story(world: World) -> None:
        world.put("/f", bytes(SHORT_BYTES))
        world.put("/empty", b"")
        world.storage.make_directory("/nothing")
        client = await world.logged_in()
        assert await client.asks("TYPE I") == [200]
        data = await client.passive()
        await client.send(line)
        said = (await client.control.read()).split(b"\r\n")
        assert [reply[:4] for reply in said] == [b"150 ", b"226 ", b""]
        came = b"".join([piece async for piece in data])
        assert (came == b"") == line.endswith(("empty", "nothing"))
        assert line != "RETR f" or len(came) == SHORT_BYTES
        assert works == []

    world.run(story)


@pytest.mark.parametrize("case", ["long", "text", "deflated", "paced", "to come"])
def test_others_go_on_beside_the_conversation(works: list[object], case: str) -> None:
    world = World(Account("anna", bytes_out_per_s=1e6)) if case == "paced" else World()

    async def story(world: World) -> None:
        world.put("/f", bytes(SHORT_BYTES + (case == "long")))
        client = await world.logged_in()
        await client.asks("TYPE A" if case == "text" else "TYPE I", f"MODE {'Z' if case == 'deflated' else 'S'}")
        if case == "to come":
            reply = await client.say("EPSV", 229)
            await client.send("RETR f")
            assert (await client.reply()).code == 150
            data = await client.connect_to(reply)
        else:
            data = await client.passive()
            await client.send("RETR f")
            assert (await client.reply()).code == 150
        assert b"".join([piece async for piece in data]) != b""
        assert (await client.reply()).code == 226
        assert len(works) == 1

    world.run(story)


def test_the_rest_of_a_long_file_is_short(world: World, works: list[object]) -> None:
    async def story(world: World) -> None:
        world.put("/f", bytes(SHORT_BYTES) + b"the end")
        client = await world.logged_in()
        assert await client.asks("TYPE I", f"REST {SHORT_BYTES}") == [200, 350]
        assert await client.take("RETR f") == b"the end"
        assert works == []

    world.run(story)


def test_a_stranger_who_came_first_gets_nothing(world: World, works: list[object]) -> None:
    async def story(world: World) -> None:
        world.put("/f", b"content")
        client = await world.logged_in()
        await client.asks("TYPE I")
        reply = await client.say("EPSV", 229)
        stranger = await client.connect_to(reply, STRANGER)
        data = await client.connect_to(reply)
        await client.send("RETR f")
        assert (await client.reply()).code == 150
        assert await data.read() == b"content"
        assert (await client.reply()).code == 226
        with pytest.raises(ConnectionLost):
            await stranger.read()
        assert len(works) == 1  # the client is found while others may speak

    world.run(story)


def test_commands_behind_it_are_answered_in_their_order(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/f", b"content")
        client = await world.logged_in()
        await client.asks("TYPE I")
        data = await client.passive()
        await client.send("RETR f\nABOR\nNOOP\nRETR f")
        heard = [(await client.reply()).code for _ in range(5)]
        assert heard == [150, 226, 226, 200, 425]
        assert await data.read() == b"content"

    world.run(story)


def test_what_fails_is_said_behind_its_opening(
    world: World, told: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(stored: MemoryStored, count: int) -> bytes:
        raise StorageFailed("/f")

    monkeypatch.setattr(MemoryStored, "read_nowait", fails)

    async def story(world: World) -> None:
        world.put("/f", b"content")
        client = await world.logged_in()
        await client.asks("TYPE I")
        await client.passive()
        await client.send("RETR f")
        assert [(await client.reply()).code for _ in range(2)] == [150, 451]
        assert await client.asks("NOOP") == [200]

    world.run(story)
    failed = [event.failed for event in told if isinstance(event, events.FileActed)]
    assert failed == ["the storage failed"]


def test_a_client_that_has_left_the_data_connection_hears_of_it(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/f", b"content")
        client = await world.logged_in()
        await client.asks("TYPE I")
        data = await client.passive()
        data.abort()
        await client.send("RETR f")
        assert [(await client.reply()).code for _ in range(2)] == [150, 426]
        assert await client.asks("NOOP") == [200]

    world.run(story)
