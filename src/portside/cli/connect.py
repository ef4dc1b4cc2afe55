"""``portside connect``: standard input to a server and its words to standard output, over streams and datagrams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import click

from portside.address import Endpoint
from portside.cli.client import CONNECT_S, client_tls, parse_target, run_client, timeout_option, tls_options, within
from portside.cli.duplex import Patience, Sink, Source, run_all, standard_input, standard_output
from portside.cli.output import json_text
from portside.errors import ConnectionLost, UsageError

if TYPE_CHECKING:
    import ssl

    from portside.contracts import Connection, Datagrams, Network

DATAGRAM_BYTES_MAX: Final = 65_507  # 65,535 less the IPv4 header of 20 bytes and UDP's 8
DATAGRAM_WAIT_S: Final = 1.0  # how long answers are waited for after the input's end

Direction: TypeAlias = Literal["in", "out"]
Show: TypeAlias = Callable[[Direction, bytes], bytes]
"""What to print for bytes that went ``out`` to the server or came ``in`` from it; nothing, perhaps."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line, beside the endpoint. ``show`` None: the bytes that come, as they come."""

    show: Show | None = None
    crlf: bool = False
    timeout_s: float | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


@click.command(short_help="talk to a server from the terminal")
@click.argument("url")
@click.option("--crlf", is_flag=True, help="Send CR LF where the input has LF alone.")
@click.option("--hex", "hexadecimal", is_flag=True, help="Show both directions as a hex dump: > sent, < received.")
@timeout_option(
    "How long connecting may take, and the server may be silent once the input has ended or while it does not read. "
    "Over UDP: how long to wait for answers after the input's end.  [default: 10s to connect; UDP: 1s]"
)
@click.option("--tls", "wants_tls", is_flag=True, help="Encrypt, and verify whom we talk to; as tls:// does.")
@tls_options
@click.option("--server-name", metavar="NAME", help="The name to ask for and to verify.  [default: the URL's host]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for everything that is sent or received.")
def connect(
    url: str,
    *,
    crlf: bool,
    hexadecimal: bool,
    timeout: float | None,
    wants_tls: bool,
    tls_ca: str | None,
    tls_insecure: bool,
    server_name: str | None,
    as_json: bool,
) -> None:
    """Talk to the server at URL: tcp, tls, udp or unix.

    Standard input goes to the server, and what the server says to standard output. At the input's end the connection is
    half-closed, and the rest is waited for. Over UDP each line is a datagram.
    """
    endpoint = parse_target(url)
    if hexadecimal and as_json:
        raise UsageError("--hex and --json are two ways to show the same: give one of them")
    if crlf and endpoint.is_datagram:
        raise UsageError("a datagram has no end of line: --crlf is for streams")
    endpoint, context = client_tls(endpoint, wanted=wants_tls, ca_file=tls_ca, insecure=tls_insecure)
    if server_name is not None and context is None:
        raise UsageError(f"{endpoint} is not encrypted: --server-name needs --tls or a tls:// URL")
    show = HexDump() if hexadecimal else show_json if as_json else None
    wishes = Wishes(show, crlf, timeout, context, server_name)

    async def client(network: Network) -> None:
        await talk(network, endpoint, standard_input(), standard_output(), wishes)

    run_client(client)


async def talk(network: Network, endpoint: Endpoint, source: Source, sink: Sink, wishes: Wishes) -> None:
    """Carry the conversation to its end.

    Raises: NetworkError, PeerError, TimeoutError when it could not be carried there; BrokenPipeError when nobody reads
    the sink any more.
    """
    if endpoint.is_datagram:
        wait_s = DATAGRAM_WAIT_S if wishes.timeout_s is None else wishes.timeout_s
        async with await network.open_datagrams(endpoint, connect=True) as datagrams:
            await _exchange(datagrams, source, sink, wishes.show or show_datagram, wait_s)
        return
    wait_s = CONNECT_S if wishes.timeout_s is None else wishes.timeout_s
    connecting = network.connect(endpoint, timeout_s=wait_s, tls=wishes.tls, server_name=wishes.server_name)
    connection = await within(wait_s, f"no connection to {endpoint}", connecting)
    try:
        await _converse(connection, source, sink, wishes)
    except BaseException:
        connection.abort()  # a close would wait for what nobody wants any more
        raise
    await connection.close()


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _converse(connection: Connection, source: Source, sink: Sink, wishes: Wishes) -> None:
    patience = Patience(wishes.timeout_s, "nothing moved")
    show = wishes.show or show_bytes
    if show is show_json:
        await sink.write(_connected(connection))
    await run_all(
        patience,
        _send(connection, source, sink, show, patience, crlf=wishes.crlf),
        _receive(connection, source, sink, show, patience),
    )
    if show is show_json:
        await sink.write(_closed(connection))


async def _send(
    connection: Connection, source: Source, sink: Sink, show: Show, patience: Patience, *, crlf: bool
) -> None:
    pieces = source.pieces()
    async for piece in with_crlf(pieces) if crlf else pieces:
        await sink.write(show("out", piece))  # before it can be answered
        with patience.tried():
            await connection.write(piece)
    with contextlib.suppress(ConnectionLost):  # all of the input was accepted; if answers are missing, reading says so
        await connection.write_eof()
    patience.begin()


async def _receive(connection: Connection, source: Source, sink: Sink, show: Show, patience: Patience) -> None:
    async for piece in connection:
        with patience.spared():
            await sink.write(show("in", piece))
    # A server that says no more seldom listens on: what can be read of the input at once still goes out, but nobody
    # has to end it by hand.
    source.hurry()


async def with_crlf(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces with CR LF for each LF that has no CR before it, wherever the pieces were cut."""
    after_cr = False
    async for piece in pieces:
        kept = 1 if after_cr and piece.startswith(b"\n") else 0
        after_cr = piece.endswith(b"\r") or (after_cr and not piece)
        # Those that have their CR lose it first, so that none gets two.
        yield piece[:kept] + piece[kept:].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _exchange(datagrams: Datagrams, source: Source, sink: Sink, show: Show, wait_s: float) -> None:
    async def ask() -> None:
        async for lines in source.lines(DATAGRAM_BYTES_MAX):
            for line in lines:
                await sink.write(show("out", line))
                await datagrams.send(line)
        await asyncio.sleep(wait_s)

    async def hear() -> None:
        while True:
            message = await datagrams.receive()
            await sink.write(show("in", message.data))

    asking, hearing = asyncio.ensure_future(ask()), asyncio.ensure_future(hear())
    try:
        done, _ = await asyncio.wait((asking, hearing), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (asking, hearing):
            task.cancel()
        await asyncio.gather(asking, hearing, return_exceptions=True)


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


def show_bytes(direction: Direction, data: bytes) -> bytes:
    """Return what came, as it came."""
    return data if direction == "in" else b""


def show_datagram(direction: Direction, data: bytes) -> bytes:
    """Return what came as a line; one that ends its own line gets no second end."""
    return b"" if direction == "out" else data if data.endswith(b"\n") else data + b"\n"


class HexDump:
    """Shows both directions as lines of sixteen bytes, each with its place in its direction's stream.

    ``> 00000000  68 65 6c 6c 6f 0a                                |hello.|``
    """

    _BYTES: Final = 16
    _MARKS: Final = {"out": ">", "in": "<"}

    def __init__(self) -> None:
        self._places = {"out": 0, "in": 0}

    def __call__(self, direction: Direction, data: bytes) -> bytes:
        lines = []
        for start in range(0, len(data), self._BYTES) or (0,):
            row = data[start : start + self._BYTES]
            digits = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            lines.append(f"{self._MARKS[direction]} {self._places[direction]:08x}  {digits}  |{text}|\n")
            self._places[direction] += len(row)
        return "".join(lines).encode("ascii")


def show_json(direction: Direction, data: bytes) -> bytes:
    """Return an object that tells what was sent or received: as text where it is UTF-8, else in hexadecimal."""
    try:
        text: str | None = data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    return _event(
        "received" if direction == "in" else "sent",
        bytes=len(data),
        text=text,
        hex=data.hex() if text is None else None,
    )


def _event(what: str, **facts: object) -> bytes:
    return json_text({"event": what, "time": datetime.now(UTC), **facts}).encode("ascii") + b"\n"


def _connected(connection: Connection) -> bytes:
    tls = connection.tls
    agreed = None if tls is None else {"version": tls.version, "cipher": tls.cipher, "alpn": tls.alpn}
    return _event("connected", local=connection.local, peer=connection.peer, tls=agreed)


def _closed(connection: Connection) -> bytes:
    duration_s = (datetime.now(UTC) - connection.started_at).total_seconds()
    return _event("closed", bytes_in=connection.bytes_in, bytes_out=connection.bytes_out, duration=duration_s)
