"""Files over blocking connections, by the kernel alone: sendfile(2) and splice(2), seen to make progress."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Final

from portside.net.files import FILE_PIECE_BYTES, Splice, write_all
from portside.net.stream import PIECE_BYTES

if TYPE_CHECKING:
    from portside.net.blocking_stream import BlockingConnection

# A call that waits for the peer moves no counter until it returns, and whoever moves none is idle to the sweeper.
# So calls that have to wait begin small, and grow while the peer is quick.
SLOW_PIECE_BYTES: Final = 65_536
QUICK_S: Final = 1.0


def next_piece_bytes(piece_bytes: int, took_s: float) -> int:
    """Return how much the next call should try to send, when this one took so long."""
    if took_s < QUICK_S:
        return min(piece_bytes * 2, FILE_PIECE_BYTES)
    return max(piece_bytes // 2, SLOW_PIECE_BYTES)


def transmit(connection: BlockingConnection, data: bytes | memoryview, *, counted: bool) -> None:
    """Send all of the bytes as they are, waiting for room as long as it takes; ``counted`` if they are the handler's.

    Raises: what the connection says.
    """
    view = memoryview(data)
    connection._is_writing, piece_bytes = True, SLOW_PIECE_BYTES
    try:
        while view:
            started_s = time.monotonic()
            try:
                sent = connection._send(view[:piece_bytes])
            except OSError as error:
                raise connection._broken(error) from error
            if counted:
                connection.bytes_out += sent
                if connection._tap is not None:
                    connection._tap.sent(bytes(view[:sent]))
            view = view[sent:]
            piece_bytes = next_piece_bytes(piece_bytes, time.monotonic() - started_s)
    finally:
        connection._is_writing = False


def send_file(connection: BlockingConnection, descriptor: int, offset: int, count: int | None) -> int:
    """Send the file's bytes from the offset, at most ``count``. Returns how many there were."""
    target = connection._socket.fileno()
    sent_total, piece_bytes = 0, SLOW_PIECE_BYTES
    connection._is_writing = True
    try:
        while count is None or sent_total < count:
            size = piece_bytes if count is None else min(piece_bytes, count - sent_total)
            started_s = time.monotonic()
            sent = os.sendfile(target, descriptor, offset + sent_total, size)
            if sent == 0:
                break
            sent_total += sent
            connection.bytes_out += sent
            if connection._tap is not None:
                connection._tap.sent_file(descriptor, offset + sent_total - sent, sent)
            piece_bytes = next_piece_bytes(piece_bytes, time.monotonic() - started_s)
    except OSError as error:
        raise connection._broken(error) from error
    finally:
        connection._is_writing = False
    return sent_total


async def receive_file(connection: BlockingConnection, descriptor: int, count: int | None) -> int:
    """Append the stream's next bytes to the file, at most ``count``. Returns how many came.

    Raises: what the connection says, or the file's own OSError.
    """
    # What is buffered, or else the first bytes, comes the plain way: a small file never needs the pipe.
    total = 0
    while total != count and (total == 0 or connection._buffer):
        data = await connection.read(PIECE_BYTES if count is None else min(PIECE_BYTES, count - total))
        if not data:
            return total
        write_all(descriptor, data)
        total += len(data)
    if total == count:
        return total
    with Splice(connection._socket.fileno(), descriptor) as splice:
        while total != count and not connection.at_end:
            total += _splice(connection, splice, FILE_PIECE_BYTES if count is None else count - total)
    return total


def _splice(connection: BlockingConnection, splice: Splice, left: int) -> int:
    """Move the next bytes from the socket to the file, 0 at the end of the stream."""
    connection._check_open()
    connection._is_reading = True
    try:
        taken = _take_when_ready(connection, splice, min(FILE_PIECE_BYTES, left))
    except OSError as error:
        raise connection._broken(error) from error
    finally:
        connection._is_reading = False
    if not taken:
        connection._check_open()
        connection.at_end = True
    connection.bytes_in += taken
    if connection._tap is not None:
        connection._tap.received(splice.look(taken))
    splice.put(taken)
    return taken


def _take_when_ready(connection: BlockingConnection, splice: Splice, limit: int) -> int:
    while True:
        try:
            return splice.take(limit)
        except BlockingIOError:
            # A TCP socket that blocks does so in splice too; a unix socket does as the pipe does.
            poll = select.poll()
            poll.register(connection._socket, select.POLLIN)
            poll.poll()
