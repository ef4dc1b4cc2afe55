"""Transfers that end otherwise than they should: given up, left, reset, stalled; and what is said meanwhile."""

from __future__ import annotations

from typing import Literal

import pytest

from portside.errors import ConnectionLost
from portside.events import Event, FileActed
from support.ftp_begun import LARGE, assert_the_old_file_is_there, begun_download, begun_upload, read_all
from support.ftp_visits import World

# ── ABOR ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_abor_without_a_transfer_is_226_and_forgets_the_data_connection(cut_world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.passive()
        assert await client.asks("ABOR", "RETR a", "ABOR", "ABOR") == [226, 425, 226, 226]

    cut_world.run(story)


# As RFC 959 section 4.1.3 has it, as many clients send it, and with what is left of it where urgent bytes get lost.
@pytest.mark.parametrize("abor", [b"ABOR\r\n", b"\xff\xf4\xff\xf2ABOR\r\n", b"\xff\xf4\xf2ABOR\r\n", b"abor\r\n"])
def test_abor_in_the_middle_of_a_download(cut_world: World, abor: bytes) -> None:
    async def story(world: World) -> None:
        client, data = await begun_download(world)
        await client.send(abor)
        assert (await client.reply("RETR")).code == 426
        assert (await client.reply("ABOR")).code == 226
        with pytest.raises(ConnectionLost):
            await read_all(data)
        assert await client.take("RETR large") == LARGE

    cut_world.run(story)


def test_abor_in_the_middle_of_an_upload_leaves_the_old_file(world: World) -> None:
    async def story(world: World) -> None:
        client, _ = await begun_upload(world)
        await client.send("ABOR")
        assert (await client.reply("STOR")).code == 426
        assert (await client.reply("ABOR")).code == 226
        assert_the_old_file_is_there(world)
        await client.give("STOR a", b"new")
        assert world.content("/a") == b"new"

    world.run(story)


def test_abor_in_the_middle_of_a_listing(world: World) -> None:
    async def story(world: World) -> None:
        world.storage.make_directory("/d")
        for number in range(2_000):
            world.put(f"/d/{number:0200}", b"")
        client, _ = await begun_download(world, "LIST d")
        await client.send("ABOR")
        assert (await client.reply("LIST")).code == 426
        assert (await client.reply("ABOR")).code == 226

    world.run(story)


def test_abor_while_nobody_has_connected(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.say("EPSV", 229)
        began_s = world.network.now_s()
        await client.send("RETR a")
        assert (await client.reply("RETR")).code == 150
        await client.send("ABOR")
        assert (await client.reply("RETR")).code == 426
        assert (await client.reply("ABOR")).code == 226
        assert world.network.now_s() == began_s

    world.run(story)


@pytest.mark.parametrize("line", ["RETR large", "STOR a", "LIST"])
def test_abor_right_behind_the_command(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        world.put("/large", LARGE)
        client = await world.logged_in()
        await client.passive()
        await client.send(f"{line}\nABOR\nNOOP")
        heard = [(await client.reply()).code for _ in range(4)]
        assert heard in ([150, 426, 226, 200], [150, 226, 226, 200])
        assert world.content("/a") == b"old"

    world.run(story)


def test_abor_after_a_transfer_finds_nothing_under_way(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.take("RETR a")
        await client.say("ABOR", 226)
        await client.give("STOR a", b"new")
        await client.say("ABOR", 226)
        assert world.content("/a") == b"new"

    world.run(story)


# ── what is said meanwhile ───────────────────────────────────────────────────────────────────────────────────────────


def test_stat_tells_how_far_a_transfer_is(world: World) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world, "APPE a")
        await world.network.sleep(2.0)
        assert "APPE /a: 5 bytes in 2.0 s" in (await client.say("STAT", 211)).text
        await data.close()
        assert (await client.reply("APPE")).code == 226
        assert "No transfer is under way" in (await client.say("STAT", 211)).text

    world.run(story)


def test_stat_of_a_path_is_answered_meanwhile(world: World) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        assert " a" in (await client.say("STAT a", 213)).lines[1]
        await client.say("STAT none", 550)
        await data.close()
        assert (await client.reply()).code == 226

    world.run(story)


def test_what_is_said_to_a_stat_behind_the_command_comes_behind_its_150(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.passive()
        await client.send("RETR a\nSTAT\nNOOP")
        heard = [(await client.reply()).code for _ in range(4)]
        assert heard[0] == 150
        assert sorted(heard) == [150, 200, 211, 226]

    world.run(story)


@pytest.mark.parametrize("line", ["NOOP", "PWD", "EPSV", "USER anna", "REIN", "XYZZY", "SIZE large", "\x01", ""])
def test_other_commands_wait_for_the_end(world: World, line: str) -> None:
    async def story(world: World) -> None:
        client, data = await begun_download(world)
        await client.send(line or "\r\n")
        await world.network.sleep(10.0)
        assert not client.control._incoming.chunks
        assert await read_all(data) == LARGE
        assert (await client.reply("RETR")).code == 226
        assert (await client.reply(line)).code != 226

    world.run(story)


def test_quit_waits_for_the_end_and_says_goodbye_behind_it(cut_world: World) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        await client.send("QUIT\nDELE a")
        await data.write(b"567")
        await data.close()
        assert (await client.reply("STOR")).code == 226
        assert (await client.reply("QUIT")).code == 221
        await client.is_left_alone()
        assert world.content("/a") == b"01234567"

    cut_world.run(story)


# ── clients that go ──────────────────────────────────────────────────────────────────────────────────────────────────

Going = Literal["close", "abort"]


@pytest.mark.parametrize("control_goes", ["close", "abort"])
@pytest.mark.parametrize("data_goes", ["close", "abort"])
@pytest.mark.parametrize("first", ["control", "data"])
def test_a_client_that_vanishes_in_mid_upload_leaves_the_old_file(
    world: World, told: list[Event], control_goes: Going, data_goes: Going, first: str
) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        ways = [(client.control, control_goes), (data, data_goes)]
        for connection, goes in ways if first == "control" else reversed(ways):
            if goes == "close":
                await connection.close()
            else:
                connection.abort()
        await client.leave()
        assert_the_old_file_is_there(world)
        assert world.storage.interrupted_bytes("/a") == 5
        (event,) = [event for event in told if isinstance(event, FileActed)]
        assert (event.act, event.path) == ("upload", "/a")
        assert event.failed

    world.run(story)


def test_who_need_not_be_strict_takes_what_a_client_that_hangs_up_has_sent() -> None:
    """Some cameras send a picture, close both connections, and never read that it was stored."""
    world = World(strict_ends=False)

    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        await data.close()
        await client.control.close()
        await client.leave()
        assert world.content("/a") == b"01234"

    world.run(story)


def test_a_client_killed_slowly_leaves_the_old_file(world: World) -> None:
    """Its data connection ends first, and its control connection when the dying process gets to it."""

    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        await world.network.sleep(1.0)
        await data.close()
        await world.network.sleep(0.009)
        await client.control.close()
        await client.leave()
        assert_the_old_file_is_there(world)

    world.run(story)


@pytest.mark.parametrize(("took_s", "waits_s"), [(0.0, 0.0), (0.004, 0.0), (0.05, 0.005), (1.0, 0.01), (60.0, 0.01)])
def test_what_came_whole_waits_in_proportion(world: World, took_s: float, waits_s: float) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        await world.network.sleep(took_s)
        ended_s = world.network.now_s()
        await data.close()
        assert (await client.reply()).code == 226
        assert world.network.now_s() - ended_s == pytest.approx(waits_s, abs=1e-4)
        assert world.content("/a") == b"01234"

    world.run(story)


def test_a_client_killed_before_its_first_byte_leaves_the_old_file(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await world.logged_in()
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply()).code == 150
        await data.close()
        await world.network.sleep(0.009)
        await client.control.close()
        await client.leave()
        assert_the_old_file_is_there(world)

    world.run(story)


def test_a_control_connection_that_is_lost_takes_a_download_with_it(world: World) -> None:
    async def story(world: World) -> None:
        client, data = await begun_download(world)
        client.control.abort()
        with pytest.raises(ConnectionLost):
            await read_all(data)

    world.run(story)


def test_a_client_that_has_said_its_last_still_gets_its_download(world: World) -> None:
    async def story(world: World) -> None:
        client, data = await begun_download(world)
        await client.control.write_eof()
        assert await read_all(data) == LARGE
        assert (await client.reply()).code == 226
        await client.is_left_alone()

    world.run(story)


@pytest.mark.parametrize("line", ["STOR a", "RETR a", "NLST"])
def test_a_client_that_goes_before_the_150_leaves_nothing_behind(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await world.logged_in()
        await client.say("EPSV", 229)
        client.served._outgoing.capacity_bytes = 1  # the 150 does not fit: it waits for the client to read
        await client.send(line)
        await world.until(lambda: client.served.state == "writing")
        client.control.abort()
        await client.leave()
        assert_the_old_file_is_there(world)

    world.run(story)


@pytest.mark.parametrize("line", ["STOR a", "APPE a", "STOU"])
def test_an_upload_whose_data_connection_is_reset_is_426(world: World, line: str) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world, line)
        data.abort()
        assert (await client.reply(line)).code == 426
        assert_the_old_file_is_there(world)
        assert await client.asks("NOOP") == [200]

    world.run(story)


@pytest.mark.parametrize("line", ["RETR large", "NLST"])
def test_a_download_whose_data_connection_is_reset_is_426(world: World, line: str) -> None:
    async def story(world: World) -> None:
        if line == "NLST":
            for number in range(2_000):
                world.put(f"/{number:0200}", b"")
        client, data = await begun_download(world, line)
        data.abort()
        assert (await client.reply(line)).code == 426
        assert await client.asks("NOOP") == [200]

    world.run(story)


@pytest.mark.parametrize("begun", [begun_download, begun_upload])
def test_a_transfer_that_stands_still_is_ended_after_a_while(world: World, begun: type) -> None:
    async def story(world: World) -> None:
        client, _ = await begun(world)
        ((companion, idle_s),) = client.served.companions()
        assert idle_s == world.server.bounds.stalls_after_s
        assert client.served.state == "busy"
        companion.end("idle")  # as the sweeper does
        reply = await client.reply("STOR")
        assert (reply.code, reply.text) == (426, "No byte has moved for too long.")
        assert client.served.state == "reading"

    world.run(story)


def test_a_drain_ends_both_connections_and_leaves_the_old_file(world: World) -> None:
    async def story(world: World) -> None:
        client, data = await begun_upload(world)
        client.served.end("drained", b"421 The server stops.\r\n")
        assert await client.rest() == b"421 The server stops.\r\n"
        assert await data.read() == b""
        await client.leave()
        assert_the_old_file_is_there(world)

    world.run(story)
