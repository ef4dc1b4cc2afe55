"""Files over connections whose bytes the kernel cannot copy by itself: under TLS, paced, or of no kernel at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from portside.errors import EndOfStream
from portside.net.files import FILE_PIECE_BYTES

if TYPE_CHECKING:
    from portside.net.stream import Stream


async def send_file(stream: Stream, file: BinaryIO, offset: int, count: int | None) -> int:
    """Read the file in pieces and write them. Returns how many bytes. Raises: EndOfStream when it is too short."""
    sent = 0
    file.seek(offset)
    while count is None or sent < count:
        data = file.read(FILE_PIECE_BYTES if count is None else min(FILE_PIECE_BYTES, count - sent))
        if not data:
            break
        await stream.write(data)
        sent += len(data)
    check_sent(sent, count)
    return sent


def check_sent(sent: int, count: int | None) -> None:
    if count is not None and sent < count:
        raise EndOfStream(b"", f"a file of {count - sent} bytes more")


async def receive_file(stream: Stream, file: BinaryIO, count: int | None) -> int:
    """Write to the file what is read, at most ``count`` bytes. Returns how many came."""
    received = 0
    while count is None or received < count:
        data = await stream.read(FILE_PIECE_BYTES if count is None else min(FILE_PIECE_BYTES, count - received))
        if not data:
            break
        file.write(data)
        received += len(data)
    return received
