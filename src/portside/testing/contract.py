"""One suite that every implementation of ``contracts.Connection`` passes, so that a handler meets the same everywhere.

Derive from ``ConnectionContract`` in a test module and give it a fixture ``pairs``: something that joins two programs,
one at each end of a connection (``Pairs``). The suite needs pytest.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

import pytest

from portside.address import InternetAddress, UnixAddress, parse_endpoint
from portside.contracts import Network
from portside.errors import (
    AddressInUse,
    ConnectFailed,
    ConnectionClosed,
    ConnectionEnded,
    ConnectionLost,
    EndOfStream,
    HandlerError,
    LineTooLong,
    TlsFailed,
    UsageError,
)
from portside.net.blocking import NETWORK, BlockingConnection
from portside.net.drive import drive
from portside.net.sockets import Socket, accept_nowait, bind, open_stream, sockaddr_of, socketpair
from portside.net.stream import Stream
from portside.testing.memory import MemoryNetwork, pair

Program: TypeAlias = Callable[[Stream], Coroutine[Any, Any, None]]
TlsContexts: TypeAlias = tuple[ssl.SSLContext, ssl.SSLContext]
"""The server's, and that of a client which trusts it under the name SERVER_NAME."""

SERVER_NAME: Final = "server.example"
PATIENCE_S: Final = 20.0  # a test that takes longer hangs
BIG_BYTES: Final = 6 << 20  # more than any socket buffer holds


# ── joining two programs ─────────────────────────────────────────────────────────────────────────────────────────────


class Pairs(ABC):
    """Makes pairs of connected connections. With ``tls`` each program starts when the handshake is done."""

    can_reset = True  # unix sockets know no reset: an abort there is a close

    def __init__(self, *, tls: TlsContexts | None = None) -> None:
        self.tls = tls

    def run(self, server: Program, client: Program) -> None:
        """Run the programs to their ends, each on its end of one connection, close both, raise what they raised."""
        errors = self._run(self._whole(server, is_server=True), self._whole(client, is_server=False))
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("both ends failed", errors)

    def _whole(self, program: Program, *, is_server: bool) -> Program:
        async def whole(connection: Stream) -> None:
            async with connection:
                if self.tls is not None:
                    server_context, client_context = self.tls
                    context = server_context if is_server else client_context
                    name = None if is_server else SERVER_NAME
                    await connection.start_tls(context, server_side=is_server, server_name=name)
                await program(connection)

        return whole

    @abstractmethod
    def _run(self, server: Program, client: Program) -> list[BaseException]: ...


def connected_sockets(kind: str = "tcp") -> tuple[Socket, Socket]:
    """Return a server's and a client's end: ``unix``, or ``tcp``, over IPv4 through a dual-stack listener."""
    if kind == "unix":
        server, client = socketpair()
        return server, client
    (bound,) = bind(parse_endpoint("tcp://[::]:0"))
    with bound.socket:
        address = InternetAddress("127.0.0.1", bound.endpoint.port)
        client = open_stream(address)
        client.setblocking(True)
        client.connect(sockaddr_of(address))
        accepted = accept_nowait(bound.socket)  # over loopback the connection stands when connect() returns
        assert accepted is not None
        return accepted[0], client


class BlockingPairs(Pairs):
    """Blocking sockets, each end in a thread of its own, driven without a loop."""

    def __init__(self, kind: str = "tcp", *, tls: TlsContexts | None = None) -> None:
        super().__init__(tls=tls)
        self._kind = kind
        self.can_reset = kind != "unix"

    def _run(self, server: Program, client: Program) -> list[BaseException]:
        ends = [BlockingConnection(sock, network=NETWORK) for sock in connected_sockets(self._kind)]
        errors: list[BaseException] = []

        def serve(program: Program, connection: BlockingConnection) -> None:
            try:
                drive(program(connection), handler="contract", model="thread")
            except BaseException as error:
                errors.append(error)

        def give_up() -> None:
            for end in ends:
                end.end("stopped")

        watchdog = threading.Timer(PATIENCE_S, give_up)
        watchdog.daemon = True
        watchdog.start()
        thread = threading.Thread(target=serve, args=(server, ends[0]), daemon=True)
        thread.start()
        serve(client, ends[1])
        thread.join()
        watchdog.cancel()
        return errors


class LoopPairs(Pairs):
    """Both ends as tasks of one event loop."""

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        *,
        tls: TlsContexts | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self._loop_factory = loop_factory

    def _run(self, server: Program, client: Program) -> list[BaseException]:
        async def both() -> list[BaseException]:
            async with asyncio.timeout(PATIENCE_S), self._connected(server, client) as ends:
                results = await asyncio.gather(*ends, return_exceptions=True)
            return [result for result in results if result is not None]

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            return runner.run(both())

    @abstractmethod
    def _connected(
        self, server: Program, client: Program
    ) -> contextlib.AbstractAsyncContextManager[Sequence[asyncio.Future[None]]]:
        """Connect, start both programs, and return what tells of their ends."""


class MemoryPairs(LoopPairs):
    """Connections that only live in memory."""

    @contextlib.asynccontextmanager
    async def _connected(self, server: Program, client: Program):  # type: ignore[no-untyped-def]
        server_end, client_end = pair(network=MemoryNetwork())
        yield [asyncio.ensure_future(server(server_end)), asyncio.ensure_future(client(client_end))]


class EventPairs(LoopPairs):
    """Event connections: one end run by its own lane, as a service does, the other used from an ordinary task."""

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        *,
        kind: str = "tcp",
        client_on_lane: bool = False,
        tls: TlsContexts | None = None,
    ) -> None:
        super().__init__(loop_factory, tls=tls)
        self._kind = kind
        self.can_reset = kind != "unix"
        self._client_on_lane = client_on_lane

    @contextlib.asynccontextmanager
    async def _connected(self, server: Program, client: Program):  # type: ignore[no-untyped-def]
        from portside.net.event_network import EventNetwork

        loop = asyncio.get_running_loop()
        network = EventNetwork(loop)
        server_end, client_end = (network.adopt(sock) for sock in connected_sockets(self._kind))
        on_lane, on_task = ((client_end, client), (server_end, server))[:: 1 if self._client_on_lane else -1]
        over: asyncio.Future[None] = loop.create_future()

        def finished(connection: Stream, error: BaseException | None) -> None:
            if error is None:
                over.set_result(None)
            else:
                over.set_exception(error)

        on_lane[0].start(on_lane[1](on_lane[0]), finished)
        try:
            yield [over, asyncio.ensure_future(on_task[1](on_task[0]))]
            await until(network, lambda: all(end._socket.fileno() < 0 for end in (server_end, client_end)))
        finally:
            network.close()


async def until(network: Any, fact: Callable[[], object]) -> None:
    """Wait until the fact holds, on whatever network this is."""
    started_s = network.now_s()
    while not fact():
        assert network.now_s() < started_s + PATIENCE_S, "it never came true"
        await network.sleep(0.001)


# ── the suite ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def nothing(connection: Stream) -> None:
    """Close at once."""


async def read_all(connection: Stream) -> bytes:
    return b"".join([data async for data in connection])


def says(*pieces: bytes) -> Program:
    """Return a program that writes the pieces, half-closes, and waits for the other end to close."""

    async def program(connection: Stream) -> None:
        for piece in pieces:
            await connection.write(piece)
        await connection.write_eof()
        await read_all(connection)

    return program


def pattern(size: int, step: int = 251) -> bytes:
    """Return bytes in which no two places look alike for long: a prime step never falls in with a power of two."""
    return (bytes(range(step)) * (size // step + 1))[:size]


class ReadingContract:
    def test_read_gives_what_is_there_and_then_the_end_for_ever(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read() == b"hello"
            await connection.write(b"go on")
            assert [await connection.read() for _ in range(3)] == [b"", b"", b""]
            assert await connection.read_line() is None
            assert [data async for data in connection] == []

        async def client(connection: Stream) -> None:
            await connection.write(b"hello")
            assert await connection.read_exactly(5) == b"go on"
            await connection.write_eof()
            assert await connection.read() == b""

        pairs.run(server, client)

    def test_read_gives_at_most_its_limit_and_keeps_the_rest(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read(1) == b"a"
            assert await connection.read(2) == b"bc"
            assert await connection.read_exactly(3) == b"def"
            rest = b""
            while data := await connection.read(3):
                assert len(data) <= 3
                rest += data
            assert rest == b"ghijklmnop"

        pairs.run(server, says(b"abcdefghijklmnop"))

    def test_read_after_framing_gives_what_framing_left(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"one"
            assert await connection.read(2) == b"tw"
            assert await connection.read_until(b"e;") == b"o\nthree;"
            assert await read_all(connection) == b"four"

        pairs.run(server, says(b"one\ntwo\nthree;four"))

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_below_one_is_a_mistake(self, pairs: Pairs, limit: int) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises(ValueError, match="limit"):
                await connection.read(limit)

        pairs.run(server, nothing)

    def test_a_timeout_loses_nothing(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises(TimeoutError):
                await connection.read(timeout_s=0.01)
            await connection.write(b"1")
            with pytest.raises(TimeoutError):
                await connection.read_exactly(10, timeout_s=0.05)
            with pytest.raises(TimeoutError):
                await connection.read_line(timeout_s=0.01)
            with pytest.raises(TimeoutError):
                await connection.read_until(b";", timeout_s=0.01)
            await connection.write(b"2")
            assert await connection.read_exactly(10, timeout_s=5) == b"half-whole"
            assert await connection.read(timeout_s=5) == b"!"
            with pytest.raises(TimeoutError):
                await connection.read(timeout_s=0)
            await connection.write(b"3")

        async def client(connection: Stream) -> None:
            assert await connection.read() == b"1"
            await connection.write(b"half-")
            assert await connection.read() == b"2"
            await connection.write(b"whole!")
            assert await connection.read() == b"3"

        pairs.run(server, client)

    def test_read_exactly(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_exactly(0) == b""
            assert await connection.read_exactly(3) == b"abc"
            assert await connection.read_exactly(200_000) == pattern(200_000)
            with pytest.raises(ValueError, match="count"):
                await connection.read_exactly(-1)
            with pytest.raises(EndOfStream) as caught:
                await connection.read_exactly(10)
            assert caught.value.received == b"rest"
            assert await connection.read() == b""
            assert await connection.read_exactly(0) == b""

        pairs.run(server, says(b"a", b"bc" + pattern(100_000), pattern(200_000)[100_000:], b"re", b"st"))

    @pytest.mark.parametrize(
        ("pieces", "lines"),
        [
            ([b"one\ntwo\r\n\n\r\nlast"], [b"one", b"two", b"", b"", b"last"]),
            ([b"one\r", b"\ntw", b"o", b"\n"], [b"one", b"two"]),
            ([b"a\rb\r\r\nc\r"], [b"a\rb\r", b"c\r"]),
            ([b"\n"], [b""]),
            ([], []),
        ],
    )
    def test_lines(self, pairs: Pairs, pieces: list[bytes], lines: list[bytes]) -> None:
        async def server(connection: Stream) -> None:
            assert [line async for line in connection.lines()] == lines
            assert await connection.read_line() is None

        pairs.run(server, says(*pieces))

    def test_a_line_as_long_as_its_limit_is_fine(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line(4) == b"1234"
            assert await connection.read_line(4) == b"1234"
            assert await connection.read_line(4) == b"1234"

        pairs.run(server, says(b"1234\n1234\r\n1234"))

    def test_a_line_too_long_is_told_and_kept(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            for _ in range(2):
                with pytest.raises(LineTooLong) as caught:
                    await connection.read_line(4)
                assert caught.value.limit_bytes == 4
                assert caught.value.got_bytes > 4
            assert await connection.read_line(100) == b"12345"
            connection.line_limit = 3
            with pytest.raises(LineTooLong):
                await connection.read_line()
            with pytest.raises(LineTooLong):
                await connection.read_until(b";")
            assert await read_all(connection) == b"1234\nrest"

        pairs.run(server, says(b"12345\n1234\nrest"))

    def test_a_line_without_an_end_never_fills_the_memory(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises(LineTooLong):
                await connection.read_line(1_000)
            assert connection._buffered < 300_000
            connection.abort()

        async def client(connection: Stream) -> None:
            with pytest.raises(ConnectionLost):
                await connection.write(b"x" * BIG_BYTES)

        pairs.run(server, client)

    def test_read_until_includes_its_delimiter(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_until(b"\r\n\r\n") == b"GET /\r\nHost: x\r\n\r\n"
            assert await connection.read_until(b";", 4) == b"1234;"
            with pytest.raises(LineTooLong):
                await connection.read_until(b";", 4)
            assert await connection.read_until(b";") == b"12345;"
            with pytest.raises(ValueError, match="delimiter"):
                await connection.read_until(b"")
            with pytest.raises(EndOfStream) as caught:
                await connection.read_until(b";")
            assert caught.value.received == b"rest"

        pairs.run(server, says(b"GET /\r\nHost: x\r\n", b"\r", b"\n1234;12345;re", b"st"))

    def test_iteration_gives_everything_once(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            pieces = [data async for data in connection]
            assert all(pieces)
            assert b"".join(pieces) == pattern(BIG_BYTES)

        pairs.run(server, says(pattern(BIG_BYTES)))

    def test_iteration_begins_with_what_is_buffered(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"head"
            assert await read_all(connection) == b"body"

        pairs.run(server, says(b"head\nbo", b"dy"))


class WritingContract:
    @pytest.mark.parametrize(
        "chunks",
        [
            [],
            [b""],
            [b"one"],
            [b"one", b"two", b"", b"three"],
            [bytearray(b"array"), memoryview(b"a view")[2:]],
            [bytearray(b"alone")],
            [memoryview(pattern(300_000))[1:]],
            [b"%d," % number for number in range(3_000)],
            [pattern(70_000), b"-", pattern(BIG_BYTES), bytearray(90_000)],
        ],
        ids=len,
    )
    def test_chunks_arrive_in_order_as_one(self, pairs: Pairs, chunks: list[bytes]) -> None:
        async def server(connection: Stream) -> None:
            await connection.write(*chunks)

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"".join(chunks)

        pairs.run(server, client)

    def test_who_writes_waits_for_who_reads(self, pairs: Pairs) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            at_server.append(connection)
            await connection.write(pattern(BIG_BYTES))
            assert connection.bytes_out == BIG_BYTES

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: at_server and at_server[0].state == "writing")
            assert at_server[0].bytes_out < BIG_BYTES
            assert await read_all(connection) == pattern(BIG_BYTES)

        pairs.run(server, client)

    def test_counters_count_the_bytes_of_the_conversation(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert (connection.bytes_in, connection.bytes_out) == (0, 0)
            assert await connection.read_exactly(1_000) == bytes(1_000)
            await connection.write(b"12345", b"678")
            await connection.write(b"9")
            assert (connection.bytes_in, connection.bytes_out) == (1_000, 9)
            assert await connection.read_line() == b"end"
            assert (connection.bytes_in, connection.bytes_out) == (1_005, 9)

        async def client(connection: Stream) -> None:
            await connection.write(bytes(1_000))
            assert await connection.read_exactly(9) == b"123456789"
            await connection.write(b"end\r\n")
            assert await connection.read() == b""
            assert (connection.bytes_in, connection.bytes_out) == (9, 1_005)

        pairs.run(server, client)

    def test_half_close_lets_the_answer_through(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await read_all(connection) == b"question"
            await connection.write(b"answer")
            assert await connection.read() == b""
            await connection.write(b" and more")

        async def client(connection: Stream) -> None:
            await connection.write(b"question")
            await connection.write_eof()
            await connection.write_eof()
            with pytest.raises(ConnectionClosed):
                await connection.write(b"late")
            assert await read_all(connection) == b"answer and more"

        pairs.run(server, client)

    def test_half_close_by_the_server(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            await connection.write(b"greeting")
            await connection.write_eof()
            assert await read_all(connection) == pattern(200_000)

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"greeting"
            await connection.write(pattern(200_000))

        pairs.run(server, client)

    def test_pace_bounds_the_rate_of_both_ways(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            started_s = connection.network.now_s()
            connection.pace(None, 1_000_000)
            await connection.write(pattern(1_100_000))  # the first second's worth is free
            await connection.write(b".")
            connection.pace(None, None)
            assert connection.network.now_s() - started_s > 0.09
            connection.pace(1_000_000, None)
            started_s = connection.network.now_s()
            assert await connection.read_exactly(1_200_000) == pattern(1_200_000)
            assert connection.network.now_s() - started_s > 0.06  # the last piece is still to be paid for

        async def client(connection: Stream) -> None:
            assert await connection.read_exactly(1_100_001) == pattern(1_100_000) + b"."
            await connection.write(pattern(1_200_000))

        pairs.run(server, client)


def opened(sort: str) -> BinaryIO:
    """Return an empty file to read and write: an ordinary one, one that only appends, or one in memory."""
    if sort == "memory":
        return io.BytesIO()
    return cast("BinaryIO", tempfile.TemporaryFile("a+b" if sort == "appending" else "w+b"))


class FileContract:
    @pytest.mark.parametrize("size", [0, 1, 70_000, BIG_BYTES])
    def test_send_file_sends_the_whole_file(self, pairs: Pairs, size: int) -> None:
        async def server(connection: Stream) -> None:
            with tempfile.TemporaryFile() as file:
                file.write(pattern(size))
                file.flush()
                await connection.write(b"[")
                assert await connection.send_file(file) == size
                await connection.write(b"]")
                assert connection.bytes_out == size + 2

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"[" + pattern(size) + b"]"

        pairs.run(server, client)

    @pytest.mark.parametrize("sort", ["file", "memory"])
    def test_send_file_from_an_offset_and_by_count(self, pairs: Pairs, sort: str) -> None:
        async def server(connection: Stream) -> None:
            with opened(sort) as file:
                file.write(b"0123456789")
                file.flush()
                assert await connection.send_file(file, 3, 4) == 4
                assert await connection.send_file(file, 8) == 2
                assert await connection.send_file(file, 2, 0) == 0
                assert await connection.send_file(file, 20) == 0
                with pytest.raises(EndOfStream):
                    await connection.send_file(file, 9, 2)

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"3456" + b"89" + b"9"

        pairs.run(server, client)

    @pytest.mark.parametrize("size", [0, 1, 70_000, BIG_BYTES])
    def test_receive_file_takes_everything(self, pairs: Pairs, size: int) -> None:
        async def server(connection: Stream) -> None:
            with tempfile.TemporaryFile() as file:
                assert await connection.receive_file(file) == size
                assert connection.bytes_in == size
                file.seek(0)
                assert file.read() == pattern(size)

        pairs.run(server, says(pattern(size)))

    @pytest.mark.parametrize("sort", ["file", "appending", "memory"])
    @pytest.mark.parametrize("size", [3, 400_000])
    def test_receive_file_begins_with_what_is_buffered_and_leaves_the_rest(
        self, pairs: Pairs, sort: str, size: int
    ) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"STOR"
            with opened(sort) as file:
                file.write(b"head ")
                assert await connection.receive_file(file, size) == size
                file.write(b" tail")
                file.seek(0)
                assert file.read() == b"head " + pattern(size) + b" tail"
                assert await connection.read_line() == b"NEXT"
                assert await connection.receive_file(file, 0) == 0
                assert await connection.receive_file(file, 100) == 4  # the stream ends first
                assert await connection.receive_file(file, 100) == 0
                assert await connection.read() == b""

        content = pattern(size)
        pairs.run(server, says(b"STOR\n" + content[:2], content[2:] + b"NEXT\nla", b"st"))

    def test_a_file_that_fails_is_not_the_peers_fault(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            with io.FileIO("/dev/full", "w") as full, pytest.raises(OSError, match="No space"):
                await connection.receive_file(cast("BinaryIO", full))
            await connection.write(b"552 disk full")

        async def client(connection: Stream) -> None:
            await connection.write(b"x")
            assert await read_all(connection) == b"552 disk full"

        pairs.run(server, client)


class EndContract:
    def test_the_end_reaches_the_peer_after_the_last_byte(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            await connection.write(pattern(BIG_BYTES))
            await connection.close()

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == pattern(BIG_BYTES)

        pairs.run(server, client)

    def test_what_was_sent_survives_a_close_with_bytes_unread(self, pairs: Pairs) -> None:
        # Closing a socket with unread bytes resets the connection, and the reset overtakes the answer.
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"PUT"
            await connection.write(b"413 too large\r\n")

        async def client(connection: Stream) -> None:
            await connection.write(b"PUT\r\n", bytes(50_000))
            assert await read_all(connection) == b"413 too large\r\n"

        pairs.run(server, client)

    def test_using_it_after_close_is_a_mistake(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            await connection.close()
            await connection.close()
            await check_unusable(connection, ConnectionClosed)
            connection.abort()
            connection.end("idle", b"bye")
            assert connection.ended_because is None
            assert connection.state == "closing"

        async def client(connection: Stream) -> None:
            assert await connection.read() == b""

        pairs.run(server, client)

    def test_abort_resets(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read() == b"hello"
            connection.abort()
            connection.abort()
            await check_unusable(connection, ConnectionClosed)
            await connection.close()

        async def client(connection: Stream) -> None:
            await connection.write(b"hello")
            if pairs.can_reset:
                with pytest.raises(ConnectionLost):
                    await connection.read()
                await check_unusable(connection, ConnectionLost)
                await connection.close()
                await check_unusable(connection, ConnectionLost)  # what broke it, once and for all

        pairs.run(server, client)

    def test_writing_to_who_is_gone_is_told(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises(ConnectionLost):
                await connection.write(bytes(100 << 20))
            await check_unusable(connection, ConnectionLost)

        async def client(connection: Stream) -> None:
            await connection.read()
            connection.abort()

        pairs.run(server, client)

    def test_ended_from_outside_while_it_reads(self, pairs: Pairs) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            at_server.append(connection)
            with pytest.raises(ConnectionEnded) as caught:
                await connection.read_line()
            assert caught.value.reason == "idle"
            assert connection.ended_because == "idle"
            await check_unusable(connection, ConnectionEnded)
            await connection.close()
            await check_unusable(connection, ConnectionEnded)

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: at_server and at_server[0].state == "reading")
            at_server[0].end("idle", b"421 too slow\r\n")
            at_server[0].end("life", b"never said")
            assert await read_all(connection) == b"421 too slow\r\n"

        pairs.run(server, client)

    def test_ended_from_outside_while_it_iterates(self, pairs: Pairs) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            at_server.append(connection)
            assert await anext(connection) == b"hello"
            with pytest.raises(ConnectionEnded):
                await anext(connection)

        async def client(connection: Stream) -> None:
            await connection.write(b"hello")
            await until(
                connection.network, lambda: at_server and at_server[0].bytes_in == 5 and at_server[0].state == "reading"
            )
            at_server[0].end("drained")
            assert await connection.read() == b""

        pairs.run(server, client)

    def test_ended_from_outside_while_it_writes(self, pairs: Pairs) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            at_server.append(connection)
            with pytest.raises(ConnectionEnded) as caught:
                await connection.write(pattern(2 * BIG_BYTES))
            assert caught.value.reason == "stopped"
            await check_unusable(connection, ConnectionEnded)

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: at_server and at_server[0].state == "writing")
            at_server[0].end("stopped", b"not into the middle of something else")
            # What was under way may be cut off anywhere, but nothing foreign stands in it.
            received = bytearray()
            with contextlib.suppress(ConnectionLost, TlsFailed):
                async for data in connection:
                    received += data
            assert pattern(2 * BIG_BYTES).startswith(received)

        pairs.run(server, client)

    def test_ended_from_outside_while_its_handler_is_busy(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            assert connection.state == "busy"
            connection.end("life", b"time is up\n")
            with pytest.raises(ConnectionEnded):
                await connection.write(b"not any more")
            await check_unusable(connection, ConnectionEnded)

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"time is up\n"

        pairs.run(server, client)

    def test_a_handler_that_leaves_with_an_error_closes(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            await connection.write(b"last words")
            raise KeyError("a bug")

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"last words"

        with pytest.raises(KeyError):
            pairs.run(server, client)


async def check_unusable(connection: Stream, error: type[Exception]) -> None:
    """Check that every call raises the error."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            connection.read,
            lambda: connection.read(timeout_s=0.01),
            lambda: connection.read_exactly(1),
            connection.read_line,
            lambda: connection.read_until(b";"),
            connection.__anext__,
            lambda: connection.lines().__anext__(),  # type: ignore[list-item, return-value]
            lambda: connection.write(b"x"),
            lambda: connection.write(b"x", b"y"),
            connection.write_eof,
            lambda: connection.send_file(file),
            lambda: connection.receive_file(file),
        ]
        for call in calls:
            with pytest.raises(error):
                await call()


class IdentityContract:
    def test_both_ends_know_who_and_when(self, pairs: Pairs) -> None:
        seen: dict[str, Stream] = {}

        async def server(connection: Stream) -> None:
            seen["server"] = connection
            assert await connection.read_line() == b"there"
            client = seen["client"]
            assert connection.local == client.peer
            assert connection.peer == client.local
            assert connection.id != client.id
            assert connection.started_at.tzinfo is UTC
            assert abs((datetime.now(UTC) - connection.started_at).total_seconds()) < PATIENCE_S
            assert 0 <= connection.age_s < PATIENCE_S
            if isinstance(connection.local, InternetAddress):  # through a dual-stack listener, but shown as IPv4
                assert connection.local.host.count(".") == 3
                assert connection.peer.host.count(".") == 3  # type: ignore[union-attr]

        async def client(connection: Stream) -> None:
            seen["client"] = connection
            assert connection.local is not None
            assert connection.peer is not None
            await connection.write(b"there\n")
            await connection.read()

        pairs.run(server, client)

    def test_tls_is_known_only_where_there_is_some(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            if pairs.tls is None:
                assert connection.tls is None
            else:
                assert connection.tls is not None
                assert connection.tls.version == "TLSv1.3"
                assert connection.tls.cipher
            await connection.read()

        pairs.run(server, nothing)


class ConnectionContract(ReadingContract, WritingContract, FileContract, EndContract, IdentityContract):
    """Everything a connection promises, plain or under TLS."""


async def shake_hands_and_read(connection: Stream, context: ssl.SSLContext) -> bytes:
    await connection.start_tls(context)
    return await connection.read()


class UpgradeContract:
    """start_tls, on pairs that begin plain; ``tls_contexts`` is a fixture that gives TlsContexts."""

    def test_the_conversation_goes_on_under_tls(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"STARTTLS"
            await connection.write(b"220 go ahead\r\n")
            await connection.start_tls(tls_contexts[0])
            assert connection.tls is not None
            assert await connection.read_line() == b"secret"
            await connection.write(b"hush\n")
            with pytest.raises(HandlerError, match="already"):
                await connection.start_tls(tls_contexts[0])
            assert await connection.read() == b""

        async def client(connection: Stream) -> None:
            await connection.write(b"STARTTLS\r\n")
            assert await connection.read_line() == b"220 go ahead"
            await connection.start_tls(tls_contexts[1], server_side=False, server_name=SERVER_NAME)
            assert connection.tls is not None
            assert connection.tls.peer_certificate is not None
            await connection.write(b"secret\n")
            assert await connection.read_line() == b"hush"

        pairs.run(server, client)

    def test_plain_bytes_behind_the_upgrade_are_an_attack(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            assert await connection.read_line() == b"STARTTLS"
            with pytest.raises(TlsFailed):
                await connection.start_tls(tls_contexts[0])

        pairs.run(server, says(b"STARTTLS\r\nDELETE everything\r\n"))

    def test_a_peer_that_does_not_speak_tls_is_told_and_let_go(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises(TlsFailed):
                await connection.start_tls(tls_contexts[0])
            await check_unusable(connection, ConnectionLost)

        async def client(connection: Stream) -> None:
            await connection.write(b"GET / HTTP/1.0\r\n\r\n")
            await read_all(connection)  # an alert, perhaps, and then the end; no reset

        pairs.run(server, client)

    def test_a_certificate_nobody_vouches_for_fails_both_ends(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            # Under TLS 1.3 the server is done before the client has judged its certificate.
            with pytest.raises((TlsFailed, ConnectionLost)):
                await shake_hands_and_read(connection, tls_contexts[0])

        async def client(connection: Stream) -> None:
            with pytest.raises(TlsFailed, match="certificate"):
                await connection.start_tls(ssl.create_default_context(), server_side=False, server_name=SERVER_NAME)

        pairs.run(server, client)

    def test_a_peer_that_leaves_in_the_handshake_fails_it(self, pairs: Pairs, tls_contexts: TlsContexts) -> None:
        async def server(connection: Stream) -> None:
            with pytest.raises((TlsFailed, ConnectionLost)):
                await connection.start_tls(tls_contexts[0])

        pairs.run(server, nothing)


# ── networks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

Story: TypeAlias = Callable[[Network], Coroutine[Any, Any, None]]


class World(ABC):
    """Runs a story on one kind of network."""

    @abstractmethod
    def run(self, story: Story) -> None: ...


class BlockingWorld(World):
    def run(self, story: Story) -> None:
        drive(story(NETWORK), handler="contract", model="thread")


class EventWorld(World):
    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._loop_factory = loop_factory

    def run(self, story: Story) -> None:
        async def whole() -> None:
            from portside.net.event_network import EventNetwork

            async with asyncio.timeout(PATIENCE_S), EventNetwork() as network:
                await story(network)

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.run(whole())


class MemoryWorld(World):
    def run(self, story: Story) -> None:
        async def whole() -> None:
            async with asyncio.timeout(PATIENCE_S):
                await story(MemoryNetwork(names={"localhost": [InternetAddress("127.0.0.1", 0)]}))

        asyncio.run(whole())


class NetworkContract:
    """What a network promises; ``world`` is a fixture that gives a World."""

    def test_who_connects_is_accepted(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                assert isinstance(listener.address, InternetAddress)
                assert listener.address.port
                async with await network.connect(f"tcp://{listener.address}", timeout_s=5) as client:
                    async with await listener.accept(timeout_s=5) as server:
                        assert (server.local, server.peer) == (client.peer, client.local)
                        assert server.network is network
                        assert client.network is network
                        await client.write(b"hello\n")
                        assert await server.read_line() == b"hello"
                    assert await client.read() == b""

        world.run(story)

    def test_several_wait_and_are_accepted_in_order(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                clients = [await network.connect(f"tcp://{listener.address}") for _ in range(5)]
                servers = [await listener.accept() for _ in clients]
                assert [server.peer for server in servers] == [client.local for client in clients]
                for connection in (*servers, *clients):
                    connection.abort()

        world.run(story)

    def test_a_name_leads_to_its_addresses(self, world: World) -> None:
        async def story(network: Network) -> None:
            addresses = await network.resolve("localhost", 80)
            assert InternetAddress("127.0.0.1", 80) in addresses
            assert await network.resolve("192.0.2.1", 7) == [InternetAddress("192.0.2.1", 7)]
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                assert isinstance(listener.address, InternetAddress)
                client = await network.connect(f"tcp://localhost:{listener.address.port}")
                client.abort()

        world.run(story)

    def test_nobody_listens(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                address = listener.address
            with pytest.raises(ConnectFailed) as caught:
                await network.connect(f"tcp://{address}")
            assert [where for where, _ in caught.value.attempts] == [str(address)]
            assert "refused" in str(caught.value)

        world.run(story)

    def test_an_address_is_listened_on_once(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                address = listener.address
                with pytest.raises(AddressInUse):
                    await network.listen(f"tcp://{address}")
            async with await network.listen(f"tcp://{address}") as again:
                assert again.address == address

        world.run(story)

    def test_accepting_has_its_timeout_and_its_end(self, world: World) -> None:
        async def story(network: Network) -> None:
            listener = await network.listen("tcp://127.0.0.1:0")
            with pytest.raises(TimeoutError):
                await listener.accept(timeout_s=0.01)
            await listener.close()
            await listener.close()
            with pytest.raises(ConnectionClosed):
                await listener.accept()

        world.run(story)

    def test_only_streams_are_listened_for(self, world: World) -> None:
        async def story(network: Network) -> None:
            with pytest.raises(UsageError):
                await network.listen("udp://127.0.0.1:0")

        world.run(story)

    def test_unix(self, world: World, tmp_path: Path) -> None:
        async def story(network: Network) -> None:
            path = str(tmp_path / "socket")
            async with await network.listen(f"unix:{path}") as listener:
                assert listener.address == UnixAddress(path)
                async with await network.connect(f"unix:{path}") as client, await listener.accept() as server:
                    assert client.peer == server.local == UnixAddress(path)
                    await client.write(b"hello")
                    assert await server.read() == b"hello"
                    await client.write_eof()
                    await server.write_eof()
                    assert await server.read() == await client.read() == b""
            with pytest.raises(ConnectFailed):
                await network.connect(f"unix:{path}")

        world.run(story)

    def test_datagrams(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with (
                await network.open_datagrams("udp://127.0.0.1:0") as server,
                await network.open_datagrams(f"udp://{server.address}", connect=True) as client,
            ):
                await client.send(b"question")
                message = await server.receive(timeout_s=5)
                assert (message.data, message.peer, message.local) == (b"question", client.address, server.address)
                await message.reply(b"answer")
                assert (await client.receive(timeout_s=5)).data == b"answer"
                with pytest.raises(TimeoutError):
                    await server.receive(timeout_s=0.01)

        world.run(story)

    def test_names_of_addresses(self, world: World) -> None:
        async def story(network: Network) -> None:
            # 192.0.2.0/24 is for documentation: nobody can register a name there, but a resolver may not answer.
            assert await network.name_of(InternetAddress("192.0.2.1", 0), timeout_s=0.05) is None
            assert await network.name_of(UnixAddress("/run/x")) is None

        world.run(story)

    def test_time_passes_forward(self, world: World) -> None:
        async def story(network: Network) -> None:
            started_s = network.now_s()
            await network.sleep(0.01)
            assert network.now_s() - started_s > 0.009
            await network.sleep(0)

        world.run(story)

    def test_blocking_calls_come_back_with_their_result(self, world: World) -> None:
        async def story(network: Network) -> None:
            assert await network.run_blocking(divmod, 17, 5) == (3, 2)
            with pytest.raises(ZeroDivisionError):
                await network.run_blocking(divmod, 1, 0)

        world.run(story)
