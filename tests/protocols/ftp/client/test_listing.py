"""Directories, entry by entry: by MLSD, or by LIST where there is nothing better."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from portside.errors import ConnectionLost, HandlerError, LineTooLong, MalformedMessage
from portside.protocols.ftp.client import Aborted, FtpClient, Incomplete, Refused, RemoteEntry, Unavailable
from portside.testing.memory import MemoryNetwork
from support.certificates import Certificates
from support.scripted_ftp import HOST, SOON_S, URL, Answer, Data, ScriptedServer, Visit, meet, visit

FACTS = b"type=cdir; .\r\ntype=file;size=3; a b.txt\r\ntype=dir;modify=20231114221320; sub\r\n"
ENTRIES = [
    RemoteEntry("a b.txt", "file", 3),
    RemoteEntry("sub", "directory", modified_ns=1_700_000_000_000_000_000, is_exact=True),
]
LINES = b"total 4\r\ndrwxr-xr-x 2 ftp ftp 4096 Nov 14  2022 .\r\n-rw-r--r-- 1 ftp ftp 3 Nov 14  2022 a b.txt\r\n"
NO_MLSD: dict[str, Answer] = {"FEAT": "211-\r\n SIZE\r\n211 .", "LIST": Data(LINES)}


async def names(ftp: FtpClient, path: str = "sub") -> list[str]:
    return [entry.name async for entry in ftp.list(path)]


async def alive(ftp: FtpClient) -> None:
    assert await ftp.home() == "/srv/anna"


# ── MLSD ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("early", [False, True])
def test_facts_are_listed_without_the_directory_itself(early: bool) -> None:
    async def act(ftp: FtpClient) -> list[RemoteEntry]:
        entries = [entry async for entry in ftp.list("a dir")]
        await alive(ftp)
        return entries

    entries, said = visit(act, {"MLSD": Data(FACTS, early=early)})
    assert entries == ENTRIES
    assert said == ["EPSV", "MLSD a dir", "PWD"]


def test_the_directory_of_the_login_needs_no_name_and_an_empty_one_has_no_entries() -> None:
    async def act(ftp: FtpClient) -> list[str]:
        return await names(ftp, "")

    assert visit(act, {"MLSD": Data(b"")}) == ([], ["EPSV", "MLSD"])
    assert visit(act, {"MLSD": Data(FACTS)}, active=True)[0] == ["a b.txt", "sub"]


def test_a_long_listing_streams() -> None:
    lines = b"".join(b"type=file;size=%d; file-%d\r\n" % (number, number) for number in range(20_000))

    async def act(ftp: FtpClient) -> int:
        return sum([entry.size_bytes or 0 async for entry in ftp.list()])

    assert visit(act, {"MLSD": Data(lines)})[0] == sum(range(20_000))


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        ("550 No such directory.", Unavailable, "the server refuses MLSD sub: 550"),
        (Data(FACTS, after="426 Cut off."), Refused, "426 Cut off"),
        (Data(FACTS, end="reset"), ConnectionLost, "reset"),
        (Data(b"nonsense\r\n"), MalformedMessage, "a line of facts"),
        (Data(b"type=file; ../../etc/passwd\r\n"), MalformedMessage, "no name in a directory"),
        (Data(b"type=file; " + b"x" * 100_000), LineTooLong, "no end of line"),
        (Data(FACTS, after="226 Transfer done (but failed to open directory)."), Unavailable, "failed to open"),
    ],
)
def test_a_listing_that_goes_wrong_says_so_and_the_session_goes_on(
    answer: Answer, error: type[Exception], sentence: str
) -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(error, match=sentence):
            await names(ftp)
        await alive(ftp)

    visit(act, {"MLSD": answer, "ABOR": "226 Nothing to abort."})


def test_a_listing_in_which_nothing_comes_is_given_up() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match="nothing moved for 5 s"):
            await names(ftp)

    visit(act, {"MLSD": Data(FACTS, end="hang")}, timeout_s=SOON_S)


def test_no_last_reply_is_no_complete_listing() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match="no answer to the end of MLSD sub within 5 s"):
            await names(ftp)

    visit(act, {"MLSD": Data(FACTS, after="")}, timeout_s=SOON_S)


def test_a_listing_that_ends_without_tls_s_own_end_is_not_complete(certificates: Certificates) -> None:
    async def auth(visit: Visit, argument: str) -> None:
        await visit.say("234 Go on.")
        assert visit.server.tls is not None
        await visit.control.start_tls(visit.server.tls)

    async def act(network: MemoryNetwork, server: ScriptedServer) -> None:
        async with await FtpClient.connect(network, URL, tls=certificates.client_context()) as ftp:
            with pytest.raises(Incomplete, match="close_notify"):
                await names(ftp)
            await alive(ftp)

    server_tls: ssl.SSLContext = certificates.server_context(certificates.issue(HOST))
    meet(act, {"AUTH": auth, "MLSD": Data(FACTS, end="cut")}, tls=server_tls)


# ── LIST ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_there_is_no_mlsd_people_s_listing_is_read_in_the_directory_itself() -> None:
    async def act(ftp: FtpClient) -> list[RemoteEntry]:
        entries = [entry async for entry in ftp.list("-l *")]
        await alive(ftp)
        return entries

    (entry,), said = visit(act, NO_MLSD)
    assert (entry.name, entry.kind, entry.size_bytes, entry.is_exact) == ("a b.txt", "file", 3, False)
    assert said == ["TYPE A", "SYST", "PWD", "CWD -l *", "EPSV", "LIST -a", "CWD /srv/anna", "PWD"]


def test_the_options_of_ls_are_for_servers_that_may_know_them() -> None:
    async def act(ftp: FtpClient) -> list[str]:
        return await names(ftp, "")

    assert visit(act, {**NO_MLSD, "SYST": "215 Windows_NT"})[1] == ["TYPE A", "SYST", "EPSV", "LIST"]
    assert visit(act, {**NO_MLSD, "SYST": "500 What?"})[1][-1] == "LIST"
    refused = visit(act, {**NO_MLSD, "LIST -a": "550 There is no -a."})
    assert refused == (["a b.txt"], ["TYPE A", "SYST", "EPSV", "LIST -a", "EPSV", "LIST"])


def test_mlsd_is_tried_once_where_the_server_does_not_tell() -> None:
    async def act(ftp: FtpClient) -> list[str]:
        return [*await names(ftp, ""), *await names(ftp, "")]

    found, said = visit(act, {"FEAT": "500 What?", "LIST": Data(LINES)})
    assert found == ["a b.txt", "a b.txt"]
    assert [line for line in said if line == "MLSD"] == ["MLSD"]


def test_a_server_that_is_busy_is_not_asked_in_another_way() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Refused, match="450"):
            await names(ftp, "")

    assert visit(act, {**NO_MLSD, "LIST": "450 Busy."})[1][-1] == "LIST -a"


# ── leaving one ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _endless(visit: Visit, argument: str) -> None:
    await visit.say("150 Here it comes.")
    connection = await visit.connected()
    with contextlib.suppress(ConnectionLost):
        while True:
            await connection.write(FACTS)
    await visit.say("426 Cut off.")


def test_nothing_else_is_done_while_a_listing_is_read() -> None:
    async def act(ftp: FtpClient) -> None:
        listing = ftp.list()
        assert (await anext(listing)).name == "a b.txt"
        with pytest.raises(HandlerError, match="MLSD is still under way"):
            await ftp.delete("x")
        assert (await anext(listing)).name == "sub"
        await listing.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(listing)
        await alive(ftp)

    _, said = visit(act, {"MLSD": _endless})
    assert said == ["EPSV", "MLSD", "ABOR", "PWD"]


def test_a_listing_nobody_holds_any_more_is_aborted_before_the_next_command() -> None:
    async def act(ftp: FtpClient) -> None:
        async for _ in ftp.list():
            break
        await alive(ftp)

    _, said = visit(act, {"MLSD": _endless})
    assert said == ["EPSV", "MLSD", "ABOR", "PWD"]


def test_a_listing_that_is_aborted_says_so() -> None:
    async def act(ftp: FtpClient) -> None:
        listing = ftp.list()
        await anext(listing)
        await ftp.abort()
        with pytest.raises(Aborted):
            await anext(listing)
        await alive(ftp)

    visit(act, {"MLSD": _endless})


def test_a_listing_whose_reader_was_cancelled_is_aborted_before_the_next_command() -> None:
    announced = asyncio.Event()

    async def stall(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        connection = await visit.connected()
        announced.set()
        with contextlib.suppress(ConnectionLost):
            await connection.read()
        await visit.say("426 Cut off.")

    async def act(ftp: FtpClient) -> None:
        listing = ftp.list()
        waiting = asyncio.ensure_future(anext(listing))
        await announced.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await alive(ftp)

    _, said = visit(act, {"MLSD": stall})
    assert said == ["EPSV", "MLSD", "ABOR", "PWD"]
