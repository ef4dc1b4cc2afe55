"""Servers that say anything at all: what a client of theirs sees is an error of the peer, and soon."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.errors import MalformedMessage, PeerError, PortsideError
from portside.protocols.ftp.client import FtpClient
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import SOON_S, URL, Answer, Data, ScriptedServer, Visit, meet, visit

CODES = st.sampled_from(
    [b"120", b"150", b"200", b"211", b"220", b"226", b"229", b"230", b"331", b"332", b"421", b"550"]
)
TEXTS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"(|||21|)", b"(|||9|)", b"(192,0,2,1,0,21)", b"(10,0,0,1,4,1)", b'"/"', b"UNIX", b"MLST size*;"]),
)
LINES = st.builds(
    lambda code, mark, text, end: code + mark + text + end,
    *(CODES, st.sampled_from([b" ", b"-", b""]), TEXTS, st.sampled_from([b"\r\n", b"\n", b"\r\n "])),
)


@given(st.lists(st.one_of(LINES, st.binary(max_size=40)), max_size=25))
@settings(max_examples=150)
def test_whatever_a_server_says_the_client_comes_to_an_end(pieces: list[bytes]) -> None:
    """All of it is there at once, or comes as it is asked for; then the server leaves."""

    async def act(network: MemoryNetwork, server: ScriptedServer) -> None:
        with contextlib.suppress(PortsideError, TimeoutError):
            async with await FtpClient.connect(network, URL, timeout_s=SOON_S) as ftp:
                with contextlib.suppress(PortsideError, TimeoutError):
                    await ftp.download("x", io.BytesIO())
                with contextlib.suppress(PortsideError, TimeoutError):
                    assert all("/" not in entry.name for entry in [entry async for entry in ftp.list("d")])
                with contextlib.suppress(PortsideError, TimeoutError):
                    await ftp.digest("x")

    async def say(visit: Visit, argument: str) -> None:
        with contextlib.suppress(PortsideError):
            await visit.control.write(*pieces)
        await visit.control.write_eof()

    meet(act, {"": say})


@given(st.lists(st.tuples(st.sampled_from(["FEAT", "EPSV", "SIZE", "RETR", "MLSD", "TYPE", "PWD"]), LINES), max_size=5))
@settings(max_examples=100)
def test_a_server_that_is_mad_at_times_does_no_harm(answers: list[tuple[str, bytes]]) -> None:
    async def act(ftp: FtpClient) -> None:
        for once in (ftp.download("x", io.BytesIO()), ftp.home(), ftp.size("y")):
            with contextlib.suppress(PortsideError, TimeoutError):
                await once

    polite: dict[str, Answer] = {"RETR": Data(b"content")}
    mad: dict[str, Answer] = {verb: line.decode("utf-8", "surrogateescape") for verb, line in answers}
    with contextlib.suppress(PortsideError, TimeoutError):
        visit(act, {**polite, **mad}, timeout_s=SOON_S)


def test_a_reply_without_end_is_given_up() -> None:
    async def babble(visit: Visit, argument: str) -> None:
        await visit.say("220-Welcome")
        while True:
            await visit.say("to a very long story")

    async def mumble(visit: Visit, argument: str) -> None:
        while True:
            await visit.control.write(b"220" + b"x" * 1_000)

    async def hesitate(visit: Visit, argument: str) -> None:
        while True:
            await visit.say("120 A moment more.")

    async def act(ftp: FtpClient) -> None:
        raise AssertionError("nobody is let in")

    for answer in (babble, mumble):
        with pytest.raises(MalformedMessage):
            visit(act, {"": answer})
    with pytest.raises(PeerError):
        visit(act, {"": hesitate})


def test_replies_that_nobody_asked_for_are_not_taken_for_others_for_ever() -> None:
    """One too many shifts all that follow: what it leads to is an error, not a file that is not what was asked for."""

    async def act(ftp: FtpClient) -> None:
        await ftp.size("x")
        with pytest.raises(PeerError):
            await ftp.download("x", io.BytesIO(), size_bytes=7)

    visit(act, {"SIZE": "213 1\r\n200 And more.", "RETR": Data(b"content")})


def test_a_data_connection_that_is_never_used_is_let_go() -> None:
    async def act(network: MemoryNetwork, server: ScriptedServer) -> bool:
        async with await FtpClient.connect(network, URL) as ftp:
            with contextlib.suppress(PortsideError):
                await ftp.download("x", io.BytesIO())
            listener = server.visits[0].listener
            assert listener is not None
            data = await listener.accept()
            with pytest.raises(PortsideError):
                await data.read()
            return True

    assert meet(act, {"RETR": "530 Not you."})[0]
