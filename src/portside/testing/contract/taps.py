"""Who listens to a connection is told what its handler receives and sends, and nothing changes for the handler."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import pytest

from portside.errors import ConnectionLost
from portside.net.stream import Stream
from portside.net.tap import Way
from portside.testing.contract.company import two_ends
from portside.testing.contract.pairs import BIG_BYTES, Pairs, nothing, pattern, read_all, until


class Notes:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = {"in": bytearray(), "out": bytearray()}
        self.ends: list[str] = []
        self.companions: list[Stream] = []
        self.times_ns: list[int] = []

    def moved(self, way: Way, data: bytes, at_ns: int) -> None:
        assert data
        self.data[way] += data
        self.times_ns.append(at_ns)

    def ended(self, way: Way, at_ns: int) -> None:
        self.ends.append(f"{way} ended")
        self.times_ns.append(at_ns)

    def reset(self, way: Way, at_ns: int) -> None:
        self.ends.append(f"{way} reset")
        self.times_ns.append(at_ns)

    def joined(self, companion: Stream) -> None:
        self.companions.append(companion)


class TapContract:
    def test_a_tap_is_told_every_byte_both_ways(self, pairs: Pairs) -> None:
        notes = Notes()

        async def server(connection: Stream) -> None:
            connection.tap(notes)
            assert await connection.read_line() == b"one"
            assert await connection.read_exactly(3) == b"two"
            await connection.write(b"1", b"2", b"3")
            async for data in connection:
                await connection.write(data)

        async def client(connection: Stream) -> None:
            await connection.write(b"one\r\ntw")
            await connection.write(b"o")
            assert await connection.read_exactly(3) == b"123"
            for _ in range(10):
                await connection.write(pattern(1_000))
                assert await connection.read_exactly(1_000) == pattern(1_000)
            await connection.write_eof()
            assert await read_all(connection) == b""

        pairs.run(server, client)
        assert notes.data["in"] == b"one\r\ntwo" + pattern(1_000) * 10
        assert notes.data["out"] == b"123" + pattern(1_000) * 10
        assert notes.ends[-2:] in (["in ended", "out ended"], ["out ended", "in ended"])
        assert len(notes.ends) == 2
        assert notes.times_ns == sorted(notes.times_ns)

    def test_a_tap_that_comes_while_the_handler_waits_is_told_what_comes_next(self, pairs: Pairs) -> None:
        notes, there = Notes(), list[Stream]()

        async def server(connection: Stream) -> None:
            there.append(connection)
            assert await connection.__anext__() == b"before"
            await connection.write(b"yes")
            async for data in connection:
                await connection.write(data)

        async def client(connection: Stream) -> None:
            await connection.write(b"before")
            assert await connection.read_exactly(3) == b"yes"
            await until(connection.network, lambda: there[0].state == "reading")
            untap = there[0].tap(notes)
            await connection.write(b"meanwhile")
            assert await connection.read_exactly(9) == b"meanwhile"
            await until(connection.network, lambda: there[0].state == "reading" and len(notes.data["out"]) == 9)
            untap()
            untap()
            await connection.write(b"after")
            assert await connection.read_exactly(5) == b"after"
            await until(connection.network, lambda: there[0].state == "reading")

        pairs.run(server, client)
        # A blocking thread that waited in the middle of a call tells of it; none tells what came when nobody listened.
        assert notes.data == {"in": b"meanwhile", "out": b"meanwhile"}
        assert notes.ends == []

    def test_files_are_told_as_well(self, pairs: Pairs) -> None:
        notes = Notes()

        async def server(connection: Stream) -> None:
            connection.tap(notes)
            with tempfile.TemporaryFile() as file:
                assert await connection.receive_file(file, BIG_BYTES) == BIG_BYTES
                assert await connection.send_file(file, 1, BIG_BYTES - 1) == BIG_BYTES - 1

        async def client(connection: Stream) -> None:
            await connection.write(pattern(BIG_BYTES))
            assert await read_all(connection) == pattern(BIG_BYTES)[1:]

        pairs.run(server, client)
        assert notes.data["in"] == pattern(BIG_BYTES)
        assert notes.data["out"] == pattern(BIG_BYTES)[1:]

    def test_a_tap_that_comes_in_the_middle_of_a_file_is_told_the_rest(self, pairs: Pairs) -> None:
        notes, later, there, ends = Notes(), Notes(), list[Stream](), list[Callable[[], None]]()
        half = BIG_BYTES // 2

        async def server(connection: Stream) -> None:
            there.append(connection)
            with tempfile.TemporaryFile() as file:
                assert await connection.receive_file(file, BIG_BYTES) == BIG_BYTES
                ends[0]()
                assert await connection.send_file(file) == BIG_BYTES
                file.seek(0)
                assert file.read() == pattern(BIG_BYTES)

        async def client(connection: Stream) -> None:
            await connection.write(pattern(BIG_BYTES)[:half])
            await until(connection.network, lambda: there and there[0].bytes_in == half)
            ends.append(there[0].tap(notes))
            await connection.write(pattern(BIG_BYTES)[half:])
            assert await connection.read_exactly(100_000) == pattern(BIG_BYTES)[:100_000]
            there[0].tap(later)
            assert await read_all(connection) == pattern(BIG_BYTES)[100_000:]

        pairs.run(server, client)
        assert notes.data == {"in": pattern(BIG_BYTES)[half:], "out": b""}
        assert 0 < len(later.data["out"]) < BIG_BYTES
        assert pattern(BIG_BYTES).endswith(later.data["out"])

    def test_a_half_close_is_told_when_it_happens(self, pairs: Pairs) -> None:
        notes = Notes()

        async def server(connection: Stream) -> None:
            connection.tap(notes)
            await connection.write(b"all")
            await connection.write_eof()
            assert "out ended" in notes.ends
            assert await read_all(connection) == b"more"

        async def client(connection: Stream) -> None:
            assert await read_all(connection) == b"all"
            await connection.write(b"more")

        pairs.run(server, client)
        assert notes.ends == ["out ended", "in ended"]
        assert notes.data == {"in": b"more", "out": b"all"}

    def test_a_reset_is_told_with_who_did_it(self, pairs: Pairs) -> None:
        ours, theirs = Notes(), Notes()

        async def server(connection: Stream) -> None:
            connection.tap(ours)
            assert await connection.read() == b"hello"
            connection.abort()

        async def client(connection: Stream) -> None:
            connection.tap(theirs)
            await connection.write(b"hello")
            if pairs.can_reset:
                with pytest.raises(ConnectionLost):
                    await connection.read()

        pairs.run(server, client)
        assert ours.ends == ["out reset"]
        if pairs.can_reset:
            assert theirs.ends == ["in reset"]

    def test_a_tap_hears_of_companions(self, pairs: Pairs) -> None:
        notes = Notes()

        async def server(connection: Stream) -> None:
            connection.tap(notes)
            async with two_ends(connection) as (companion, _):
                with connection.accompany(companion, idle_s=7.0):
                    assert notes.companions == [companion]

        pairs.run(server, nothing)
        assert len(notes.companions) == 1
