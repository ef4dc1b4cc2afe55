"""What writing, half-closing, counting and pacing promise."""

from __future__ import annotations

import pytest

from portside.errors import (
    ConnectionClosed,
)
from portside.net.stream import Stream
from portside.testing.contract.pairs import (
    BIG_BYTES,
    Pairs,
    pattern,
    read_all,
    until,
)


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
