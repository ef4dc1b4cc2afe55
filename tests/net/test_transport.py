"""Connections over a loop's transports, where they are not as others: a transport brings bytes when it likes."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from portside.errors import ConnectionClosed, ConnectionEnded, ConnectionLost, HandlerError
from portside.net import loop_stream
from portside.net.transport import ARRIVED_BYTES_MAX, TransportConnection
from portside.net.transport_network import TransportNetwork

RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


class ToldTransport(asyncio.Transport):
    """Does nothing of its own accord, and notes what it was told."""

    def __init__(self, connection: TransportConnection, *, half_closes: bool = True) -> None:
        super().__init__({"sockname": ("192.0.2.1", 9000), "peername": ("198.51.100.7", 50_000)})
        self.told: list[str] = []
        self.written = bytearray()
        self.room = 1 << 30  # bytes that the network takes; more stay in the buffer
        self._half_closes = half_closes
        self._closing = False
        self._connection = connection
        connection.connection_made(self)
        assert self.limits == (0, None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = high, low

    def get_write_buffer_size(self) -> int:
        return max(0, len(self.written) - self.room)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if self.get_write_buffer_size():
            self.get_protocol().pause_writing()

    def can_write_eof(self) -> bool:
        return self._half_closes

    def is_closing(self) -> bool:
        return self._closing

    def write_eof(self) -> None:
        self.told.append("end")

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def abort(self) -> None:
        self.told.append("abort")
        self._closing = True
        asyncio.get_running_loop().call_soon(self.get_protocol().connection_lost, None)

    def get_protocol(self) -> TransportConnection:  # type: ignore[override]
        return self._connection


def told(network: TransportNetwork, *, half_closes: bool = True) -> tuple[TransportConnection, ToldTransport]:
    connection = network.new_connection()
    return connection, ToldTransport(connection, half_closes=half_closes)


def run(main: Callable[[TransportNetwork], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(10), TransportNetwork() as network:
            await main(network)

    asyncio.run(whole())


def test_reading_is_paused_while_nobody_takes_what_came() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        connection.data_received(bytes(ARRIVED_BYTES_MAX))
        assert transport.told == []
        connection.data_received(b"!")
        connection.data_received(b"?")  # as a transport may that was in the middle of it
        assert transport.told == ["pause"]
        assert len(await connection.read_exactly(ARRIVED_BYTES_MAX)) == ARRIVED_BYTES_MAX
        assert await connection.read() == b"!?"
        assert transport.told == ["pause", "resume"]

    run(main)


def test_a_piece_longer_than_was_asked_for_is_given_in_parts() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, _ = told(network)
        got: list[bytes] = []

        async def handler() -> None:
            got.append(await connection.read(3))
            got.append(await connection.read(3))
            got.append(await connection.read(3))

        over = network.loop.create_future()
        network.loop.call_soon(lambda: connection.start(handler(), lambda _, error: over.set_result(error)))
        network.loop.call_soon(connection.data_received, b"abcdefgh")
        assert await over is None
        assert got == [b"abc", b"def", b"gh"]

    run(main)


def test_what_came_before_a_reset_is_still_read_and_then_it_is_lost_for_good() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, _ = told(network)
        connection.data_received(b"last words")
        connection.connection_lost(RESET)
        assert await connection.read() == b"last words"
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="reset"):
                await connection.read()
        with pytest.raises(ConnectionLost, match="reset"):
            await connection.write(b"x")

    run(main)


def test_who_writes_after_a_reset_is_told_though_bytes_are_left_to_read() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        connection.data_received(b"last words")
        transport._closing = True
        connection.connection_lost(RESET)
        with pytest.raises(ConnectionLost, match="reset"):
            await connection.write(b"x")
        assert not transport.written

    run(main)


def test_a_transport_that_went_without_a_word_is_a_connection_lost() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, _ = told(network)
        connection.connection_lost(None)
        with pytest.raises(ConnectionLost, match="aborted"):
            await connection.read()

    run(main)


def test_a_write_is_done_when_the_network_has_taken_it() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        transport.room = 3
        writing = asyncio.create_task(connection.write(b"hello"))
        await asyncio.sleep(0)
        assert connection.state == "writing"
        assert connection.bytes_out == 0
        assert connection.moved_bytes == -2  # what the transport holds has not moved
        late = asyncio.create_task(connection.write(b" world"))
        await asyncio.sleep(0)
        assert transport.written == b"hello"
        transport.room = 100
        connection.resume_writing()
        await writing
        await late
        assert (transport.written, connection.bytes_out) == (b"hello world", 11)

    run(main)


def test_a_write_that_was_cancelled_keeps_its_place() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        transport.room = 3
        writing = asyncio.create_task(connection.write(b"hello"))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        late = asyncio.create_task(connection.write(b" world"))
        await asyncio.sleep(0)
        assert not late.done()
        transport.room = 100
        connection.resume_writing()
        await late
        assert transport.written == b"hello world"

    run(main)


def test_a_transport_that_brings_bytes_in_the_middle_of_a_task_does_not_disturb_it() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, _ = told(network)
        seen: list[tuple[bytes, bool]] = []

        async def handler() -> None:
            seen.extend([(data, asyncio.current_task() is connection.task) async for data in connection])

        over = network.loop.create_future()
        network.loop.call_soon(lambda: connection.start(handler(), lambda _, error: over.set_result(error)))
        await asyncio.sleep(0)
        me = asyncio.current_task()
        connection.data_received(b"one")
        assert seen == []
        assert asyncio.current_task() is me
        await asyncio.sleep(0)
        connection.data_received(b"two")
        connection.eof_received()
        assert await over is None
        assert seen == [(b"one", True), (b"two", True)]

    run(main)


def test_a_transport_that_cannot_half_close_says_so_and_is_closed() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network, half_closes=False)
        with pytest.raises(HandlerError, match="cannot end its stream"):
            await connection.write_eof()
        await connection.write(b"goes on")
        await connection.close()
        assert transport.told == ["abort"]

    run(main)


def test_closing_waits_for_the_peers_end_and_throws_away_what_still_comes() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        await connection.close()
        assert connection.state == "closing"
        connection.data_received(bytes(ARRIVED_BYTES_MAX + 1))
        assert transport.told == ["end"]
        connection.eof_received()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert transport.told == ["end", "abort"]
        assert connection.is_detached

    run(main)


def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_stream, "LINGER_S", 0.001)

    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        await connection.close()
        await network.turns.wait_until_let_go(5)
        assert transport.told == ["end", "abort"]

    run(main)


def test_who_is_ended_while_reading_was_paused_still_sees_the_peers_end() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        connection.data_received(bytes(ARRIVED_BYTES_MAX + 1))
        connection.end("life", b"bye")
        await asyncio.sleep(0)
        assert transport.written == b"bye"
        assert transport.told == ["pause", "end", "resume"]
        with pytest.raises(ConnectionEnded):
            await connection.read()
        await connection.close()
        connection.eof_received()
        await asyncio.sleep(0)
        assert connection.state == "closing"
        with pytest.raises(ConnectionEnded):
            await connection.read()

    run(main)


def test_abort_tells_a_transport_without_a_socket_to_abort() -> None:
    async def main(network: TransportNetwork) -> None:
        connection, transport = told(network)
        connection.abort()
        connection.abort()
        assert transport.told == ["abort"]
        await asyncio.sleep(0)
        with pytest.raises(ConnectionClosed):
            await connection.read()

    run(main)
