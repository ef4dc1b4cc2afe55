"""Quotas: what an account may still store, whoever else of it stores at the same time."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from portside.accounts.account import Account
from portside.accounts.quota import BELIEVED_S
from portside.storage.memory import MemoryStorage
from portside.testing.memory import MemoryConnection
from support.ftp_visits import Client, World


def world_of(quota_bytes: int | None, root: str = "/users/anna") -> World:
    world = World(Account("anna", root=root, quota_bytes=quota_bytes))
    world.put("/users/anna/old", b"0123456789")
    world.put("/users/bob/old", bytes(1_000))
    return world


def used_bytes(world: World) -> int:
    return world.storage.under("/users/anna").usage_bytes()


async def begun(client: Client, line: str, content: bytes) -> MemoryConnection:
    """Return the data connection of an upload that has sent the content and not ended."""
    data = await client.passive()
    await client.send(line)
    assert (await client.reply(line)).code == 150
    await data.write(content)
    await client.until_served(len(content))
    return data


def test_an_upload_may_fill_the_room_to_the_last_byte() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.give("STOR a", bytes(90))
        await client.give("STOR b", b"x", 552)
        await client.give("STOR b", b"")
        assert used_bytes(world) == 100

    world_of(100).run(story)


@pytest.mark.parametrize("line", ["STOR a", "APPE a", "STOU", "STOR old", "APPE old"])
@pytest.mark.parametrize("is_text", [False, True])
@pytest.mark.parametrize("is_deflated", [False, True])
def test_more_than_there_is_room_for_is_552_and_leaves_nothing(line: str, is_text: bool, is_deflated: bool) -> None:
    content = bytes(1_000_000)

    async def story(world: World) -> None:
        client = await world.logged_in()
        if is_text:
            await client.say("TYPE A", 200)
        if is_deflated:
            await client.say("MODE Z", 200)
        await client.give(line, zlib.compress(content) if is_deflated else content, 552)
        assert world.names("/users/anna") == {"old"}
        assert world.content("/users/anna/old") == b"0123456789"
        assert used_bytes(world) == 10
        assert (await client.say("SIZE old")).text == "10"
        await client.asks("TYPE I", "MODE S")
        await client.give("STOR fits", bytes(90))

    world_of(100).run(story)


def test_what_is_replaced_makes_room_for_what_replaces_it() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        for size in (100, 5, 100):
            await client.give("STOR old", bytes(size))
        await client.give("STOR old", bytes(101), 552)
        assert world.storage.stat("/users/anna/old").size_bytes == 100
        await client.give("STOR new", b"x", 552)

    world_of(100).run(story)


@pytest.mark.parametrize(
    "lines", [("DELE old",), ("RNFR /d/moved", "RNTO old")], ids=["deleted", "replaced by a rename"]
)
def test_what_is_taken_away_makes_room_at_once(lines: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        world.put("/users/anna/d/moved", b"")
        client = await world.logged_in()
        await client.give("STOR a", bytes(91), 552)
        await client.asks(*lines)
        await client.give("STOR a", bytes(100))

    world_of(100).run(story)


def test_an_upload_that_is_gone_on_with_is_counted_once() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        data = await begun(client, "STOR a", bytes(60))
        data.abort()
        assert (await client.reply("STOR")).code == 426
        await client.say("REST 60", 350)
        await client.give("STOR a", bytes(31), 552)
        data = await begun(client, "STOR a", bytes(60))
        data.abort()
        assert (await client.reply("STOR")).code == 426
        await client.say("REST 60", 350)
        await client.give("STOR a", bytes(30))
        assert used_bytes(world) == 100

    world_of(100).run(story)


def test_what_interrupted_uploads_have_left_takes_room_as_well() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        for name in ("a", "b", "c"):
            data = await begun(client, f"STOR {name}", bytes(30))
            data.abort()
            assert (await client.reply("STOR")).code == 426
        await client.give("STOR d", b"x", 552)
        assert used_bytes(world) == 100

    world_of(100).run(story)


@pytest.mark.parametrize("in_turn", [True, False])
def test_of_uploads_at_once_only_as_many_come_about_as_there_is_room_for(in_turn: bool) -> None:
    async def story(world: World) -> None:
        clients = [await world.logged_in(control_port=50_000 + number) for number in range(5)]
        data = [await begun(client, f"STOR {number}", bytes(40)) for number, client in enumerate(clients)]
        if in_turn:
            codes = []
            for client, connection in zip(clients, data, strict=True):
                await connection.close()
                codes.append((await client.reply("STOR")).code)
        else:
            await asyncio.gather(*(connection.close() for connection in data))
            codes = [(await client.reply("STOR")).code for client in clients]
        assert codes.count(226) <= 2
        assert set(codes) == {226, 552}
        assert used_bytes(world) <= 100

    world_of(100).run(story)


def test_uploads_at_once_that_all_fit_all_come_about() -> None:
    async def story(world: World) -> None:
        clients = [await world.logged_in(control_port=50_000 + number) for number in range(3)]
        data = [await begun(client, f"STOR {number}", bytes(30)) for number, client in enumerate(clients)]
        for client, connection in zip(clients, data, strict=True):
            await connection.close()
            assert (await client.reply("STOR")).code == 226
        assert used_bytes(world) == 100

    world_of(100).run(story)


def test_a_tree_is_measured_now_and_then_and_not_for_each_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    walks = []
    usage_bytes = MemoryStorage.usage_bytes

    def walk(storage: MemoryStorage) -> int:
        walks.append(storage)
        return usage_bytes(storage)

    async def story(world: World) -> None:
        monkeypatch.setattr(MemoryStorage, "usage_bytes", walk)
        client = await world.logged_in()
        for number in range(10):
            await client.give(f"STOR {number}", b"x")
        assert len(walks) == 1
        world.storage.delete("/users/anna/old")  # not through the server: it does not know before it looks again
        await client.give("STOR a", bytes(90), 552)
        await world.network.sleep(BELIEVED_S + 1.0)
        await client.give("STOR a", bytes(90))

    world_of(100).run(story)


def test_allo_tells_whether_there_is_room() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await client.asks("ALLO 90", "ALLO 91", "ALLO 90 R 10") == [200, 552, 200]

    world_of(100).run(story)


def test_without_a_quota_nobody_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStorage, "usage_bytes", None)

    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await client.asks("ALLO 999999999999999999") == [200]
        await client.give("STOR a", bytes(100_000))

    world_of(None).run(story)


def test_a_quota_of_nothing_lets_read_and_not_write() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await client.take("RETR old") == b"0123456789"
        await client.give("STOR a", b"x", 552)
        await client.give("STOR old", b"01234567890", 552)
        await client.give("STOR old", b"9876543210")
        await client.give("STOR empty", b"")

    world_of(0).run(story)
