"""Conversations about files and directories that need no data connection, and what is told of each act."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from portside.accounts.account import PERMISSIONS, Account
from portside.events import Event, FileActed
from portside.protocols.ftp.digests import X_FORMS
from portside.protocols.ftp.facts import parse_facts
from portside.protocols.ftp.visit import COMMAND_BYTES_MAX
from portside.testing.memory import CLIENT
from support.ftp_visits import World

CONTENT = b"content of a file\n"


def acts_in(told: list[Event]) -> list[tuple[str, str, str | None]]:
    return [(event.act, event.path, event.target) for event in told if isinstance(event, FileActed)]


# ── directories ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_walk(cut_world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a/b/c/file")
        client = await world.logged_in()
        for line, code, where in [
            ("CWD a", 250, "/a"),
            ("CWD b/c", 250, "/a/b/c"),
            ("CDUP", 250, "/a/b"),
            ("XCUP", 250, "/a"),
            ("CWD none", 550, "/a"),
            ("CWD b/c/file", 550, "/a"),
            ("XCWD /a/b", 250, "/a/b"),
            ("CWD ../../../../..", 250, "/"),
            ("CDUP", 250, "/"),
            ("CWD /a/./b/../b", 250, "/a/b"),
            ("CWD c/../../..//a", 250, "/a"),
        ]:
            await client.say(line, code)
            assert (await client.say("PWD", 257)).text == f'"{where}" is where you are.'
            assert (await client.say("XPWD", 257)).text == f'"{where}" is where you are.'

    cut_world.run(story)


def test_directories_are_made_and_removed(cut_world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert (await client.say('MKD a "b"', 257)).text == '"/a ""b""" is made.'
        assert await client.asks('MKD a "b"', "XMKD /d", "MKD d/e", "MKD none/f", "RMD d") == [550, 257, 257, 550, 550]
        assert await client.asks("RMD d/e", "XRMD d", "RMD d", "RMD /", "RMD .") == [250, 250, 550, 550, 550]
        assert world.names() == {'a "b"'}
        assert acts_in(told) == [
            ("mkdir", '/a "b"', None),
            ("mkdir", "/d", None),
            ("mkdir", "/d/e", None),
            ("rmdir", "/d/e", None),
            ("rmdir", "/d", None),
        ]

    cut_world.run(story)


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_renamed_and_deleted(cut_world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        world.storage.make_directory("/d")
        client = await world.logged_in()
        assert await client.asks("RNFR a", "RNTO d/b", "RNFR a", "RNTO c") == [350, 250, 550, 503]
        assert await client.asks("CWD d", "RNFR b", "RNTO /c", "RNFR /d", "RNTO /e") == [250, 350, 250, 350, 250]
        assert world.names() == {"c", "e"}
        assert await client.asks("DELE /c", "DELE /c", "DELE /e", "DELE /") == [250, 550, 550, 550]
        assert acts_in(told) == [
            ("rename", "/a", "/d/b"),
            ("rename", "/d/b", "/c"),
            ("rename", "/d", "/e"),
            ("delete", "/c", None),
        ]

    cut_world.run(story)


@pytest.mark.parametrize("between", ["NOOP", "PWD", "STAT", "ABOR", "RNTO", "XYZZY", "HELP", "SIZE a", "EPSV", "TYPE"])
def test_rnto_comes_right_behind_rnfr(world: World, between: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.say("RNFR a", 350)
        await client.say(between)
        await client.say("RNTO b", 503)
        assert world.names() == {"a"}

    world.run(story)


def test_rnto_is_for_once(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        assert await client.asks("RNFR a", "RNFR a", "RNTO none/b", "RNTO b") == [350, 350, 553, 503]
        assert await client.asks("RNFR a", "RNTO b", "RNTO c") == [350, 250, 503]
        assert world.names() == {"b"}

    world.run(story)


@pytest.mark.parametrize(
    ("target", "code"), [("f", 250), ("d", 553), ("a", 250), ("/", 553), ("a/b", 553), ("..", 553)]
)
def test_what_a_file_may_be_renamed_to(world: World, target: str, code: int) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"a")
        world.put("/f", b"f")
        world.storage.make_directory("/d")
        client = await world.logged_in()
        assert await client.asks("RNFR a", f"RNTO {target}") == [350, code]
        kept = {"a", "d", "f"} - ({"a"} if target == "f" else set())
        assert world.names() == kept
        assert world.content("/f") == (b"a" if target == "f" else b"f")

    world.run(story)


def test_to_rename_is_no_way_to_replace_what_one_may_not_write() -> None:
    async def story(world: World) -> None:
        world.put("/a")
        world.put("/b", b"another's")
        client = await world.logged_in()
        assert await client.asks("RNFR a", "RNTO b", "RNFR a", "RNTO c", "RNFR c", "RNTO c/d") == [
            *(350, 553, 350, 250, 350, 553),
        ]
        assert world.content("/b") == b"another's"

    World(Account("anna", permissions=PERMISSIONS - {"write"})).run(story)


def test_a_source_that_vanishes_between_the_two(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.say("RNFR a", 350)
        world.storage.delete("/a")
        await client.say("RNTO b", 553)

    world.run(story)


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_size_and_time_of_files_only(cut_world: World) -> None:
    async def story(world: World) -> None:
        world.put("/d/a", CONTENT)
        client = await world.logged_in()
        assert (await client.say("SIZE d/a", 213)).text == str(len(CONTENT))
        assert (await client.say("MDTM d/a", 213)).text == "20261125220000"
        assert await client.asks("SIZE d", "MDTM d", "SIZE none", "MDTM none", "TYPE A") == [550, 550, 550, 550, 200]
        assert (await client.say("SIZE d/a", 213)).text == str(len(CONTENT))  # ftplib and tnftp ask under TYPE A

    cut_world.run(story)


def test_times_are_set(cut_world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        world.put("/a b")
        client = await world.logged_in()
        reply = await client.say("MFMT 20250102030405 a b", 213)
        assert reply.text == "Modify=20250102030405; a b"
        assert (await client.say("MDTM a b")).text == "20250102030405"
        await client.say("SITE UTIME 202601020304 a b", 200)
        assert (await client.say("MDTM a b")).text == "20260102030400"
        await client.say("SITE UTIME a b 20260102030405 20250506070809 20260102030405 UTC", 200)
        assert (await client.say("MDTM a b")).text == "20250506070809"
        await client.say("MFMT 19691231235959.5 a b", 213)
        assert (await client.say("MDTM a b")).text == "19691231235959"
        assert await client.asks("MFMT 20250102030405 none", "MFMT 20250230000000 a b") == [550, 501]
        assert acts_in(told) == [("utime", "/a b", None)] * 4

    cut_world.run(story)


def test_modes_are_set(world: World, told: list[Event]) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        assert await client.asks("SITE CHMOD 600 a", "SITE CHMOD 777 none", "SITE CHMOD 1777 a") == [200, 550, 550]
        assert world.storage.stat("/a").mode == 0o600
        assert acts_in(told) == [("chmod", "/a", None)]

    world.run(story)


def test_mlst_tells_facts_of_files_and_directories(cut_world: World) -> None:
    async def story(world: World) -> None:
        world.put("/d/a", CONTENT)
        client = await world.logged_in()
        for typed, kind in (("d/a", "file"), ("/d/a", "file"), ("d", "dir"), ("", "dir")):
            reply = await client.say(f"MLST {typed}".strip(), 250)
            assert len(reply.lines) == 3
            facts, name = parse_facts(reply.lines[1])
            assert (facts["type"], name) == (kind, typed or "/")
            assert facts["modify"] == "20261125220000"
            assert facts.get("size") == (str(len(CONTENT)) if kind == "file" else None)
        await client.say("MLST none", 550)
        assert (await client.say("OPTS MLST size;perm;", 200)).text == "MLST OPTS size;perm;"
        assert (await client.say("MLST d/a")).lines[1] == f" size={len(CONTENT)};perm=adfrw; d/a"
        assert "MLST type;size*;modify;perm*;" in (await client.say("FEAT")).text
        assert (await client.say("OPTS MLST", 200)).text == "MLST OPTS "
        assert (await client.say("MLST d/a")).lines[1] == "  d/a"

    cut_world.run(story)


@pytest.mark.parametrize(
    ("permissions", "perm"), [(PERMISSIONS, "adfrw"), ({"list", "read"}, "r"), ({"list", "append"}, "a")]
)
def test_the_perm_fact_is_what_the_account_may_do(permissions: frozenset[str], perm: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        assert f"perm={perm};" in (await client.say("MLST a")).lines[1]

    World(Account("anna", permissions=frozenset(permissions))).run(story)  # type: ignore[arg-type]


# ── digests ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DIGESTS = {
    "SHA-256": hashlib.sha256(CONTENT).hexdigest(),
    "SHA-512": hashlib.sha512(CONTENT).hexdigest(),
    "SHA-1": hashlib.sha1(CONTENT).hexdigest(),
    "MD5": hashlib.md5(CONTENT).hexdigest(),
    "CRC32": f"{zlib.crc32(CONTENT):08x}",
}


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_hash_by_each_algorithm(cut_world: World, algorithm: str) -> None:
    async def story(world: World) -> None:
        world.put("/a b", CONTENT)
        client = await world.logged_in()
        await client.say(f"OPTS HASH {algorithm}", 200)
        reply = await client.say("HASH a b", 213)
        assert reply.text == f"{algorithm} 0-{len(CONTENT)} {DIGESTS[algorithm]} a b"
        assert f"{algorithm}*" in (await client.say("FEAT")).text
        assert await client.asks("HASH none", "HASH /") == [550, 550]

    cut_world.run(story)


@pytest.mark.parametrize(("verb", "algorithm"), X_FORMS.items())
@pytest.mark.parametrize("typed", ["a b", '"a b"'])
def test_the_older_forms_answer_with_the_digits_alone(world: World, verb: str, algorithm: str, typed: str) -> None:
    async def story(world: World) -> None:
        world.put("/a b", CONTENT)
        client = await world.logged_in()
        assert (await client.say(f"{verb} {typed}", 250)).text == DIGESTS[algorithm].upper()
        await client.say(f"{verb} none", 550)

    world.run(story)


# ── what the server tells of itself ──────────────────────────────────────────────────────────────────────────────────


def test_stat_tells_where_everything_stands(cut_world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert (await client.say("STAT", 211)).lines == (
            "Portside FTP",
            f" Connected from {CLIENT}",
            " Logged in as anna",
            " TYPE: Image; STRU: File",
            " MODE: Stream",
            " Control connection: in the clear",
            " Data connections: in the clear",
            " No transfer is under way",
            "End",
        )

    cut_world.run(story)


def test_stat_of_a_path_is_a_listing_that_ends(world: World) -> None:
    async def story(world: World) -> None:
        for number in range(1_500):
            world.put(f"/many/{number:04}", b"")
        world.put("/few/211 forged", b"")
        world.put("/few/a\r213 End", b"")
        client = await world.logged_in()
        reply = await client.say("STAT few", 213)
        assert [line.rpartition(":00 ")[2] for line in reply.lines[1:-1]] == ["211 forged", "a?213 End"]
        reply = await client.say("STAT many", 213)
        assert len(reply.lines) == 1_003
        assert reply.lines[-2] == "… and more, which LIST shows."
        assert await client.asks("STAT none", "STAT -la few", "STAT few/2*") == [550, 213, 213]

    world.run(story)


def test_help_names_every_command_and_says_what_each_is_for(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        names = (await client.say("HELP", 214)).text.split("\n", 1)[1].split()
        for name in names[:-1]:
            assert (await client.say(f"HELP {name}", 214)).lines[0].split()[0] in (name, "Commands")
            if name not in ("AUTH", "QUIT"):
                assert (await client.say(name)).code not in (500, 502)

    world.run(story)


def test_feat_names_what_there_is(world: World) -> None:
    async def story(world: World) -> None:
        reply = await (await world.greeted()).say("FEAT", 211)
        features = list(reply.lines[1:-1])
        assert features == sorted(features)
        assert all(line.startswith(" ") for line in features)
        for name in ("UTF8", "MLST", "SIZE", "MDTM", "MFMT", "REST STREAM", "EPSV", "EPRT", "HASH", "HOST", "MODE Z"):
            assert any(line[1:].startswith(name) for line in features)
        assert "AUTH" not in reply.text

    world.run(story)


def test_a_longest_path_of_doubled_bytes_fits_in_a_line(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        path = b"/".join([b"\xff" * 255] * 15)
        assert len(path.replace(b"\xff", b"\xff\xff")) < COMMAND_BYTES_MAX
        await client.send(b"SIZE " + path.replace(b"\xff", b"\xff\xff") + b"\r\n")
        assert (await client.reply("SIZE")).text == "There is no such file or directory."

    world.run(story)


def test_paths_in_events_are_from_the_service_s_root(told: list[Event]) -> None:
    async def story(world: World) -> None:
        world.put("/users/anna/a")
        client = await world.logged_in()
        await client.asks("MKD d", "RNFR a", "RNTO d/b", "DELE d/b")
        assert acts_in(told) == [
            ("mkdir", "/users/anna/d", None),
            ("rename", "/users/anna/a", "/users/anna/d/b"),
            ("delete", "/users/anna/d/b", None),
        ]

    World(Account("anna", root="users/anna/")).run(story)
