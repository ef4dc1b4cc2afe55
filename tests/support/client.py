"""Clients as Python's own socket module makes them: blocking, with a deadline on every call."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
from collections.abc import Iterator

import pytest

from support.server import Ready
from support.waiting import WITHIN_S

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds; close() then sends a reset: socket(7)
TCP_REPAIR = 19  # linux/tcp.h; a socket closed in repair mode vanishes without a word to its peer


def connect(ready: Ready, *, source: str | None = None) -> socket.socket:
    """Return a socket connected to what the ready line says, from the address ``source`` if one is given."""
    endpoint = ready.endpoint
    if endpoint.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(WITHIN_S)
        path = ready.url.removeprefix("unix:").partition("?")[0]
        connection.connect("\0" + path[1:] if path.startswith("@") else path)
        return connection
    return socket.create_connection((ready.host, ready.port), WITHIN_S, (source, 0) if source else None)


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything until the peer's end of stream."""
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes; fewer if the stream ends before."""
    data = b""
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return data


def exchange(ready: Ready, data: bytes, *, source: str | None = None) -> bytes:
    """Say ``data``, half-close, and return everything that comes back."""
    with connect(ready, source=source) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def is_over(connection: socket.socket) -> bool:
    """Return whether the peer ended the connection, in whatever way. Reads what is left."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def reset(connection: socket.socket) -> None:
    """Close the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


def vanish(connection: socket.socket) -> None:
    """Close the connection without telling the peer, as a host does that loses its power."""
    try:
        connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except PermissionError:
        pytest.skip("vanishing without a word (TCP_REPAIR) needs CAP_NET_ADMIN")
    connection.close()


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Allow this process, and those it starts, so many descriptors, or skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"needs {count} descriptors, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
