"""Files over connections whose bytes the kernel cannot copy by itself: under TLS, paced, or of no kernel at all.

A real file is read and written through its descriptor, with one buffer for all of it: a fresh buffer for each piece
costs more in page faults alone than encryption does.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from portside.errors import EndOfStream
from portside.net.files import FILE_PIECE_BYTES, descriptor_of, write_all

if TYPE_CHECKING:
    from portside.net.stream import Stream

SEND_BYTES: Final = 262_144  # read and sent at a time; larger pieces win nothing more
GATHERED_BYTES: Final = 524_288  # what is received before it is written
ROOM_BYTES: Final = 262_144  # less room than this, and what was gathered is written first


async def send_file(stream: Stream, file: BinaryIO, offset: int, count: int | None) -> int:
    """Send the file's bytes from the offset, at most ``count``. Returns how many.

    Raises: EndOfStream when the file is shorter than ``count``.
    """
    descriptor = descriptor_of(file)
    if descriptor is None:
        sent = await _send_from_memory(stream, file, offset, count)
    else:
        sent = await _send_from_disk(stream, descriptor, offset, count)
    check_sent(sent, count)
    return sent


async def _send_from_memory(stream: Stream, file: BinaryIO, offset: int, count: int | None) -> int:
    sent = 0
    file.seek(offset)
    while count is None or sent < count:
        data = file.read(FILE_PIECE_BYTES if count is None else min(FILE_PIECE_BYTES, count - sent))
        if not data:
            break
        await stream.write(data)
        sent += len(data)
    return sent


async def _send_from_disk(stream: Stream, descriptor: int, offset: int, count: int | None) -> int:
    buffer = memoryview(bytearray(_buffer_bytes(descriptor, offset, count)))
    sent = 0
    while count is None or sent < count:
        view = buffer if count is None else buffer[: count - sent]
        got = os.preadv(descriptor, (view,), offset + sent)
        if not got:
            break
        await stream.write(view[:got])  # which keeps none of it
        sent += got
    return sent


def _buffer_bytes(descriptor: int, offset: int, count: int | None) -> int:
    """Return how large a buffer the file deserves: a small one must not pay for a large one."""
    if count is None:
        found = os.fstat(descriptor)
        count = found.st_size - offset if stat.S_ISREG(found.st_mode) else SEND_BYTES
    return max(1, min(count, SEND_BYTES))


def check_sent(sent: int, count: int | None) -> None:
    if count is not None and sent < count:
        raise EndOfStream(b"", f"a file of {count - sent} bytes more")


async def receive_file(stream: Stream, file: BinaryIO, count: int | None) -> int:
    """Append to the file what is read, at most ``count`` bytes. Returns how many came."""
    descriptor = descriptor_of(file)
    if descriptor is None:
        return await _receive_to_memory(stream, file, count)
    file.flush()
    # What comes first comes the plain way: a small file needs no buffer.
    data = await stream.read(ROOM_BYTES if count is None else min(ROOM_BYTES, count)) if count != 0 else b""
    write_all(descriptor, data)
    if not data or len(data) == count:
        return len(data)
    return len(data) + await _receive_to_disk(stream, descriptor, None if count is None else count - len(data))


async def _receive_to_memory(stream: Stream, file: BinaryIO, count: int | None) -> int:
    received = 0
    while count is None or received < count:
        data = await stream.read(FILE_PIECE_BYTES if count is None else min(FILE_PIECE_BYTES, count - received))
        if not data:
            break
        file.write(data)
        received += len(data)
    return received


async def _receive_to_disk(stream: Stream, descriptor: int, count: int | None) -> int:
    buffer = memoryview(bytearray(GATHERED_BYTES))
    received = held = 0
    try:
        while count is None or received < count:
            if GATHERED_BYTES - held < ROOM_BYTES:
                written, held = held, 0  # first, for what the disk refuses is not to be written once more
                write_all(descriptor, buffer[:written])
            view = buffer[held:] if count is None else buffer[held : held + count - received]
            got = await stream._pull_into(view)
            if not got:
                break
            held += got
            received += got
    except BaseException:
        with contextlib.suppress(OSError):  # what came is kept: an upload may be resumed
            write_all(descriptor, buffer[:held])
        raise
    write_all(descriptor, buffer[:held])
    return received
