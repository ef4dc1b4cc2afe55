"""Downloads: when they are complete, and everything that can happen instead."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
from pathlib import Path
from typing import Any

import pytest

from portside.errors import ConnectionLost, TlsFailed
from portside.protocols.ftp.client import FtpClient, Incomplete, Refused, Unavailable
from portside.testing.memory import MemoryNetwork
from support.certificates import Certificates
from support.scripted_ftp import HOST, SOON_S, URL, Answer, Data, ScriptedServer, Visit, meet, visit

LARGE = bytes(range(256)) * 4_000  # a megabyte: more than any buffer on the way holds


async def alive(ftp: FtpClient) -> None:
    """Fail unless the session can be used as if nothing had happened."""
    assert await ftp.home() == "/srv/anna"


async def fetch(ftp: FtpClient, **options: Any) -> bytes:
    file = io.BytesIO()
    await ftp.download("x", file, **options)
    return file.getvalue()


# ── downloads ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["nothing", "a byte", "a megabyte"])
@pytest.mark.parametrize("early", [False, True], ids=["data first", "reply first"])
def test_a_download_brings_the_file_whole(content: bytes, early: bool) -> None:
    seen: list[int] = []

    async def act(ftp: FtpClient) -> bytes:
        file = io.BytesIO()
        transfer = await ftp.download("a b", file, progress=seen.append)
        assert (transfer.moved_bytes, transfer.offset, transfer.size_bytes) == (len(content), 0, len(content))
        assert transfer.reply.code == 226
        await alive(ftp)
        return file.getvalue()

    brought, said = visit(act, {"SIZE": f"213 {len(content)}", "RETR": Data(content, early=early)})
    assert brought == content
    assert said == ["TYPE I", "SIZE a b", "EPSV", "RETR a b", "PWD"]
    assert seen[-1] == len(content)
    assert seen == sorted(seen)


def test_a_size_that_is_known_is_not_asked_for_and_the_type_is_said_once() -> None:
    async def act(ftp: FtpClient) -> None:
        for _ in range(2):
            await fetch(ftp, size_bytes=1)

    _, said = visit(act, {"RETR": Data(b"x")})
    assert said == ["TYPE I", "EPSV", "RETR x", "EPSV", "RETR x"]


def test_the_rest_of_a_file_is_fetched_behind_what_is_there(tmp_path: Path) -> None:
    async def act(ftp: FtpClient) -> None:
        transfer = await ftp.download("x", file, offset=4, size_bytes=7)
        assert (transfer.moved_bytes, transfer.offset, transfer.size_bytes) == (3, 4, 7)

    (tmp_path / "x").write_bytes(b"abcd")
    with open(tmp_path / "x", "r+b") as file:
        file.seek(4)
        _, said = visit(act, {"RETR": Data(b"efg")})
    assert said == ["TYPE I", "EPSV", "REST 4", "RETR x"]
    assert (tmp_path / "x").read_bytes() == b"abcdefg"


def test_a_server_that_cannot_begin_in_the_middle_says_so_before_anything_moves() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Refused) as caught:
            await fetch(ftp, offset=4, size_bytes=7)
        assert caught.value.command == "REST 4"
        await alive(ftp)

    visit(act, {"REST": "502 No.", "RETR": Data(b"")})


def test_pieces_go_to_whoever_takes_them_and_their_time_is_their_own() -> None:
    async def act(ftp: FtpClient) -> list[bytes]:
        pieces: list[bytes] = []

        async def take(piece: bytes) -> None:
            if not pieces:
                await asyncio.sleep(SOON_S * 3)  # longer than the server may be silent
            pieces.append(piece)

        transfer = await ftp.download("x", take, size_bytes=len(LARGE))
        assert transfer.moved_bytes == len(LARGE)
        return pieces

    pieces, _ = visit(act, {"RETR": Data(LARGE)}, timeout_s=SOON_S)
    assert b"".join(pieces) == LARGE


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"SIZE": "213 9", "RETR": Data(b"12345678")}, "8 bytes came of 9"),
        ({"SIZE": "213 7", "RETR": Data(b"12345678")}, "8 bytes came of 7"),
    ],
)
def test_a_file_of_another_size_is_not_complete(answers: dict[str, Answer], sentence: str) -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Incomplete, match=sentence):
            await fetch(ftp)
        await alive(ftp)

    visit(act, answers)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Data(b"123", after="426 Cut off."), Refused),
        (Data(b"123", after="451 Disk failed."), Refused),
        (Data(b"123", after="226 All well.", end="reset"), ConnectionLost),  # it is not
        (Data(b"123", after="426 Cut off.", end="reset"), Refused),
        ("550 No such file.", Unavailable),
        ("450 Busy.", Unavailable),
    ],
)
def test_a_download_that_goes_wrong_says_so_and_the_session_goes_on(answer: Answer, error: type[Exception]) -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(error):
            await fetch(ftp)
        await alive(ftp)

    _, said = visit(act, {"RETR": answer})
    assert "ABOR" not in said


def test_what_came_before_a_failure_is_kept() -> None:
    async def act(ftp: FtpClient) -> bytes:
        file = io.BytesIO()
        with pytest.raises(Refused, match="451"):
            await ftp.download("x", file)
        await alive(ftp)
        return file.getvalue()

    assert visit(act, {"RETR": Data(LARGE, after="451 Disk failed.", early=True)})[0] == LARGE


def test_a_server_that_leaves_in_the_middle_is_a_lost_connection() -> None:
    async def leave(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        connection = await visit.connected()
        await connection.write(b"123")
        await visit.control.close()
        await asyncio.Event().wait()

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(ConnectionLost, match="the server closed the control connection"):
            await fetch(ftp)

    visit(act, {"RETR": leave})


@pytest.mark.parametrize("data", [Data(b"123", end="hang"), Data(b"123", early=True, end="hang")], ids=["", "early"])
def test_a_transfer_in_which_nothing_moves_is_given_up(data: Data) -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match="nothing moved for 5 s"):
            await fetch(ftp)

    visit(act, {"RETR": data}, timeout_s=SOON_S)


def test_after_a_silence_the_next_command_aborts_first() -> None:
    async def stall(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        connection = await visit.connected()
        with contextlib.suppress(ConnectionLost):
            await connection.read()  # until the client has enough
        await visit.say("426 Cut off.")

    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match="nothing moved"):
            await fetch(ftp)
        await alive(ftp)

    _, said = visit(act, {"RETR": stall}, timeout_s=SOON_S)
    assert said[-3:] == ["RETR x", "ABOR", "PWD"]


def test_no_last_reply_is_no_complete_transfer() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match="nothing moved"):
            await fetch(ftp)

    visit(act, {"RETR": Data(b"123", after="")}, timeout_s=SOON_S)


def test_replies_that_other_servers_give_are_understood() -> None:
    async def act(ftp: FtpClient) -> bytes:
        content = await fetch(ftp)
        await alive(ftp)
        return content

    assert visit(act, {"RETR": Data(b"123", before="200 Type is I.\r\n150 Here.")})[0] == b"123"
    assert visit(act, {"RETR": Data(b"123", before="150 Here.\r\n")})[0] == b"123"  # an empty line
    assert visit(act, {"RETR": Data(b"123", before="226 Done.", after="")})[0] == b"123"  # no preliminary
    assert visit(act, {"RETR": Data(b"123", before="", after="226 Done.", early=True)})[0] == b"123"


class Full(io.BytesIO):
    """A file on a disk without room."""

    def write(self, data: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_on_our_side_is_said_and_the_session_goes_on() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(OSError, match="No space left"):
            await ftp.download("x", Full())
        await alive(ftp)

    visit(act, {"RETR": Data(b"123")})
    visit(act, {"RETR": Data(b"123", after="426 You went away.")})


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _auth(visit: Visit, argument: str) -> None:
    await visit.say("234 Go on.")
    assert visit.server.tls is not None
    await visit.control.start_tls(visit.server.tls)


def fetch_over_tls(certificates: Certificates, answer: Answer, *, timeout_s: float = 30.0) -> tuple[bytes, bool]:
    """Return what came of a download over TLS, and whether its session was resumed."""
    client_context = certificates.client_context()

    async def act(network: MemoryNetwork, server: ScriptedServer) -> tuple[bytes, bool]:
        async with await FtpClient.connect(network, URL, tls=client_context, timeout_s=timeout_s) as ftp:
            content = await fetch(ftp)
            data = server.visits[0].data
            assert data is not None
            assert data.tls is not None
            return content, data.tls.resumed

    server_tls: ssl.SSLContext = certificates.server_context(certificates.issue(HOST))
    return meet(act, {"AUTH": _auth, "RETR": answer}, tls=server_tls)[0]


def test_data_over_tls_resumes_the_session_of_the_control_connection(certificates: Certificates) -> None:
    assert fetch_over_tls(certificates, Data(LARGE)) == (LARGE, True)


def test_a_stream_that_ends_without_tls_s_own_end_is_not_complete(certificates: Certificates) -> None:
    with pytest.raises(Incomplete, match="close_notify"):
        fetch_over_tls(certificates, Data(b"123", end="cut"))


def test_data_that_is_not_tls_is_refused(certificates: Certificates) -> None:
    async def plain(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        connection = await visit.connected()
        await connection.write(b"This is not TLS, and has no intention of becoming it.")
        await connection.close()
        await visit.say("226 Done.")

    with pytest.raises(TlsFailed):
        fetch_over_tls(certificates, plain)


def test_a_data_handshake_that_does_not_come_is_given_up(certificates: Certificates) -> None:
    async def stall(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        await visit.connected()
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="nothing moved"):
        fetch_over_tls(certificates, stall, timeout_s=SOON_S)
