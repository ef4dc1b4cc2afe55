"""How a connection ends: closed, aborted, lost, or ended from outside."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from portside.errors import (
    ConnectionClosed,
    ConnectionEnded,
    ConnectionLost,
    TlsFailed,
)
from portside.net.stream import Stream
from portside.testing.contract.pairs import (
    BIG_BYTES,
    Pairs,
    pattern,
    read_all,
    until,
)


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

    def test_whose_peer_has_nothing_to_say_need_not_linger(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            await connection.write(pattern(BIG_BYTES))
            await connection.close(linger=False)
            await connection.close()
            await check_unusable(connection, ConnectionClosed)
            assert connection.state == "closing"

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == pattern(BIG_BYTES)

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
