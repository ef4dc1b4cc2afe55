"""Visits from the greeting to the goodbye: lines however they come, logins, bans, places, and what is told of them."""

from __future__ import annotations

import logging

import pytest

from portside.accounts.account import Account
from portside.errors import ConnectionLost, LineTooLong
from portside.events import Event, LoginTried, Spoke
from portside.protocols.ftp.battery import refuse, visits_of
from portside.protocols.ftp.commands import Command, build_command
from portside.protocols.ftp.session import Policy
from portside.protocols.ftp.visit import COMMAND_BYTES_MAX
from portside.testing.conversations import cuttings, feed
from support.ftp_visits import STRANGER, World

# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SAID = b"USER anna\r\nPASS secret\r\nPWD\r\nMKD d\r\nCWD d\r\nPWD\r\nXYZZY\r\nRMD /d\r\nNOOP\r\nQUIT\r\n"
HEARD = [220, 331, 230, 257, 257, 250, 257, 500, 250, 200, 221]


def codes_in(stream: bytes) -> list[int]:
    return [int(line[:3]) for line in stream.splitlines() if line[:3].isdigit() and line[3:4] == b" "]


@pytest.mark.parametrize("pieces", list(cuttings(SAID)), ids=len)
def test_a_conversation_does_not_depend_on_how_the_network_cuts_it(pieces: list[bytes]) -> None:
    assert codes_in(feed(visits_of(World().server), pieces)) == HEARD


def test_lf_alone_ends_a_line_too() -> None:
    assert codes_in(feed(visits_of(World().server), SAID.replace(b"\r", b""))) == HEARD


@pytest.mark.parametrize("end", range(1, len(SAID)))
def test_a_client_that_stops_anywhere_has_its_whole_commands_carried_out_and_no_half_one(end: int) -> None:
    world = World()
    heard = codes_in(feed(visits_of(world.server), SAID[:end]))
    whole = SAID[:end].count(b"\n")
    has_half = not SAID[:end].endswith(b"\n")
    assert heard == [*HEARD[: whole + 1], *([500] if has_half else [])]
    assert world.names() == ({"d"} if 4 <= whole < 8 else set())


def test_a_command_that_was_cut_off_does_not_delete_another_file(world: World) -> None:
    world.put("/a")
    feed(visits_of(world.server), b"USER anna\r\nPASS secret\r\nDELE a")  # … /b
    assert world.names() == {"a"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", 500),
        (b" PWD", 500),
        (b"P", 500),
        (b"\x00", 500),
        (b"GET / HTTP/1.1", 500),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 500),  # TLS, spoken to a plain port
        (b"CWD a\0b", 501),
        (b"\xff\xfb\x01PWD", 257),
        (b"PW\xff\xf1D", 257),
        (b"\xff\xffPWD", 257),
        (b"\xf2ABOR", 226),
        (b"pWd", 257),
        (b"PWD ", 257),
        (b"MKD \xff\xff", 257),
        (b"MKD \xe9", 257),
        ("MKD grüße".encode(), 257),
        (b"MKD a\r\0b", 550),
        (b"CWD " + b"a" * (COMMAND_BYTES_MAX - 5), 550),
    ],
)
def test_odd_lines(cut_world: World, line: bytes, code: int) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.send(line + b"\r\nNOOP\r\n")
        if line.startswith(b"\xff\xfb"):
            assert await client.control.read_exactly(3) == b"\xff\xfe\x01"  # WILL is answered by DONT: RFC 1123
        assert (await client.reply()).code == code
        assert (await client.reply("NOOP")).code == 200

    cut_world.run(story)


def test_names_in_any_encoding_come_back_as_they_were(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        for name in ("grüße", " a b ", '"', "\udce9t\udce9", "\udcff", "😀", "-a", "~"):
            await client.send(build_command(Command("MKD", name)))
            told = (await client.reply("MKD")).text
            assert told.removeprefix('"/').removesuffix('" is made.').replace('""', '"') == name
            assert name in world.names()

    world.run(story)


def test_a_line_without_end_is_told_so_and_ends_the_visit(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        await client.send(b"CWD " + b"x" * 2 * COMMAND_BYTES_MAX)
        assert (await client.reply()).code == 500
        await client.is_left_alone()
        assert isinstance(client.failure, LineTooLong)

    world.run(story)


def test_a_client_that_never_reads_is_waited_for_and_not_stored_for(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        client.served._outgoing.capacity_bytes = 1_000
        client.control._outgoing.capacity_bytes = 1 << 20
        await client.send("HELP\n" * 1_000)
        await world.network.sleep(1.0)
        assert client.control._incoming.held_bytes <= 1_000
        assert len(client.served._buffer or b"") + client.served._incoming.held_bytes > 1_000
        for _ in range(1_000):
            assert (await client.reply("HELP")).code == 214

    world.run(story)


@pytest.mark.parametrize("going", ["close", "abort"])
@pytest.mark.parametrize("line", [None, "NOOP", "EPSV", "USER anna", "STAT"])
def test_a_client_may_go_at_any_time(world: World, going: str, line: str | None) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        if line is not None:
            await client.send(line)
        if going == "abort":
            client.control.abort()
        await client.leave()
        assert client.failure is None or isinstance(client.failure, ConnectionLost)

    world.run(story)


# ── logins ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_and_what_is_told_of_it(cut_world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        assert await client.asks("USER anna", "PASS wrong", "PWD", "PASS secret") == [331, 530, 530, 503]
        assert await client.asks("USER nobody", "PASS secret", "USER anna", "PASS secret", "PWD") == [
            *(331, 530, 331, 230, 257),
        ]
        tried = [(event.user, event.refused) for event in told if isinstance(event, LoginTried)]
        assert [(user, refused is None) for user, refused in tried] == [
            *(("anna", False), ("nobody", False), ("anna", True)),
        ]

    cut_world.run(story)


def test_secrets_are_told_to_nobody(world: World, told: list[Event], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(world: World) -> None:
        client = await world.greeted()
        await client.asks("USER anna", "pass hunter2", "USER anna", "PASS  hunter2", "ACCT hunter2", "ADAT hunter2")
        await client.asks("USER anna", "PASS secret", "CWD none")

    world.run(story)
    spoken = [(event.direction, event.words) for event in told if isinstance(event, Spoke)]
    assert ("in", "PASS …") in spoken
    assert ("in", "CWD none") in spoken
    assert ("out", "230 Welcome.") in spoken
    assert "hunter2" not in repr(told) + caplog.text
    assert "secret" not in repr(told)


def test_what_is_spoken_has_the_size_it_had_on_the_wire(world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        heard = len(b"220 Portside FTP is ready.\r\n")
        await client.asks("HELP", "NOOP")
        spoken = [event for event in told if isinstance(event, Spoke)]
        assert spoken[0].size_bytes == heard
        assert sum(event.size_bytes for event in spoken if event.direction == "out") == client.served.bytes_out

    world.run(story)


@pytest.mark.parametrize("name", ["anonymous", "ftp", "Anonymous", "FTP"])
def test_anonymous_reads_and_does_nothing_else(name: str) -> None:
    async def story(world: World) -> None:
        world.put("/d/a")
        client = await world.greeted()
        assert await client.asks(f"USER {name}", "PASS me@example.org", "CWD d", "SIZE a") == [331, 230, 250, 213]
        assert await client.asks("DELE a", "RNFR a", "MKD b", "RMD /d", "SITE CHMOD 600 a") == [550] * 5
        assert await client.asks("TYPE I") == [200]
        assert await client.take("RETR a") == b"content\n"
        await client.passive()
        assert await client.asks("STOR b", "APPE a", "STOU") == [553, 550, 553]
        assert world.names("/d") == {"a"}

    World(policy=Policy(anonymous=True)).run(story)


def test_anonymous_is_nobody_where_there_is_none(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        assert await client.asks("USER anonymous", "PASS me@example.org") == [331, 530]

    world.run(story)


def test_a_user_s_root_is_their_world() -> None:
    async def story(world: World) -> None:
        world.put("/secret")
        world.put("/users/anna/a")
        client = await world.logged_in()
        assert (await client.say("PWD", 257)).text.startswith('"/" ')
        assert await client.take("NLST") == b"a\r\n"
        assert await client.asks("SIZE a", "SIZE /secret", "SIZE ../../secret", "CWD ..", "SIZE secret") == [
            *(213, 550, 550, 250, 550),
        ]
        await client.give("STOR b", b"")
        assert world.names("/users/anna") == {"a", "b"}

    World(Account("anna", root="/users/anna")).run(story)


@pytest.mark.parametrize("root", ["/none", "file"])
def test_a_root_that_is_not_there_lets_nobody_in(root: str, told: list[Event]) -> None:
    async def story(world: World) -> None:
        world.put("/file")
        client = await world.greeted()
        assert await client.asks("USER anna", "PASS secret", "PWD") == [331, 530, 530]
        (tried,) = [event for event in told if isinstance(event, LoginTried)]
        assert (tried.refused or "").startswith("the user's root: ")

    World(Account("anna", root=root, sessions_max=1)).run(story)


def test_a_new_user_begins_anew(world: World) -> None:
    async def story(world: World) -> None:
        world.storage.make_directory("/d")
        client = await world.logged_in()
        await client.asks("CWD d", "MODE Z", "EPSV ALL", "OPTS HASH MD5", "OPTS MLST type", "RNFR /d", "REST 5")
        assert await client.asks("USER anna", "PASS secret") == [331, 230]
        assert (await client.say("PWD")).text.startswith('"/" ')
        assert (await client.say("OPTS HASH")).text == "SHA-256"
        status = (await client.say("STAT")).text
        assert "MODE: Stream" in status
        assert "TYPE: ASCII Nonprint" in status
        assert await client.asks("RNTO /e", "PASV") == [503, 227]

    world.run(story)


def test_rein_logs_out_on_the_same_connection(cut_world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.passive()
        assert await client.asks("REIN", "PWD", "PASS secret", "LIST") == [220, 530, 503, 530]
        assert world.network.listeners == {}
        assert await client.asks("USER anna", "PASS secret", "PWD", "HOST x") == [331, 230, 257, 503]

    cut_world.run(story)


# ── places and bans ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_has_only_so_many_sessions(told: list[Event]) -> None:
    async def story(world: World) -> None:
        one, two = await world.logged_in(), await world.logged_in()
        three = await world.greeted()
        assert await three.asks("USER anna", "PASS secret", "PWD") == [331, 530, 530]
        assert [event.refused for event in told if isinstance(event, LoginTried)][-1] == "too many sessions"
        await one.say("QUIT", 221)
        await one.is_left_alone()
        assert await three.asks("USER anna", "PASS secret", "PWD") == [331, 230, 257]
        await two.say("REIN", 220)
        assert world.counters._places == {"sessions anna": 1}
        assert await three.asks("USER anna", "PASS secret", "USER anna", "PASS secret") == [331, 230, 331, 230]
        assert await two.asks("USER anna", "PASS secret") == [331, 230]

    World(Account("anna", sessions_max=2)).run(story)


def test_failures_are_slow_and_then_a_ban(told: list[Event]) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        lasted_s = []
        for _ in range(3):
            began_s = world.network.now_s()
            assert await client.asks("USER anna", "PASS wrong") == [331, 530]
            lasted_s.append(round(world.network.now_s() - began_s))
        assert lasted_s == [1, 2, 4]
        assert await client.asks("USER anna", "PASS wrong") == [331, 421]
        await client.is_left_alone()
        # Nobody from there is listened to, and everybody else is.
        banned = world.client()
        assert (await banned.reply()).code == 421
        await banned.is_left_alone()
        assert (await (await world.logged_in(host=STRANGER)).say("PWD")).code == 257
        await world.network.sleep(601.0)
        await world.logged_in()

    World(attempts=4).run(story)


def test_a_ban_ends_other_tries_of_the_address(world: World) -> None:
    async def story(world: World) -> None:
        world.counters.add("login ban 198.51.100.7", 1, lasts_s=600.0)
        client = world.client(host=STRANGER)
        assert (await client.reply()).code == 220
        world.counters.add(f"login ban {STRANGER}", 1, lasts_s=600.0)
        assert await client.asks("USER anna", "PASS secret") == [331, 421]
        await client.is_left_alone()

    world.run(story)


def test_whoever_is_turned_away_hears_it_in_words_of_ftp() -> None:
    assert refuse("too many connections") == b"421 Too many connections.\r\n"
