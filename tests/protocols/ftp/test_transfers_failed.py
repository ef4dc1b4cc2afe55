"""Transfers for which there is no room, and those that fail within the server: what is said, and what stays."""

from __future__ import annotations

import pytest

from portside.errors import OutOfDescriptors
from portside.storage.contract import StorageFailed
from portside.storage.memory_tree import MemoryUpload
from portside.testing.memory import MemoryConnection
from support.ftp_begun import assert_the_old_file_is_there, begun_upload
from support.ftp_visits import World


def test_a_full_disk_is_452_and_loses_nothing() -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await world.logged_in()
        await client.give("STOR a", bytes(2_000), 452)
        assert_the_old_file_is_there(world)
        await client.give("STOR a", b"new")
        assert world.content("/a") == b"new"

    World(capacity_bytes=1_000).run(story)


def test_a_storage_that_fails_at_the_last_is_451(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(upload: MemoryUpload, **_: object) -> None:
        upload.abandon()
        raise StorageFailed("/a", "the disk failed")

    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        with monkeypatch.context() as patch:
            patch.setattr(MemoryUpload, "commit", fail)
            await data.close()
            assert (await client.reply("STOR")).code == 451
        assert_the_old_file_is_there(world)
        await client.give("STOR a", b"new")

    world.run(story)


def test_a_bug_in_a_transfer_is_451_and_ends_the_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(upload: MemoryUpload, **_: object) -> None:
        raise ZeroDivisionError

    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        monkeypatch.setattr(MemoryUpload, "commit", fail)
        await data.close()
        assert (await client.reply("STOR")).code == 451
        await client.send("NOOP")
        with pytest.raises(ZeroDivisionError):
            await client.is_left_alone()
        client.is_broken = True
        assert_the_old_file_is_there(world)

    world.run(story)


def test_no_descriptor_left_is_451_and_the_session_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OutOfDescriptors("no file descriptor is left")

    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await world.logged_in()
        with monkeypatch.context() as patch:
            patch.setattr(MemoryConnection, "receive_file", fail)
            await client.give("STOR a", b"new", 451)
        assert_the_old_file_is_there(world)
        await client.give("STOR a", b"new")

    world.run(story)


def test_whoever_commits_is_busy_and_not_idle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    commit = MemoryUpload.commit

    async def story(world: World) -> None:
        client, data = await begun_upload(world)

        def slow(upload: MemoryUpload, **how: object) -> object:
            states.append(client.served.state)
            return commit(upload, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(MemoryUpload, "commit", slow)
        await data.close()
        assert (await client.reply("STOR")).code == 226
        assert states == ["busy"]

    world.run(story)
