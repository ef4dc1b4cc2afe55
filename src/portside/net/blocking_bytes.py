"""Small helps of blocking connections: the rest of chunks sent in part, waiting with a time-out, the last bytes."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from typing import TypeAlias

from portside.net.sockets import MSG_DONTWAIT, Socket
from portside.net.stream import PIECE_BYTES

Chunk: TypeAlias = bytes | bytearray | memoryview


def after(sent: int, chunks: tuple[Chunk, ...]) -> Iterator[memoryview]:
    """Yield what is left of the chunks behind the first ``sent`` bytes."""
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        if sent < len(view):
            yield view[sent:]
        sent = max(0, sent - len(view))


def wait_readable(sock: Socket, timeout_s: float) -> None:
    """Return when the socket has something to read. Raises: TimeoutError."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(timeout_s * 1_000):
        raise TimeoutError(f"nothing came within {timeout_s:g} s")


def drain(sock: Socket, linger_s: float) -> None:
    """Throw away what still comes, until the peer's end of stream or for ``linger_s`` seconds. Raises: OSError."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    deadline_s = time.monotonic() + linger_s
    while (left_s := deadline_s - time.monotonic()) > 0 and poll.poll(left_s * 1_000):
        if not sock.recv(PIECE_BYTES, MSG_DONTWAIT):
            return
