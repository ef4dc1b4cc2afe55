"""``portside connect``: both directions to their end, whatever is at either end."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.cli.client import parse_target
from portside.cli.connect import HexDump, Wishes, show_datagram, show_json, talk, with_crlf
from portside.cli.duplex import Sink, Source
from portside.contracts import Connection
from portside.errors import ConnectionLost, UsageError
from portside.protocols import small
from portside.testing.memory import MemoryNetwork
from support.connecting import connect
from support.waiting import WITHIN_S

INPUT = b"hello\r\nworld\n" + bytes(range(256)) + b"no end"


# ── in memory ────────────────────────────────────────────────────────────────────────────────────────────────────────


def visit(handler: Callable[[Connection], Any], said: bytes, tmp_path: Path, **wishes: Any) -> bytes:
    """Return what a client in a world with only this handler prints, when it says that much and ends."""
    (tmp_path / "in").write_bytes(said)

    async def meet() -> None:
        network = MemoryNetwork()
        endpoint = parse_endpoint("tcp://192.0.2.1:9000")
        listener = await network.listen(endpoint)

        async def serve() -> None:
            async with await listener.accept() as visitor:
                await handler(visitor)

        talking = talk(network, endpoint, Source(source.fileno()), Sink(sink.fileno()), Wishes(**wishes))
        await asyncio.gather(talking, serve())

    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
        asyncio.run(meet())
    return (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_what_goes_in_comes_back_from_an_echo(tmp_path: Path, size: int) -> None:
    said = bytes(range(251)) * (size // 251 + 1)
    assert visit(small.echo, said[:size], tmp_path) == said[:size]


def test_the_rest_is_waited_for_after_the_end_of_the_input(tmp_path: Path) -> None:
    async def late(visitor: Connection) -> None:
        said = [piece async for piece in visitor]
        await visitor.network.sleep(0.01)
        await visitor.write(b"you said ", *said)

    assert visit(late, b"hello", tmp_path) == b"you said hello"


def test_an_answer_before_the_question_is_printed(tmp_path: Path) -> None:
    assert visit(small.daytime_battery(clock=lambda: 0.0).stream, b"", tmp_path) == (  # type: ignore[arg-type]
        b"Thursday, January 1, 1970 00:00:00-UTC\r\n"
    )


def test_lines_are_ended_as_asked(tmp_path: Path) -> None:
    assert visit(small.echo, b"a\nb\r\nc\rd\n\ne", tmp_path, crlf=True) == b"a\r\nb\r\nc\rd\r\n\r\ne"


def test_a_dump_shows_both_directions(tmp_path: Path) -> None:
    async def answer(visitor: Connection) -> None:
        await visitor.read_line()
        await visitor.write(bytes(range(16)), b"!")

    assert visit(answer, b"hi\n", tmp_path, show=HexDump()).decode() == (
        "> 00000000  68 69 0a                                          |hi.|\n"
        "< 00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n"
        "< 00000010  21                                                |!|\n"
    )


def test_json_tells_the_whole_story(tmp_path: Path) -> None:
    lines = visit(small.echo, b"h\xc3\xa9\n", tmp_path, show=show_json).splitlines()
    connected, sent, received, closed = (json.loads(line) for line in lines)
    assert {**connected, "time": 0} == {
        "event": "connected",
        "time": 0,
        "local": {"host": "198.51.100.7", "port": connected["local"]["port"]},
        "peer": {"host": "192.0.2.1", "port": 9000},
        "tls": None,
    }
    assert {**sent, "time": 0} == {"event": "sent", "time": 0, "bytes": 4, "text": "hé\n", "hex": None}
    assert {**received, "event": "sent", "time": 0} == {**sent, "time": 0}
    assert (closed["event"], closed["bytes_in"], closed["bytes_out"]) == ("closed", 4, 4)
    assert 0 <= closed["duration"] < WITHIN_S


def test_a_server_that_breaks_the_connection_is_an_error(tmp_path: Path) -> None:
    async def rude(visitor: Connection) -> None:
        await visitor.read()
        visitor.abort()

    with pytest.raises(ConnectionLost):
        visit(rude, b"hello", tmp_path)


# ── what is shown and read ───────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.text("\r\nx", max_size=5).map(str.encode)))
def test_crlf_does_not_depend_on_how_the_input_is_cut(pieces: list[bytes]) -> None:
    async def cut() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def sent() -> bytes:
        return b"".join([piece async for piece in with_crlf(cut())])

    assert asyncio.run(sent()) == re.sub(rb"(?<!\r)\n", b"\r\n", b"".join(pieces))


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.binary(max_size=40))))
def test_a_dump_can_be_read_back(said: list[tuple[Any, bytes]]) -> None:
    dump = HexDump()
    text = b"".join(dump(direction, data) for direction, data in said).decode("ascii")
    for direction, mark in (("in", "<"), ("out", ">")):
        rows = [line for line in text.splitlines() if line.startswith(mark)]
        whole = b"".join(data for way, data in said if way == direction)
        assert b"".join(bytes.fromhex(row[12:60]) for row in rows) == whole
        assert all(row[60:63] == "  |" for row in rows)


@pytest.mark.parametrize(("data", "shown"), [(b"a", b"a\n"), (b"a\r\n", b"a\r\n"), (b"", b"\n"), (b"a\n\n", b"a\n\n")])
def test_a_datagram_is_printed_as_a_line(data: bytes, shown: bytes) -> None:
    assert show_datagram("in", data) == shown
    assert show_datagram("out", data) == b""


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (":9000", "tcp://localhost:9000"),
        ("0.0.0.0:1", "tcp://localhost:1"),
        ("udp://[::]:1", "udp://localhost:1"),
        ("example.org:25", "tcp://example.org:25"),
        ("unix:@name", "unix:@name"),
    ],
)
def test_a_target_is_a_place_to_connect_to(text: str, target: str) -> None:
    assert str(parse_target(text)) == target


@pytest.mark.parametrize("text", ["fd://3", "systemd://", "localhost:0", "localhost", "tcp://"])
def test_what_nobody_can_connect_to_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tcq://localhost:1",), "did you mean tcp?"),
        (("localhost",), "the port is missing"),
        (("fd://3",), "nobody can connect to fd://3"),
        (("udp://localhost:1", "--crlf"), "a datagram has no end of line"),
        (("udp://localhost:1", "--tls"), "there is no TLS over UDP here"),
        (("localhost:1", "--hex", "--json"), "give one of them"),
        (("localhost:1", "--tls-insecure"), "is not encrypted"),
        (("localhost:1", "--server-name", "x"), "needs --tls or a tls:// URL"),
        (("tls://localhost:1", "--tls-ca", "/nowhere.pem"), "/nowhere.pem"),
        (("localhost:1", "--timeout", "soon"), "not a duration"),
        (("localhost:1", "--timeout", "0"), "more than 0"),
    ],
)
def test_what_cannot_be_meant_is_said_with_status_2(arguments: tuple[str, ...], said: str) -> None:
    done = connect(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
