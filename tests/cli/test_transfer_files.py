"""One file, whole or not at all, whatever the server does: downloads and checksums, in memory."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import os
from pathlib import Path

import pytest

from portside.cli.progress import Bar, Silent
from portside.cli.transfer_files import Known, Mismatch
from portside.errors import ConnectionLost, LocalError
from portside.protocols.ftp.client import Incomplete, Refused, Unavailable
from support.scripted_ftp import Answer, Data, Visit
from support.transfer_desk import CONTENT, FEAT, LOOK_UP, MODIFIED_NS, TYPE, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# ── downloads ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_download_gets_its_name_when_all_of_it_is_there(desk: Desk) -> None:
    desk.local.write_bytes(b"old")
    done = desk.fetch()
    assert (done.size_bytes, done.moved_bytes, done.offset, done.digest) == (10, 10, 0, None)
    assert desk.local.read_bytes() == CONTENT
    assert desk.local.stat().st_mtime_ns == MODIFIED_NS
    assert desk.names() == ["x"]
    assert desk.said == [*LOOK_UP, "EPSV", "RETR x"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Data(CONTENT[:4]), Incomplete),
        (Data(CONTENT[:4], after="451 Disk failed."), Refused),
        (Data(CONTENT[:4], end="cut", after="421 Leaving."), Refused),
    ],
)
def test_what_breaks_off_is_kept_beside_the_old_file(desk: Desk, answer: Answer, error: type[Exception]) -> None:
    desk.local.write_bytes(b"old")
    with pytest.raises(error):
        desk.fetch({"RETR": answer})
    assert desk.local.read_bytes() == b"old"
    assert desk.part.read_bytes() == CONTENT[:4]


def test_what_never_began_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(Unavailable):
        desk.fetch({"RETR": "550 No such file.", "SIZE": "550 No."})
    assert desk.names() == []


def test_a_broken_download_is_gone_on_with(desk: Desk) -> None:
    desk.part.write_bytes(CONTENT[:4])
    done = desk.fetch({"RETR": Data(CONTENT[4:])}, resume=True)
    assert (done.size_bytes, done.moved_bytes, done.offset) == (10, 6, 4)
    assert desk.local.read_bytes() == CONTENT
    assert desk.names() == ["x"]
    assert "REST 4" in desk.said


def test_one_that_only_lacks_its_name_gets_it(desk: Desk) -> None:
    desk.part.write_bytes(CONTENT)
    assert desk.fetch(resume=True).moved_bytes == 0
    assert desk.names() == ["x"]
    assert desk.said == LOOK_UP


@pytest.mark.parametrize("resume", [False, True])
def test_what_cannot_be_the_beginning_of_the_file_is_not_gone_on_with(desk: Desk, resume: bool) -> None:
    desk.part.write_bytes(b"from another time")
    if not resume:  # not asked for
        desk.part.write_bytes(CONTENT[:4])
    desk.fetch(resume=resume)
    assert desk.local.read_bytes() == CONTENT
    assert "REST" not in " ".join(desk.said)


def test_a_file_that_changed_on_the_server_since_is_fetched_anew(desk: Desk) -> None:
    desk.part.write_bytes(b"old")
    os.utime(desk.part, ns=(MODIFIED_NS - 1, MODIFIED_NS - 1))
    desk.fetch(resume=True)
    assert desk.local.read_bytes() == CONTENT


def test_a_server_that_cannot_begin_in_the_middle_begins_anew(desk: Desk) -> None:
    desk.part.write_bytes(b"abcd")
    done = desk.fetch({"REST": "502 No."}, resume=True)
    assert (done.moved_bytes, done.offset) == (10, 0)
    assert desk.local.read_bytes() == CONTENT


def test_what_is_known_is_not_asked(desk: Desk) -> None:
    desk.fetch(known=Known(10, None))
    assert desk.said == [TYPE, "EPSV", "RETR x"]
    assert desk.local.stat().st_mtime_ns > MODIFIED_NS


def test_with_mlst_one_question_does(desk: Desk) -> None:
    facts = "250-\r\n type=file;size=10;modify=20231114221320; x\r\n250 ."
    desk.fetch({"FEAT": "211-\r\n MLST type*;size*;modify*;unique*;\r\n211 .", "MLST": facts})
    assert desk.said == ["MLST x", TYPE, "EPSV", "RETR x"]
    assert desk.local.stat().st_mtime_ns == MODIFIED_NS


def test_a_directory_is_no_file(desk: Desk) -> None:
    with pytest.raises(IsADirectoryError, match="portside mirror"):
        desk.fetch(
            {"FEAT": "211-\r\n MLST type*;size*;modify*;unique*;\r\n211 .", "MLST": "250-\r\n type=dir; x\r\n250 ."}
        )
    desk.local.mkdir()
    with pytest.raises(IsADirectoryError):
        desk.fetch()
    assert desk.names() == ["x"]


def test_nothing_is_written_through_a_link_or_into_a_fifo(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    desk.part.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"):
        desk.fetch()
    assert (tmp_path / "victim").read_bytes() == b"mine"
    desk.part.unlink()
    os.mkfifo(desk.part)
    with pytest.raises(LocalError, match="no regular file"):
        desk.fetch()


def test_a_link_at_the_file_s_own_name_is_replaced_and_not_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    desk.local.symlink_to(tmp_path / "victim")
    desk.fetch()
    assert not desk.local.is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_two_do_not_write_one_file(desk: Desk) -> None:
    desk.part.write_bytes(b"abc")
    with open(desk.part, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LocalError, match="written by somebody else"):
            desk.fetch()
    assert desk.part.read_bytes() == b"abc"


class Impatient(Silent):
    """Shows nothing, and interrupts who shows it as soon as something has come."""

    def begin(self, label: str, total_bytes: int | None, done_bytes: int = 0) -> Bar:
        return self

    def move(self, moved_bytes: int) -> None:
        task = asyncio.current_task()
        if moved_bytes and task is not None:
            task.cancel()

    def end(self) -> None:
        """Take nothing off."""


def test_an_interrupted_download_says_what_it_keeps(desk: Desk) -> None:
    told = io.StringIO()
    with pytest.raises(asyncio.CancelledError):
        desk.fetch({"RETR": Data(CONTENT[:4], end="hang")}, progress=Impatient(told))
    assert desk.part.read_bytes() == CONTENT[:4]
    assert told.getvalue() == f"{desk.part} keeps what came, 4 bytes: --resume goes on behind them\n"


# ── checksums ────────────────────────────────────────────────────────────────────────────────────────────────────────

SHA = hashlib.sha256(CONTENT).hexdigest()
WITH_HASH: dict[str, Answer] = {
    "FEAT": FEAT.replace(" SIZE", " SIZE\r\n HASH SHA-256*"),
    "OPTS": "200 SHA-256",
    "HASH": f"213 SHA-256 0-9 {SHA} x",
}


def test_both_sides_are_compared(desk: Desk) -> None:
    down = desk.fetch(WITH_HASH, verify=True)
    up = desk.send(WITH_HASH, verify=True)
    assert down.digest is not None
    assert up.digest is not None
    assert (down.digest.digest, up.digest.digest) == (SHA, SHA)


def test_a_download_with_other_bytes_never_gets_its_name(desk: Desk) -> None:
    with pytest.raises(Mismatch, match=f"x: the SHA-256 here is .*, the server's is {SHA}"):
        desk.fetch({**WITH_HASH, "RETR": Data(b"x" * 10)}, verify=True)
    assert desk.names() == []  # nor is it gone on with


def test_an_upload_that_arrived_otherwise_is_said(desk: Desk) -> None:
    desk.local.write_bytes(b"x" * 10)
    with pytest.raises(Mismatch):
        desk.send(WITH_HASH, verify=True)
    assert desk.local.read_bytes() == b"x" * 10


def test_a_server_without_checksums_is_said_so(desk: Desk) -> None:
    assert desk.fetch(verify=True).digest is None
    assert desk.told == "x: not verified, the server has no checksums; the sizes are the same\n"


def test_a_lost_connection_is_told_as_one(desk: Desk) -> None:
    async def leave(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        connection = await visit.connected()
        await connection.write(CONTENT[:4])
        await visit.control.close()

    with pytest.raises(ConnectionLost):
        desk.fetch({"RETR": leave})
