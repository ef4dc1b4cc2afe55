"""Data connections: who connects to whom, and that it is nobody else."""

from __future__ import annotations

import asyncio
import io

import pytest

from portside.address import Endpoint, InternetAddress
from portside.errors import ConnectFailed, MalformedMessage
from portside.protocols.ftp.client import FtpClient, NotSupported, Refused
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import HOST, SOON_S, STRANGER, URL, Answer, Data, ScriptedServer, Visit, meet, visit

RETR: dict[str, Answer] = {"RETR": Data(b"content")}


async def fetch(ftp: FtpClient) -> bytes:
    file = io.BytesIO()
    await ftp.download("x", file)
    return file.getvalue()


def ways(said: list[str]) -> list[str]:
    """Return the words about data connections."""
    return [line.partition(" ")[0] for line in said if line[:4] in ("EPSV", "PASV", "EPRT", "PORT")]


# ── passive ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_epsv_is_asked_first() -> None:
    content, said = visit(fetch, RETR)
    assert content == b"content"
    assert ways(said) == ["EPSV"]


@pytest.mark.parametrize("reply", ["500 What?", "502 No.", "501 No such family.", "522 Not this one.", "550 Denied."])
def test_pasv_is_asked_where_there_is_no_epsv_and_from_then_on(reply: str) -> None:
    async def twice(ftp: FtpClient) -> bytes:
        return await fetch(ftp) + await fetch(ftp)

    content, said = visit(twice, {**RETR, "EPSV": reply})
    assert content == b"contentcontent"
    assert ways(said) == ["EPSV", "PASV", "PASV"]


def test_what_may_go_well_later_is_no_reason_to_forget_epsv() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Refused) as caught:
            await fetch(ftp)
        assert caught.value.is_temporary

    _, said = visit(act, {**RETR, "EPSV": "425 All ports are busy."})
    assert ways(said) == ["EPSV"]


def test_a_server_without_any_way_is_said_so() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(NotSupported, match="the server refuses PASV"):
            await fetch(ftp)

    visit(act, {**RETR, "EPSV": "502 No.", "PASV": "502 No."})


def test_an_address_in_pasv_that_is_not_the_server_s_own_is_not_believed() -> None:
    async def forge(visit: Visit, argument: str) -> None:
        visit.listener = await visit.server.network.listen(Endpoint("tcp", host=HOST, port=0))
        address = visit.listener.address
        assert isinstance(address, InternetAddress)
        numbers = f"{STRANGER.replace('.', ',')},{address.port >> 8},{address.port & 255}"
        await visit.say(f"227 Entering Passive Mode ({numbers}).")

    content, _ = visit(fetch, {**RETR, "EPSV": "502 No.", "PASV": forge})
    assert content == b"content"


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("EPSV", "229 Somewhere."),
        ("EPSV", "229 (|||0|)"),
        ("EPSV", "229 (|||70000|)"),
        ("PASV", "227 Entering Passive Mode (1,2,3,4,5)."),
        ("PASV", "227 Entering Passive Mode (192,0,2,1,0,0)."),
    ],
)
def test_a_way_that_leads_nowhere_is_refused(verb: str, reply: str) -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(MalformedMessage, match=f"a reply to {verb} holds"):
            await fetch(ftp)
        assert await ftp.home() == "/srv/anna"  # nothing is lost

    answers: dict[str, Answer] = {} if verb == "EPSV" else {"EPSV": "502 No."}
    visit(act, {**answers, verb: reply})


def test_a_port_where_nobody_listens_is_a_failed_connection() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(ConnectFailed):
            await fetch(ftp)
        assert await ftp.home() == "/srv/anna"

    visit(act, {"EPSV": "229 (|||9|)"})


def test_a_refused_transfer_leaves_no_data_connection() -> None:
    async def act(network: MemoryNetwork, server: ScriptedServer) -> None:
        async with await FtpClient.connect(network, URL) as ftp:
            with pytest.raises(Refused):
                await fetch(ftp)
            listener = server.visits[0].listener
            assert listener is not None
            data = await listener.accept()
            with pytest.raises(Exception, match="reset"):
                await data.read()

    meet(act, {"RETR": "550 No such file."})


# ── active ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_active_the_server_connects_to_us() -> None:
    content, said = visit(fetch, RETR, active=True)
    assert content == b"content"
    assert ways(said) == ["PORT"]
    assert "198,51,100,7," in next(line for line in said if line.startswith("PORT"))


def test_over_ipv6_active_is_eprt() -> None:
    async def act(network: MemoryNetwork, server: ScriptedServer) -> None:
        listener = await network.listen("tcp://[2001:db8::1]:21")

        async def serve() -> None:
            await server._serve(await listener.accept())

        serving = asyncio.ensure_future(serve())
        # The client's own address is of the other family in this world: what it says of itself is what counts here.
        async with await FtpClient.connect(network, "ftp://[2001:db8::1]/", active=True) as ftp:
            ftp.connection._local = InternetAddress("2001:db8::7%eth0", 40_000)  # type: ignore[attr-defined]
            with pytest.raises(NotSupported):
                await fetch(ftp)
        serving.cancel()

    _, server = meet(act, {"EPRT": "502 No."})
    (line,) = [line for line in server.said if line.startswith("EPRT")]
    assert line.startswith("EPRT |2|2001:db8::7|")


def test_a_stranger_who_connects_is_turned_away() -> None:
    async def intrude(visit: Visit, argument: str) -> None:
        await visit.say("150 Here it comes.")
        stranger = await visit.connected(local=STRANGER)
        await stranger.write(b"poison")
        own = await visit.connected()
        await own.write(b"content")
        await own.close()
        await visit.say("226 Done.")

    content, _ = visit(fetch, {"RETR": intrude}, active=True)
    assert content == b"content"


def test_a_server_that_does_not_connect_is_given_up_and_what_it_says_is_heard() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(Refused, match="425 Cannot connect"):
            await fetch(ftp)
        assert await ftp.home() == "/srv/anna"

    visit(act, {"RETR": "150 Here it comes.\r\n425 Cannot connect."}, active=True)


def test_a_server_that_neither_connects_nor_speaks_is_given_up() -> None:
    async def act(ftp: FtpClient) -> None:
        with pytest.raises(TimeoutError, match=r"nothing moved for 5 s|did not open its data connection"):
            await fetch(ftp)

    visit(act, {"RETR": "150 Here it comes."}, active=True, timeout_s=SOON_S)


def test_a_refused_port_closes_ours() -> None:
    async def act(network: MemoryNetwork, server: ScriptedServer) -> None:
        async with await FtpClient.connect(network, URL, active=True) as ftp:
            with pytest.raises(Refused):
                await fetch(ftp)
            assert [address for address in network.listeners if getattr(address, "host", "") != HOST] == []

    meet(act, {"PORT": "500 Illegal."})
