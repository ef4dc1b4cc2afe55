"""Several connections and several hands: companions that share a connection's life, and writers beside a reader."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import BinaryIO, cast

import pytest

from portside.contracts import Connection
from portside.errors import ConnectionEnded
from portside.net.stream import Stream
from portside.testing.contract.pairs import BIG_BYTES, Pairs, read_all, until

MESSAGES: int = 20  # of each of two writers
MESSAGE_BYTES: int = 200_000  # more than a socket takes at once


@contextlib.asynccontextmanager
async def two_ends(connection: Stream) -> AsyncIterator[tuple[Stream, Stream]]:
    """Give a connection that the handler opened in its network, and the other end of it."""
    async with (
        await connection.network.listen("tcp://127.0.0.1:0") as listener,
        await connection.network.connect(f"tcp://{listener.address}") as here,
        await listener.accept() as there,
    ):
        yield stream(here), stream(there)


def stream(connection: Connection) -> Stream:
    assert isinstance(connection, Stream)
    return connection


class CompanyContract:
    def test_a_connection_with_a_companion_is_busy(self, pairs: Pairs) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            async with two_ends(connection) as (companion, _):
                with connection.accompany(companion, idle_s=7.0):
                    assert connection.companions() == [(companion, 7.0)]
                    at_server.append(connection)
                    assert await connection.read_line() == b"seen"
                assert connection.companions() == []
                assert await connection.read_line() == b"and again"

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: at_server and at_server[0]._waits_for() == "reading")
            assert at_server[0].state == "busy"
            await connection.write(b"seen\n")
            await until(connection.network, lambda: at_server[0].state == "reading")
            await connection.write(b"and again\n")

        pairs.run(server, client)

    def test_a_handler_that_keeps_time_itself_is_busy_while_it_listens(self, pairs: Pairs) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            connection.keeps_time = True
            at_server.append(connection)
            assert await connection.read_line() == b"seen"
            connection.keeps_time = False
            assert await connection.read_line() == b"and again"

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: at_server and at_server[0]._waits_for() == "reading")
            assert at_server[0].state == "busy"
            await connection.write(b"seen\n")
            await until(connection.network, lambda: at_server[0].state == "reading")
            await connection.write(b"and again\n")

        pairs.run(server, client)

    def test_what_companions_move_is_counted(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            for round_ in (1, 2):
                async with two_ends(connection) as (companion, other):
                    with connection.accompany(companion, idle_s=60.0):
                        await other.write(b"12345")
                        assert await companion.read_exactly(5) == b"12345"
                        await companion.write(b"123")
                        assert (connection.all_bytes_in, connection.all_bytes_out) == (5 * round_, 3 * round_)
                    await companion.close()
                assert (connection.all_bytes_in, connection.all_bytes_out) == (5 * round_, 3 * round_)
            assert (connection.bytes_in, connection.bytes_out) == (0, 0)

        pairs.run(server, read_to_end)

    def test_what_ends_a_connection_ends_its_companions(self, pairs: Pairs) -> None:
        seen: list[Stream] = []

        async def server(connection: Stream) -> None:
            async with two_ends(connection) as (companion, _):
                with connection.accompany(companion, idle_s=60.0):
                    seen.extend((connection, companion))
                    with pytest.raises(ConnectionEnded) as caught:
                        await companion.read()
                    assert caught.value.reason == companion.ended_because == "life"
                    with pytest.raises(ConnectionEnded):
                        await connection.read()
                with pytest.raises(ConnectionEnded), connection.accompany(companion, idle_s=60.0):
                    raise AssertionError("nobody comes along any more")

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: seen and seen[1].state == "reading")
            seen[0].end("life", b"421 time is up\r\n")
            assert await read_all(connection) == b"421 time is up\r\n"

        pairs.run(server, client)

    @pytest.mark.parametrize("act", ["send_file", "receive_file"])
    def test_a_file_under_way_ends_with_the_connection(self, pairs: Pairs, act: str) -> None:
        seen: list[Stream] = []

        async def server(connection: Stream) -> None:
            async with two_ends(connection) as (companion, other):
                with tempfile.TemporaryFile() as file, connection.accompany(companion, idle_s=60.0):
                    file.truncate(BIG_BYTES)
                    await other.write(b"the beginning of a file")
                    seen.extend((connection, companion))
                    with pytest.raises(ConnectionEnded):
                        await getattr(companion, act)(cast("BinaryIO", file))

        async def client(connection: Stream) -> None:
            waits_for = "writing" if act == "send_file" else "reading"
            await until(connection.network, lambda: seen and seen[1].state == waits_for)
            seen[0].end("stopped")

        pairs.run(server, client)

    def test_companions_of_a_lost_connection_are_ended_too(self, pairs: Pairs) -> None:
        seen: list[Stream] = []

        async def server(connection: Stream) -> None:
            async with two_ends(connection) as (companion, _):
                with connection.accompany(companion, idle_s=60.0):
                    connection.abort()
                    seen.extend((connection, companion))
                    with pytest.raises(ConnectionEnded):
                        await companion.read()

        async def client(connection: Stream) -> None:
            await until(connection.network, lambda: seen and seen[1].state == "reading")
            seen[0].end("drained")

        pairs.run(server, client)

    def test_others_may_write_while_the_handler_reads(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            async def tell() -> None:
                await until(connection.network, lambda: connection.state == "reading")
                await connection.write(b"226 done\r\n")
                assert connection.state == "reading"
                await connection.write(b"and ", b"more\r\n")

            work = connection.network.start(tell())
            assert await connection.read_line() == b"NOOP"
            await work.wait()
            await connection.write(b"200 fine\r\n")

        async def client(connection: Stream) -> None:
            assert await connection.read_line() == b"226 done"
            assert await connection.read_line() == b"and more"
            await connection.write(b"NOOP\r\n")
            assert await read_all(connection) == b"200 fine\r\n"

        pairs.run(server, client)

    def test_what_two_write_at_once_stays_whole(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            async def tell(letter: bytes) -> None:
                for _ in range(MESSAGES):
                    await connection.write(letter * (MESSAGE_BYTES // 2), letter * (MESSAGE_BYTES // 2))

            works = [connection.network.start(tell(letter)) for letter in (b"a", b"b")]
            await tell(b"c")
            for work in works:
                await work.wait()

        async def client(connection: Stream) -> None:
            letters = []
            for _ in range(3 * MESSAGES):
                message = await connection.read_exactly(MESSAGE_BYTES)
                assert message == message[:1] * MESSAGE_BYTES
                letters.append(message[:1])
            assert sorted(letters) == [b"a"] * MESSAGES + [b"b"] * MESSAGES + [b"c"] * MESSAGES
            assert await connection.read() == b""

        pairs.run(server, client)


async def read_to_end(connection: Stream) -> None:
    assert await read_all(connection) == b""
