"""What reading and framing promise."""

from __future__ import annotations

import pytest

from portside.errors import (
    ConnectionLost,
    EndOfStream,
    LineTooLong,
)
from portside.net.stream import Stream
from portside.testing.contract.pairs import (
    BIG_BYTES,
    Pairs,
    nothing,
    pattern,
    read_all,
    says,
)


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
