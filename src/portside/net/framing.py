"""Framing: messages of so many bytes, up to a delimiter or to the end of a line, out of a stream that comes in pieces.

What was read and not asked for waits in a buffer, which is there only then. A message that comes whole and alone, as
most of a conversation do, never sees it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from portside.contracts import READ_BYTES, Network
from portside.errors import EndOfStream, LineTooLong
from portside.net.deadline import Deadline


class Framing(ABC):
    """The reading half of a connection that is cut into messages. ``Stream`` sets what is in its slots."""

    __slots__ = ("_buffer", "line_limit", "network")

    _buffer: bytearray | None  # bytes read from the source and not yet asked for; made when needed
    line_limit: int
    network: Network

    @abstractmethod
    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        """Return the next 1 to ``limit`` bytes of the source, ``b""`` at its end and ever after.

        Counts ``bytes_in``, sets ``at_end``, keeps the pace. Raises: the failure, if there is one; TimeoutError.
        """

    async def read(self, limit: int = READ_BYTES, timeout_s: float | None = None) -> bytes:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        if self._buffer:
            return self._take(limit)
        return await self._pull(limit, timeout_s)

    async def read_exactly(self, count: int, timeout_s: float | None = None) -> bytes:
        if count < 0:
            raise ValueError(f"count must not be negative, is {count}")
        deadline = Deadline(self.network, timeout_s)
        while self._buffered < count:
            if not await self._fill(deadline):
                raise EndOfStream(self._take(count), f"{count} bytes")
        return self._take(count)

    async def read_until(self, delimiter: bytes, limit: int | None = None, timeout_s: float | None = None) -> bytes:
        if not delimiter:
            raise ValueError("the delimiter is empty")
        limit = self.line_limit if limit is None else limit
        if self._buffer is None and timeout_s is None and (whole := await self._pull_whole(delimiter, limit)):
            return whole
        deadline = Deadline(self.network, timeout_s)
        searched = 0
        while True:
            found = -1 if self._buffer is None else self._buffer.find(delimiter, searched)
            # Before the delimiter at most `limit` bytes may stand; the delimiter's own start may be among the last.
            before = self._buffered - len(delimiter) + 1 if found < 0 else found
            if before > limit:
                raise LineTooLong(before, limit)
            if found >= 0:
                return self._take(found + len(delimiter))
            searched = max(0, before)
            if not await self._fill(deadline):
                raise EndOfStream(self._take(self._buffered), f"the delimiter {delimiter!r}")

    async def read_line(self, limit: int | None = None, timeout_s: float | None = None) -> bytes | None:
        limit = self.line_limit if limit is None else limit
        if self._buffer is None and timeout_s is None and (whole := await self._pull_whole(b"\n", limit)):
            return whole[:-2] if whole.endswith(b"\r\n") else whole[:-1]
        deadline = Deadline(self.network, timeout_s)
        searched = 0
        while True:
            buffer = self._buffer
            found = -1 if buffer is None else buffer.find(b"\n", searched)
            length = self._buffered if found < 0 else found
            if buffer is not None and length and buffer[length - 1] == 0x0D:
                length -= 1  # CR of CR LF, or perhaps of one whose LF is still on its way
            if length > limit:
                raise LineTooLong(length, limit)
            if found >= 0:
                return self._take(found + 1)[:length]
            searched = self._buffered
            if not await self._fill(deadline):
                return self._take(searched) if searched else None

    async def lines(self, limit: int | None = None) -> AsyncIterator[bytes]:
        while (line := await self.read_line(limit)) is not None:
            yield line

    @property
    def _buffered(self) -> int:
        return 0 if self._buffer is None else len(self._buffer)

    def _take(self, count: int) -> bytes:
        buffer = self._buffer
        if buffer is None:
            return b""
        if count >= len(buffer):
            self._buffer = None  # an idle connection keeps no buffer
            return bytes(buffer)
        with memoryview(buffer) as view:
            data = bytes(view[:count])
        del buffer[:count]  # a bytearray moves its start, not its bytes
        return data

    async def _pull_whole(self, end: bytes, limit: int) -> bytes | None:
        """Return what comes next if it is one message, whole and alone, as most of a conversation are.

        It then never sees the buffer. Anything else is put there, and None returned.
        """
        data = await self._pull(READ_BYTES, None)
        if len(data) <= limit and 0 <= data.find(end) == len(data) - len(end):
            return data
        if data:
            self._buffer = bytearray(data)
        return None

    async def _fill(self, deadline: Deadline) -> bool:
        """Append what comes next to the buffer; False at the end of the stream."""
        data = await self._pull(READ_BYTES, deadline.left_s())
        if not data:
            return False
        if self._buffer is None:
            self._buffer = bytearray(data)
        else:
            self._buffer += data
        return True
