"""Uploads: when they are complete, and everything that can happen instead."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portside.errors import ConnectionLost
from portside.protocols.ftp.client import FtpClient, NoSpace, Refused
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import SOON_S, URL, Answer, Data, ScriptedServer, Visit, meet, visit

LARGE = bytes(range(256)) * 4_000  # a megabyte: more than any buffer on the way holds


async def alive(ftp: FtpClient) -> None:
    """Fail unless the session can be used as if nothing had happened."""
    assert await ftp.home() == "/srv/anna"


def store(
    source: Any, answers: dict[str, Answer] | None = None, *, options: dict[str, Any] | None = None, **how: Any
) -> tuple[bytes, list[str]]:
    """Upload, and return what the server received and what it was told in between."""

    async def act(network: MemoryNetwork, server: ScriptedServer) -> tuple[bytes, list[str]]:
        async with await FtpClient.connect(network, URL, **(options or {})) as ftp:
            server.said.clear()
            transfer = await ftp.upload("x", source, **how)
            said = list(server.said)
            assert transfer.moved_bytes == len(server.received)
            await alive(ftp)
            return server.received, said

    return meet(act, {"STOR": Data(), "APPE": Data(), **(answers or {})})[0]


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["nothing", "a byte", "a megabyte"])
def test_an_upload_brings_the_file_whole(content: bytes) -> None:
    assert store(io.BytesIO(content)) == (content, ["TYPE I", "EPSV", "STOR x"])
    assert store(io.BytesIO(content), options={"active": True})[0] == content


def test_the_rest_of_a_file_is_stored_behind_what_is_there() -> None:
    assert store(io.BytesIO(b"abcdefg"), offset=4) == (b"efg", ["TYPE I", "EPSV", "REST 4", "STOR x"])
    assert store(io.BytesIO(b"abcdefg"), offset=4, append=True) == (b"efg", ["TYPE I", "EPSV", "APPE x"])


def test_pieces_are_stored_as_they_come_and_may_take_their_time() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        await asyncio.sleep(SOON_S * 3)
        yield b"two"

    assert store(pieces(), options={"timeout_s": SOON_S})[0] == b"one two"


def test_a_source_that_fails_is_said_and_the_session_goes_on() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        raise RuntimeError("there is no two")

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(RuntimeError, match="there is no two"):
            await ftp.upload("x", pieces())
        await alive(ftp)

    visit(act, {"STOR": Data()})


@pytest.mark.parametrize(("code", "error"), [(452, NoSpace), (552, NoSpace), (451, Refused)])
def test_a_server_without_room_is_heard_while_we_still_send(code: int, error: type[Exception]) -> None:
    async def full(visit: Visit, argument: str) -> None:
        await visit.say("150 Send it.")
        connection = await visit.connected()
        await connection.read()
        await visit.say(f"{code} No room.")  # and reads no more, and does not close

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(error, match="No room"):
            await ftp.upload("x", io.BytesIO(LARGE))
        await alive(ftp)

    visit(act, {"STOR": full})


def test_a_reset_is_told_by_what_the_server_says_of_it() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Refused, match="426 Cut off"):
            await ftp.upload("x", io.BytesIO(LARGE))
        await alive(ftp)

    async def reset(visit: Visit, argument: str) -> None:
        await visit.say("150 Send it.")
        (await visit.connected()).abort()
        await visit.say("426 Cut off.")

    visit(act, {"STOR": reset})


def test_a_server_that_says_nothing_of_a_reset_is_not_waited_for() -> None:
    async def reset(visit: Visit, argument: str) -> None:
        await visit.say("150 Send it.")
        (await visit.connected()).abort()

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(ConnectionLost, match="reset"):
            await ftp.upload("x", io.BytesIO(LARGE))

    visit(act, {"STOR": reset, "ABOR": "426 Was cut off.\r\n226 Aborted."})


def test_a_success_that_cannot_be_one_is_not_believed() -> None:
    async def lie(visit: Visit, argument: str) -> None:
        await visit.say("150 Send it.")
        connection = await visit.connected()
        await connection.read()
        connection.abort()
        await visit.say("226 I have it all.")

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(ConnectionLost):
            await ftp.upload("x", io.BytesIO(LARGE))
        await alive(ftp)

    visit(act, {"STOR": lie})


def test_a_server_may_take_its_time_to_write_what_it_has() -> None:
    async def write(visit: Visit, argument: str) -> None:
        await visit.transfer(Data(after=""))
        await visit.server.network.sleep(SOON_S * 10)
        await visit.say("226 On the disk.")

    async def act(ftp: FtpClient) -> None:
        await ftp.upload("x", io.BytesIO(b"123"))
        await alive(ftp)

    visit(act, {"STOR": write}, timeout_s=SOON_S)


def test_a_server_that_never_says_that_it_has_it_is_given_up() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match="nothing moved for 60 s"):
            await ftp.upload("x", io.BytesIO(b"123"))

    visit(act, {"STOR": Data(after="")}, timeout_s=SOON_S)
