"""One file, whole or not at all, whatever the server does: uploads, in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.cli.progress import Silent
from portside.cli.transfer_files import Done, Manner, Sent, send
from portside.errors import LocalError
from portside.protocols.ftp.client import FtpClient, Incomplete, Refused
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import Answer, Data, Visit
from support.transfer_desk import CONTENT, MODIFIED_NS, TYPE, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_upload_is_counted_and_keeps_its_time(desk: Desk) -> None:
    desk.local.write_bytes(CONTENT)
    os.utime(desk.local, ns=(MODIFIED_NS, MODIFIED_NS))
    done = desk.send()
    assert (done.size_bytes, done.moved_bytes, done.offset) == (10, 10, 0)
    assert desk.received == CONTENT
    assert desk.said == [TYPE, "EPSV", "STOR x", "SIZE x", "MFMT 20231114221320 x"]
    assert desk.told == ""


def test_an_upload_of_which_the_server_has_less_is_not_complete(desk: Desk) -> None:
    desk.local.write_bytes(CONTENT)
    with pytest.raises(Incomplete, match="the server has 9 bytes of 10"):
        desk.send({"SIZE": "213 9"})


def test_a_time_that_cannot_be_kept_is_no_failure(desk: Desk) -> None:
    desk.local.write_bytes(CONTENT)
    desk.send({"MFMT": "550 Not yours."})
    assert desk.received == CONTENT


@pytest.mark.parametrize(("there", "offset"), [("213 4", 4), ("213 11", 0), ("550 No.", 0)])
def test_an_upload_is_gone_on_with_where_the_server_has_a_beginning(desk: Desk, there: str, offset: int) -> None:
    desk.local.write_bytes(CONTENT)
    answered: list[str] = []

    async def size(visit: Visit, argument: str) -> None:
        await visit.say("213 10" if answered else there)
        answered.append(argument)

    done = desk.send({"SIZE": size}, resume=True)
    assert (done.offset, done.moved_bytes) == (offset, 10 - offset)
    assert desk.received == CONTENT[offset:]


def test_an_upload_that_is_there_is_not_sent(desk: Desk) -> None:
    desk.local.write_bytes(CONTENT)
    assert desk.send(resume=True).moved_bytes == 0
    assert "STOR x" not in desk.said


def test_a_server_that_cannot_begin_in_the_middle_appends(desk: Desk) -> None:
    desk.local.write_bytes(CONTENT)
    os.utime(desk.local, ns=(MODIFIED_NS, MODIFIED_NS))
    answered: list[str] = []

    async def size(visit: Visit, argument: str) -> None:
        await visit.say("213 10" if answered else "213 4")
        answered.append(argument)

    desk.send({"SIZE": size, "REST": "502 No."}, resume=True)
    assert desk.said == [TYPE, "SIZE x", "EPSV", "REST 4", "EPSV", "APPE x", "SIZE x", "MFMT 20231114221320 x"]
    assert desk.received == CONTENT[4:]


LARGE = bytes(range(256)) * 8_000


class Fragile:
    """A server that keeps what it has of an upload, and breaks the first one."""

    def __init__(self, before: bytes | None, *, breaks_after_s: float = 1.0) -> None:
        self.stored = before
        self.offsets: list[int] = []
        self._breaks_after_s: float | None = breaks_after_s
        self._offset = 0

    def answers(self) -> dict[str, Answer]:
        return {"SIZE": self.size, "REST": self.rest, "STOR": self.store}

    async def size(self, visit: Visit, argument: str) -> None:
        await visit.say("550 Nothing." if self.stored is None else f"213 {len(self.stored)}")

    async def rest(self, visit: Visit, argument: str) -> None:
        self._offset = int(argument)
        await visit.say("350 From there on.")

    async def store(self, visit: Visit, argument: str) -> None:
        self.offsets.append(self._offset)
        offset, self._offset = self._offset, 0
        if self._breaks_after_s is None:
            await visit.transfer(Data())
            self.stored = (self.stored or b"")[:offset] + visit.received
            return
        await visit.say("150 Send it.")
        connection = await visit.connected()
        part = await connection.read_exactly(100_000)
        await visit.server.network.sleep(self._breaks_after_s)
        self._breaks_after_s = None
        self.stored = part if self.stored is None else self.stored  # one that is there stays until another is whole
        connection.abort()
        await visit.say("426 Broken.")


def send_twice(desk: Desk, fragile: Fragile, between: Callable[[], object] = lambda: None) -> list[int]:
    """Send, fail, and send again as the same call would; return where each began."""

    async def act(client: FtpClient, network: MemoryNetwork) -> Done:
        sent, manner = Sent(), Manner(network, Silent(None))
        with pytest.raises(Refused):
            await send(client, desk.local, "x", manner, sent)
        between()
        return await send(client, desk.local, "x", manner, sent)

    desk._visit(act, fragile.answers())
    return fragile.offsets


def test_an_upload_that_broke_is_gone_on_with_by_the_same_call(desk: Desk) -> None:
    desk.local.write_bytes(LARGE)
    fragile = Fragile(None)
    assert send_twice(desk, fragile) == [0, 100_000]
    assert fragile.stored == LARGE


@pytest.mark.parametrize(
    "fragile",
    [Fragile(b"an old file" * 100), Fragile(None, breaks_after_s=0.0)],
    ids=["another was there before", "it had not begun"],
)
def test_what_may_not_be_ours_is_not_built_on(desk: Desk, fragile: Fragile) -> None:
    desk.local.write_bytes(LARGE)
    assert send_twice(desk, fragile) == [0, 0]
    assert fragile.stored == LARGE


def test_a_file_that_changed_here_is_sent_anew(desk: Desk) -> None:
    desk.local.write_bytes(LARGE)
    fragile = Fragile(None)
    changed = LARGE[::-1]
    assert send_twice(desk, fragile, lambda: desk.local.write_bytes(changed)) == [0, 0]
    assert fragile.stored == changed


def test_only_regular_files_are_sent(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        desk.send()
    os.mkfifo(desk.local)
    with pytest.raises(LocalError, match="no regular file"):
        desk.send()
    desk.local.unlink()
    desk.local.mkdir()
    with pytest.raises(IsADirectoryError, match="portside mirror"):
        desk.send()
