"""Transfers from their first reply to their last, over data connections of a world in memory."""

from __future__ import annotations

import re
import zlib

import pytest

from portside.errors import ConnectFailed
from portside.events import Event, FileActed
from portside.protocols.ftp.transfers import PIECE_BYTES
from portside.storage.memory import MemoryStorage
from support.ftp_visits import World, port_in

TEXT, ON_THE_WIRE = b"one\ntwo\n\nlast", b"one\r\ntwo\r\n\r\nlast"
LARGE = bytes(range(256)) * 2_000  # more than a pipe of the world holds, and than a piece

CONTENTS = [b"", b"x", b"\n", b"\r\n\r", LARGE, bytes(PIECE_BYTES), b"\xff\xf4\xff\xf2"]


# ── as it is ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", CONTENTS, ids=len)
@pytest.mark.parametrize("passive", ["EPSV", "PASV", "EPSV 1"])
def test_a_file_goes_and_comes_back_as_it_was(cut_world: World, content: bytes, passive: str) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.give("STOR a", content, passive=passive)
        assert world.content("/a") == content
        assert await client.take("RETR a", passive=passive) == content
        assert (await client.say("SIZE a", 213)).text == str(len(content))

    cut_world.run(story)


def test_the_opening_tells_the_size(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/d/a", b"12345")
        client = await world.logged_in()
        data = await client.passive()
        await client.send("RETR d/a")
        assert (await client.reply()).text.endswith("for a (5 bytes).")
        assert await data.read() == b"12345"
        assert (await client.reply()).code == 226

    world.run(story)


def test_an_upload_replaces_a_file_as_a_whole(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"a longer file that was there")
        world.storage.set_mode("/a", 0o640)
        client = await world.logged_in()
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply()).code == 150
        await data.write(b"new")
        assert await client.asks("STAT") == [211]
        assert world.content("/a") == b"a longer file that was there"
        assert world.names() == {"a"}
        await data.close()
        assert (await client.reply()).code == 226
        assert world.content("/a") == b"new"
        assert world.storage.stat("/a").mode == 0o640

    world.run(story)


def test_append_goes_behind_what_is_there(cut_world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        for part in (b"one ", b"", b"two"):
            await client.give("APPE a", part)
        assert world.content("/a") == b"one two"

    cut_world.run(story)


def test_a_unique_name_is_nobody_else_s(world: World) -> None:
    async def store(line: str) -> str:
        client = await world.logged_in()
        data = await client.passive()
        await client.send(line)
        opening = await client.reply(line)
        assert opening.code == 150
        match = re.fullmatch(r"FILE: (\S+)", opening.text)  # RFC 1123 section 4.1.2.9
        assert match is not None
        await data.write(match[1].encode())
        await data.close()
        assert (await client.reply(line)).code == 226
        return match[1]

    async def story(world: World) -> None:
        world.put("/a", b"")
        names = {await store("STOU"), await store("STOU"), await store("STOU a"), await store("STOU b")}
        assert len(names) == 4
        assert world.names() == {"a", *names}
        assert all(world.content(f"/{name}") == name.encode() for name in names)

    world.run(story)


def test_two_who_ask_for_the_same_unique_name_at_once_both_keep_their_files(world: World) -> None:
    async def story(world: World) -> None:
        one, other = await world.logged_in(), await world.logged_in(control_port=50_001)
        data = [await one.passive(), await other.passive()]
        for client in (one, other):
            await client.send("STOU photo")
            assert (await client.reply("STOU")).code == 150
        for connection, content in zip(data, (b"one", b"other"), strict=True):
            await connection.write(content)
            await connection.close()
        for client in (one, other):
            assert (await client.reply("STOU")).code == 226
        assert sorted(world.content(f"/{name}") for name in world.names()) == [b"one", b"other"]

    world.run(story)


# ── from the middle ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_download_begins_where_rest_says_and_the_next_one_does_not(cut_world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.say("REST 4", 350)
        assert await client.take("RETR a") == b"456789"
        assert await client.take("RETR a") == b"0123456789"
        await client.say("REST 10", 350)
        assert await client.take("RETR a") == b""

    cut_world.run(story)


@pytest.mark.parametrize("between", ["LIST", "NLST", "MLSD"])
def test_rest_is_for_the_next_transfer_whatever_it_is(world: World, between: str) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.say("REST 4", 350)
        assert b"a\r\n" in await client.take(between)
        assert await client.take("RETR a") == b"0123456789"

    world.run(story)


def test_rest_outlives_what_is_said_between(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.asks("REST 4", "NOOP", "PWD", "SIZE a", "STAT")
        assert await client.take("RETR a") == b"456789"

    world.run(story)


def test_abor_and_a_new_login_forget_rest(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.asks("REST 4", "ABOR")
        assert await client.take("RETR a") == b"0123456789"
        await client.asks("REST 4", "USER anna", "PASS secret", "TYPE I")
        assert await client.take("RETR a") == b"0123456789"

    world.run(story)


def test_a_download_cannot_begin_behind_the_file_s_end(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.passive()
        assert await client.asks("REST 11", "RETR a") == [350, 554]  # RFC 1123 section 4.1.3.4

    world.run(story)


def test_an_upload_goes_on_in_the_middle_of_a_file(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.say("REST 4", 350)
        await client.give("STOR a", b"xy")
        assert world.content("/a") == b"0123xy"
        await client.passive()
        assert await client.asks("REST 7", "STOR a") == [350, 553]
        assert world.content("/a") == b"0123xy"

    world.run(story)


def test_an_interrupted_upload_is_gone_on_with(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply()).code == 150
        await data.write(b"01234")
        await client.until_served(5)
        data.abort()
        assert (await client.reply("STOR")).code == 426
        assert world.names() == set()
        await client.passive()
        assert await client.asks("RETR a", "MLST a", "MDTM a") == [550, 550, 550]
        assert (await client.say("SIZE a", 213)).text == "5"
        await client.say("REST 5", 350)
        await client.give("STOR a", b"56789")
        assert world.content("/a") == b"0123456789"

    world.run(story)


@pytest.mark.parametrize("lines", [("TYPE A",), ("MODE Z",), ("TYPE A", "MODE Z")])
@pytest.mark.parametrize("line", ["RETR a", "STOR a"])
def test_text_and_deflated_streams_have_no_middle(world: World, lines: tuple[str, ...], line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"0123456789")
        client = await world.logged_in()
        await client.passive()
        assert await client.asks(*lines, "REST 1", line) == [*(200 for _ in lines), 350, 501]
        assert await client.asks("REST 0") == [350]
        assert len(await client.take("RETR a")) > 0

    world.run(story)


# ── text, and deflated ───────────────────────────────────────────────────────────────────────────────────────────────


def test_text_has_cr_lf_on_the_wire_and_lf_in_the_storage(cut_world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.say("TYPE A", 200)
        await client.give("STOR a", ON_THE_WIRE)
        assert world.content("/a") == TEXT
        assert await client.take("RETR a") == ON_THE_WIRE
        await client.say("TYPE I", 200)
        assert await client.take("RETR a") == TEXT

    cut_world.run(story)


@pytest.mark.parametrize("content", CONTENTS, ids=len)
@pytest.mark.parametrize("level", [None, 1, 9])
def test_mode_z_deflates_both_ways(world: World, content: bytes, level: int | None) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.asks("MODE Z", *([] if level is None else [f"OPTS MODE Z LEVEL {level}"]))
        await client.give("STOR a", zlib.compress(content))
        assert world.content("/a") == content
        assert zlib.decompress(await client.take("RETR a")) == content
        assert b"a\r\n" in zlib.decompress(await client.take("LIST"))
        await client.say("MODE S", 200)
        assert await client.take("RETR a") == content

    world.run(story)


def test_text_may_be_deflated_too(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.asks("MODE Z", "TYPE A")
        await client.give("STOR a", zlib.compress(ON_THE_WIRE))
        assert world.content("/a") == TEXT
        assert zlib.decompress(await client.take("RETR a")) == ON_THE_WIRE

    world.run(story)


@pytest.mark.parametrize(
    "stream", [b"no zlib at all", zlib.compress(LARGE)[:-4], zlib.compress(b"whole") + b"and more", b""]
)
def test_a_deflated_upload_that_is_none_leaves_the_old_file(world: World, stream: bytes) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await world.logged_in()
        await client.say("MODE Z", 200)
        await client.give("STOR a", stream, 426)
        assert world.content("/a") == b"old"

    world.run(story)


# ── no data connection ───────────────────────────────────────────────────────────────────────────────────────────────

NEED_DATA = ["RETR a", "STOR b", "STOU", "APPE a", "LIST", "NLST", "MLSD"]


@pytest.mark.parametrize("line", NEED_DATA)
def test_without_a_word_about_the_data_connection_it_is_425(cut_world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.say(line, 425)
        assert world.names() == {"a"}
        assert await client.asks("NOOP") == [200]

    cut_world.run(story)


def test_nothing_is_done_for_a_transfer_that_cannot_come_about(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        for act in ("upload", "open", "open_nowait", "list", "stat"):
            monkeypatch.setattr(MemoryStorage, act, None)
        assert await client.asks(*NEED_DATA) == [425] * len(NEED_DATA)
        monkeypatch.undo()

    world.run(story)


@pytest.mark.parametrize("line", NEED_DATA)
def test_a_data_connection_is_for_one_transfer_only(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.take("RETR a")
        await client.say(line, 425)

    world.run(story)


@pytest.mark.parametrize("line", NEED_DATA)
def test_nobody_on_the_passive_port_is_425_after_a_while(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        reply = await client.say("EPSV", 229)
        began_s = world.network.now_s()
        await client.say(line, 150, 425)
        assert world.network.now_s() - began_s == pytest.approx(world.server.bounds.opens_within_s)
        assert world.names() == {"a"}
        with pytest.raises(ConnectFailed):
            await client.connect_to(reply)

    world.run(story)


def test_a_refused_command_does_not_use_the_data_connection_up(world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        data = await client.passive()
        assert await client.asks("RETR none", "STOR none/b", "REST 100", "RETR a") == [550, 553, 350, 554]
        await client.say("RETR a", 150, 226)
        assert await data.read() == b"content\n"
        assert [(event.act, event.path, event.failed) for event in told if isinstance(event, FileActed)] == [
            ("download", "/a", None)
        ]

    world.run(story)


def test_a_port_is_given_back_as_soon_as_the_data_connection_is_there(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        reply = await client.say("EPSV", 229)
        assert [address.port for address in world.network.listeners] == [port_in(reply)]
        data = await client.connect_to(reply)
        await client.send("STOR a")
        assert (await client.reply()).code == 150
        await data.write(b"begun")
        assert await client.asks("STAT") == [211]
        assert world.network.listeners == {}
        await data.close()
        assert (await client.reply()).code == 226

    world.run(story)
