"""Framing against a model: whatever is asked in whatever order, and however the network cut the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import EndOfStream, LineTooLong
from portside.net.plain import PlainStream
from portside.testing.memory import UNBOUNDED_BYTES, pair

Ask = tuple[str, int, bytes]

streams = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\r", b";", b"ab;"]), max_size=30).map(b"".join)
asks = st.lists(
    st.tuples(
        st.sampled_from(["read", "exactly", "line", "until"]),
        st.integers(min_value=1, max_value=8),
        st.sampled_from([b";", b"\n", b"\r\n", b"b;", b"aa"]),
    ),
    max_size=20,
)


def connection_with(pieces: list[bytes]) -> PlainStream:
    """Return a connection on which these pieces have arrived, and the end of the stream."""
    server, client = pair(capacity_bytes=UNBOUNDED_BYTES)
    for piece in pieces:
        client._outgoing.put(piece)
    client._outgoing.finish()
    return PlainStream(server)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    inside = sorted({place % len(stream) for place in places} - {0}) if stream else []
    return [stream[start:end] for start, end in zip([0, *inside], [*inside, len(stream)], strict=True) if end > start]


@given(streams, st.lists(st.integers(min_value=0, max_value=200), max_size=20), asks)
def test_framing_is_what_the_model_says(stream: bytes, places: list[int], asks: list[Ask]) -> None:
    connection = connection_with(cut(stream, places))
    rest = stream
    for what, number, delimiter in asks:
        match what:
            case "read":
                rest = check_read(connection, rest, number)
            case "exactly":
                rest = check_exactly(connection, rest, number)
            case "line":
                rest = check_line(connection, rest, number)
            case "until":
                rest = check_until(connection, rest, number, delimiter)
    assert b"".join(connection) == rest
    assert connection.bytes_in == len(stream)


def check_read(connection: PlainStream, rest: bytes, limit: int) -> bytes:
    data = connection.read(limit)
    assert len(data) <= limit
    assert rest.startswith(data)
    assert bool(data) == bool(rest)
    return rest[len(data) :]


def check_exactly(connection: PlainStream, rest: bytes, count: int) -> bytes:
    if count <= len(rest):
        assert connection.read_exactly(count) == rest[:count]
        return rest[count:]
    with pytest.raises(EndOfStream) as caught:
        connection.read_exactly(count)
    assert caught.value.received == rest
    return b""


def check_line(connection: PlainStream, rest: bytes, limit: int) -> bytes:
    line, ended, after = rest.partition(b"\n")
    if len(line.removesuffix(b"\r")) > limit:
        with pytest.raises(LineTooLong):
            connection.read_line(limit)
        return rest
    if ended:
        line = line.removesuffix(b"\r")
    assert connection.read_line(limit) == (line if rest else None)
    return after


def check_until(connection: PlainStream, rest: bytes, limit: int, delimiter: bytes) -> bytes:
    before = rest.find(delimiter)
    if before > limit or (before < 0 and len(rest) - len(delimiter) + 1 > limit):
        with pytest.raises(LineTooLong):
            connection.read_until(delimiter, limit)
        return rest
    if before < 0:
        with pytest.raises(EndOfStream) as caught:
            connection.read_until(delimiter, limit)
        assert caught.value.received == rest
        return b""
    assert connection.read_until(delimiter, limit) == rest[: before + len(delimiter)]
    return rest[before + len(delimiter) :]
