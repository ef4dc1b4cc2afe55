"""MODE Z: streams whole and cut up, bombs, and what is no stream."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.deflate import Deflater, Inflater, MalformedDeflate, TooInflated


def deflate(data: bytes, *, level: int = 6, size: int = 1_000) -> bytes:
    deflater = Deflater(level)
    return b"".join(deflater.feed(data[at : at + size]) for at in range(0, len(data), size)) + deflater.finish()


def inflate(stream: bytes, inflater: Inflater, *, size: int = 1_000_000) -> bytes:
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    data = b"".join(made for piece in pieces for made in inflater.feed(piece))
    inflater.finish()
    return data


@given(st.binary(max_size=300), st.integers(0, 9), st.integers(1, 50), st.integers(1, 50), st.integers(1, 20))
def test_what_was_deflated_is_inflated(data: bytes, level: int, size: int, cut: int, piece_bytes: int) -> None:
    stream = deflate(data, level=level, size=size)
    assert zlib.decompress(stream) == data  # RFC 1950's format, for everybody else
    inflater = Inflater(len(data), piece_bytes=piece_bytes)
    assert inflate(stream, inflater, size=cut) == data
    assert inflater.made_bytes == len(data)


@pytest.mark.parametrize("level", [-1, 10])
def test_levels_are_zlibs(level: int) -> None:
    with pytest.raises(ValueError, match="is no level of zlib"):
        Deflater(level)


def test_a_bomb_is_made_in_small_pieces_and_no_further_than_they_are_taken() -> None:
    bomb = zlib.compress(bytes(20_000_000), 9)
    assert len(bomb) < 20_000
    inflater = Inflater(piece_bytes=65_536)
    pieces = inflater.feed(bomb)
    assert len(next(pieces)) == 65_536
    assert inflater.made_bytes == 65_536
    assert max(map(len, pieces)) <= 65_536
    assert inflater.made_bytes == 20_000_000
    inflater.finish()


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_limit_ends_a_bomb(size: int) -> None:
    inflater = Inflater(100_000, piece_bytes=65_536)
    with pytest.raises(TooInflated) as caught:
        inflate(zlib.compress(bytes(1_000_000)), inflater, size=size)
    assert caught.value.limit_bytes == 100_000
    assert inflater.made_bytes <= 100_000 + 65_536


@pytest.mark.parametrize("cut", [0, 1, 2, 20, -1, -4])
def test_a_stream_that_is_cut_off_is_found_out(cut: int) -> None:
    stream = deflate(b"some text " * 50)
    inflater = Inflater()
    list(inflater.feed(stream[:cut]))
    with pytest.raises(MalformedDeflate, match="is cut off"):
        inflater.finish()


@pytest.mark.parametrize("pieces", [(b"x",), (b"", b"x"), (b"", b"", zlib.compress(b"more"))])
def test_bytes_behind_the_end_are_refused(pieces: tuple[bytes, ...]) -> None:
    first, *later = pieces
    inflater = Inflater()
    with pytest.raises(MalformedDeflate, match="bytes follow the end"):
        _ = [made for piece in (deflate(b"text") + first, *later) for made in inflater.feed(piece)]


@pytest.mark.parametrize("stream", [b"no stream at all", b"\x78\x9c\xff\xff\xff", zlib.compress(b"text")[:-1] + b"\0"])
def test_what_is_no_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(MalformedDeflate, match="this is no deflated stream"):
        list(Inflater().feed(stream))


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_a_stream_or_refused(pieces: list[bytes]) -> None:
    inflater = Inflater(10_000)
    try:
        for piece in (b"\x78\x9c", *pieces):
            list(inflater.feed(piece))
        inflater.finish()
    except MalformedDeflate:
        return
    assert inflater.made_bytes <= 10_000
