"""What runs when a file has come: after it is in place, beside the session, and whatever it does itself."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portside.accounts.account import Account
from portside.errors import UsageError
from portside.events import FileActed
from portside.protocols.ftp.hooks import Hook, HookFunction, hook_of
from portside.testing.memory import CLIENT, MemoryNetwork
from support.ftp_visits import World

EVENT = FileActed("ftp", "1-1", CLIENT, "anna", "upload", "/users/a b", size_bytes=5, digest="sha-256:00")


def run(hook: Hook, event: FileActed = EVENT) -> None:
    asyncio.run(hook.run(MemoryNetwork(), event))


# ── beside a session ─────────────────────────────────────────────────────────────────────────────────────────────────


def hooked(function: HookFunction, **changes: Any) -> World:
    return World(Account("anna", root="/users", sessions_max=1), hook=Hook("test:hook", function), **changes)


def test_it_hears_of_each_upload_when_the_file_is_in_place() -> None:
    heard: list[tuple[str, str, int | None, bytes]] = []

    def hook(event: FileActed) -> None:
        heard.append((event.act, event.path, event.size_bytes, world.content(event.path)))

    async def story(world: World) -> None:
        world.storage.make_directory("/users")
        client = await world.logged_in()
        await client.give("STOR a", b"12345")
        await client.give("APPE a", b"678")
        await client.give("STOU", b"9")
        await client.take("RETR a")
        await client.asks("MKD d", "RNFR a", "RNTO b", "DELE b")

    world = hooked(hook)
    world.run(story)
    (name,) = world.names("/users") - {"d"}
    assert heard == [
        ("upload", "/users/a", 5, b"12345"),
        ("append", "/users/a", 3, b"12345678"),
        ("upload", f"/users/{name}", 1, b"9"),
    ]


def test_it_does_not_hear_of_what_did_not_come_about() -> None:
    heard: list[FileActed] = []

    async def story(world: World) -> None:
        world.storage.make_directory("/users")
        client = await world.logged_in()
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply()).code == 150
        await data.write(b"123")
        await client.until_served(3)
        data.abort()
        assert (await client.reply("STOR")).code == 426
        await client.asks("STOR none/b", "STOR b")

    hooked(heard.append).run(story)
    assert heard == []


def test_the_digest_is_told_where_it_is_wanted() -> None:
    heard: list[FileActed] = []

    async def story(world: World) -> None:
        world.storage.make_directory("/users")
        client = await world.logged_in()
        await client.give("STOR a", b"content")

    hooked(heard.append, digests=True).run(story)
    assert heard[0].digest == "sha-256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"


class SlowNetwork(MemoryNetwork):
    """A network whose hooks take an hour."""

    async def run_blocking(self, function: Callable[..., Any], *arguments: Any, pool: Any = None) -> Any:
        if pool is not None:
            await self.sleep(3_600.0)
        return await super().run_blocking(function, *arguments)


def test_a_session_waits_for_its_hooks_and_holds_nothing_meanwhile() -> None:
    heard: list[FileActed] = []

    async def story(world: World) -> None:
        world.storage.make_directory("/users")
        client = await world.logged_in()
        began_s = world.network.now_s()
        await client.give("STOR a", b"content")
        await client.say("QUIT", 221)
        assert await client.rest() == b""
        assert world.network.now_s() == began_s
        other = await world.logged_in()  # the only place of the user is free again
        await other.say("QUIT", 221)
        await client.is_left_alone()
        assert world.network.now_s() == began_s + 3_600.0
        assert [event.path for event in heard] == ["/users/a"]

    world = hooked(heard.append)
    world.network = SlowNetwork()
    world.run(story, within_s=1e6)


def test_a_client_that_is_lost_in_the_next_transfer_does_not_end_a_hook() -> None:
    heard: list[FileActed] = []

    async def story(world: World) -> None:
        world.storage.make_directory("/users")
        client = await world.logged_in()
        await client.give("STOR a", b"content")
        await client.passive()
        await client.send("STOR b")
        assert (await client.reply()).code == 150
        client.control.abort()
        await client.leave()
        assert [event.path for event in heard] == ["/users/a"]

    world = hooked(heard.append)
    world.network = SlowNetwork()
    world.run(story, within_s=1e6)


def test_one_that_fails_is_a_record_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: FileActed) -> None:
        raise ZeroDivisionError

    async def story(world: World) -> None:
        world.storage.make_directory("/users")
        client = await world.logged_in()
        await client.give("STOR a", b"content")
        assert await client.asks("SIZE a", "QUIT") == [213, 221]
        await client.is_left_alone()

    hooked(hook).run(story)
    (record,) = caplog.records
    assert record.getMessage() == "the hook test:hook failed for /users/a"
    assert record.exc_info is not None


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A command that writes down how it was called."""
    path = tmp_path / "told here.sh"
    path.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/words\nenv | grep ^PORTSIDE_FTP_ | sort > {tmp_path}/env\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_command_is_told_the_file_and_the_facts(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTSIDE_FTP_DIGEST", raising=False)
    run(hook_of(f"'{script}' --flag 'two words'", "/srv/ftp"))
    assert (script.parent / "words").read_text().splitlines() == ["--flag", "two words", "/srv/ftp/users/a b"]
    assert (script.parent / "env").read_text().splitlines() == [
        "PORTSIDE_FTP_BYTES=5",
        "PORTSIDE_FTP_DIGEST=sha-256:00",
        "PORTSIDE_FTP_PATH=/users/a b",
        f"PORTSIDE_FTP_PEER={CLIENT}",
        "PORTSIDE_FTP_USER=anna",
    ]


@pytest.mark.parametrize("name", ["$(touch forged)", "; touch forged", "`touch forged`", "-rf", "a\nb", "\udcff"])
def test_a_name_is_a_word_and_never_a_command(script: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(script.parent)
    run(hook_of(f"'{script}'", "root"), FileActed("ftp", "1-1", CLIENT, "anna", "upload", f"/{name}", size_bytes=0))
    assert (script.parent / "words").read_bytes() == os.fsencode(f"root/{name}\n")
    assert not (script.parent / "forged").exists()


def test_a_command_that_fails_is_a_record_with_what_it_said(caplog: pytest.LogCaptureFixture) -> None:
    run(hook_of(f"{sys.executable} -c 'print(\"no room\"); raise SystemExit(3)'", "root"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"the hook {sys.executable} ended with status 3: no room"


def test_a_command_that_is_not_there_is_a_record(caplog: pytest.LogCaptureFixture) -> None:
    run(hook_of("./no-such-command", "root"))
    (record,) = caplog.records
    assert record.getMessage() == "the hook ./no-such-command failed for /users/a b"


# ── functions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_function_is_imported_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_hooks_of_ftp.py").write_text("heard = []\nclass Deep:\n    run = staticmethod(heard.append)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    run(hook_of("my_hooks_of_ftp:Deep.run", "root"))
    assert sys.modules.pop("my_hooks_of_ftp").heard == [EVENT]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no_such_module_at_all:run", "cannot be loaded: No module named"),
        ("os:no_such_name", "cannot be loaded: module 'os' has no attribute"),
        ("os:sep", "is nothing that can be called"),
        ("", "is MODULE:FUNCTION or a command"),
        ("'unclosed", "cannot be read"),
    ],
)
def test_what_is_no_hook_is_said_before_anything_is_served(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        hook_of(text, "root")
