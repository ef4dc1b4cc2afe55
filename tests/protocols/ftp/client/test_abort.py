"""One thing after the other: transfers that are aborted, cancelled or forgotten, and the command after them."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Any

import pytest

from portside.errors import ConnectionLost, HandlerError
from portside.protocols.ftp.client import Aborted, FtpClient
from support.scripted_ftp import SOON_S, Visit, visit


async def alive(ftp: FtpClient) -> None:
    """Fail unless the session can be used as if nothing had happened."""
    assert await ftp.home() == "/srv/anna"


async def fetch(ftp: FtpClient, **options: Any) -> bytes:
    file = io.BytesIO()
    await ftp.download("x", file, **options)
    return file.getvalue()


async def _long(visit: Visit, argument: str) -> None:
    """Send for ever, until the client has enough."""
    await visit.say("150 Here it comes.")
    connection = await visit.connected()
    with contextlib.suppress(ConnectionLost):
        while True:
            await connection.write(b"x" * 1_000)
    await visit.say("426 Cut off.")


class Signal(io.BytesIO):
    """A file that tells when the first bytes have come."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    def write(self, data: Any) -> int:
        self.begun.set()
        return super().write(data)


def test_a_transfer_can_be_aborted_by_somebody_else() -> None:
    async def act(ftp: FtpClient) -> None:
        file = Signal()
        loading = asyncio.ensure_future(ftp.download("x", file))
        await file.begun.wait()
        await ftp.abort()
        with pytest.raises(Aborted):
            await loading
        await alive(ftp)

    _, said = visit(act, {"RETR": _long})
    assert said[-3:] == ["RETR x", "ABOR", "PWD"]


def test_a_transfer_that_was_cancelled_is_aborted_before_the_next_command() -> None:
    async def act(ftp: FtpClient) -> None:
        file = Signal()
        loading = asyncio.ensure_future(ftp.download("x", file))
        await file.begun.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await alive(ftp)

    _, said = visit(act, {"RETR": _long})
    assert said[-3:] == ["RETR x", "ABOR", "PWD"]


def test_an_abort_with_nothing_under_way_says_nothing() -> None:
    async def act(ftp: FtpClient) -> None:
        await ftp.abort()

    assert visit(act)[1] == []


def test_an_abort_that_gets_one_answer_of_two_is_the_end_of_the_session() -> None:
    async def mute(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        connection = await visit.connected()
        with contextlib.suppress(ConnectionLost):
            await connection.read()

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError):
            await fetch(ftp)
        with pytest.raises(TimeoutError):
            await alive(ftp)
        with pytest.raises(Exception, match="aborted"):
            await alive(ftp)

    visit(act, {"RETR": mute}, timeout_s=SOON_S)


def test_two_things_at_once_are_refused() -> None:
    async def act(ftp: FtpClient) -> None:
        file = Signal()
        loading = asyncio.ensure_future(ftp.download("x", file))
        await file.begun.wait()
        with pytest.raises(HandlerError, match="RETR x is still under way"):
            await ftp.delete("y")
        await ftp.abort()
        with pytest.raises(Aborted):
            await loading

    visit(act, {"RETR": _long})
