"""What sending and receiving files promises, whoever copies."""

from __future__ import annotations

import io
import tempfile
from typing import BinaryIO, cast

import pytest

from portside.errors import (
    ConnectionLost,
    EndOfStream,
)
from portside.net.stream import Stream
from portside.testing.contract.pairs import (
    BIG_BYTES,
    Pairs,
    pattern,
    read_all,
    says,
    until,
)


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

    @pytest.mark.parametrize("size", [10, 1_000_000])
    def test_what_came_before_a_loss_is_in_the_file(self, pairs: Pairs, size: int) -> None:
        at_server: list[Stream] = []

        async def server(connection: Stream) -> None:
            at_server.append(connection)
            with tempfile.TemporaryFile() as file:
                with pytest.raises(ConnectionLost):
                    await connection.receive_file(file)
                file.seek(0)
                assert file.read() == pattern(size)[: connection.bytes_in]

        async def client(connection: Stream) -> None:
            await connection.write(pattern(size))
            await until(connection.network, lambda: at_server and at_server[0].bytes_in == size)
            connection.abort()

        if not pairs.can_reset:
            pytest.skip("where an abort is a close nothing is lost")
        pairs.run(server, client)

    def test_a_file_that_fails_is_not_the_peers_fault(self, pairs: Pairs) -> None:
        async def server(connection: Stream) -> None:
            with io.FileIO("/dev/full", "w") as full, pytest.raises(OSError, match="No space"):
                await connection.receive_file(cast("BinaryIO", full))
            await connection.write(b"552 disk full")

        async def client(connection: Stream) -> None:
            await connection.write(b"x")
            assert await read_all(connection) == b"552 disk full"

        pairs.run(server, client)
