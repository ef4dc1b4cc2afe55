"""The bytes of a file on their way out: by the kernel where the server can let it, else in pieces through us.

A server that offers ASGI's extension ``http.response.zerocopysend`` takes, in place of a body, a file that is open
already: what was looked at beneath the root is what is sent, whatever name it has by now. (``http.response.pathsend``
names a path, and whoever may rename things could put another file there in between.)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from portside.errors import EndOfStream
from portside.protocols.http.site.ranges import Part
from portside.protocols.http.site.turns import run_blocking
from portside.storage.contract import Stored

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

ZERO_COPY: Final = "http.response.zerocopysend"
AT_ONCE_BYTES: Final = 65_536  # a file up to this is read, and leaves in one piece with its head
PIECE_BYTES: Final = 262_144


async def send_whole(exchange: Exchange, stored: Stored, size_bytes: int) -> None:
    """Send all of a file as a body."""
    if size_bytes <= AT_ONCE_BYTES:
        await exchange.let_pass("out", size_bytes)
        body = stored.read_nowait(size_bytes)
        if body is None:
            body = await run_blocking(_read, stored, 0, size_bytes)
        await exchange.send({"type": "http.response.body", "body": _all_of(body, size_bytes)})
    else:
        await send_part(exchange, stored, Part(0, size_bytes), more=False)


async def send_part(exchange: Exchange, stored: Stored, part: Part, *, more: bool) -> None:
    """Send a part of a file as a piece of a body. Raises: EndOfStream, if the file has become shorter."""
    copies = ZERO_COPY in exchange.scope.get("extensions", {}) and descriptor_of(stored) is not None
    at_once = part.end - part.start if copies and exchange.account.bytes_out_per_s is None else PIECE_BYTES
    start = part.start
    while start < part.end:
        count = min(at_once, part.end - start)
        await exchange.let_pass("out", count)
        message: dict[str, Any]
        if copies:
            message = {"type": ZERO_COPY, "file": stored.file, "offset": start, "count": count}
        else:
            piece = await run_blocking(_read, stored, start, count)
            message = {"type": "http.response.body", "body": _all_of(piece, count)}
        start += count
        await exchange.send({**message, "more_body": more or start < part.end})


def descriptor_of(stored: Stored) -> int | None:
    """Return the descriptor of the file, None where there is no kernel's file behind it."""
    try:
        return stored.file.fileno()
    except OSError:
        return None


def _read(stored: Stored, start: int, count: int) -> bytes:
    descriptor = descriptor_of(stored)
    if descriptor is not None:
        return os.pread(descriptor, count, start)
    stored.file.seek(start)
    return stored.file.read(count)


def _all_of(piece: bytes, count: int) -> bytes:
    if len(piece) < count:
        raise EndOfStream(piece, f"{count} bytes of a file, which has become shorter")
    return piece
