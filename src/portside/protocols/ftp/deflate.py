"""MODE Z: a file, or a listing, as one stream in the zlib format.

Source: draft-preston-ftpext-deflate-04 section 3; RFC 1950 (zlib).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from portside.errors import MalformedMessage

LEVEL_DEFAULT: Final = 6  # zlib's own; the draft leaves it to the server
LEVELS: Final = range(10)  # 0 copies, 9 is the densest
PIECE_BYTES: Final = 262_144

Bytes = bytes | bytearray | memoryview


class MalformedDeflate(MalformedMessage):
    """What came is no zlib stream, is cut off, or does not end where its end is."""


class TooInflated(MalformedDeflate):
    """The stream makes more bytes than its limit allows."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the deflated stream makes more than {limit_bytes} bytes, which is the limit")
        self.limit_bytes = limit_bytes


class Deflater:
    """Makes a zlib stream of bytes, piece by piece. Raises: ValueError for a level that is not in ``LEVELS``."""

    __slots__ = ("_engine",)

    def __init__(self, level: int = LEVEL_DEFAULT) -> None:
        if level not in LEVELS:
            raise ValueError(f"{level} is no level of zlib: they go from {LEVELS[0]} to {LEVELS[-1]}")
        self._engine = zlib.compressobj(level)

    def feed(self, data: Bytes) -> bytes:
        """Return what the piece adds to the stream: often nothing, until enough has come."""
        return self._engine.compress(data)

    def finish(self) -> bytes:
        """Return the end of the stream. No bytes at all make a stream, too."""
        return self._engine.flush()


class Inflater:
    """Makes bytes of a zlib stream, piece by piece.

    A kilobyte may hold a megabyte of zeros: so no piece that comes out is larger than ``piece_bytes``, whatever goes
    in, and nothing is made before it is asked for. ``limit_bytes`` bounds all of them together.
    """

    __slots__ = ("_engine", "_limit_bytes", "_piece_bytes", "made_bytes")

    def __init__(self, limit_bytes: int | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._engine = zlib.decompressobj()
        self._limit_bytes, self._piece_bytes = limit_bytes, piece_bytes
        self.made_bytes = 0

    def feed(self, data: Bytes) -> Iterator[bytes]:
        """Yield what the stream's next piece makes; all of it must be taken before the next is fed.

        Raises: MalformedDeflate, TooInflated; while iterating.
        """
        rest: Bytes = data
        while len(rest) or not self._engine.eof:
            piece = self._inflate(rest)
            rest = self._engine.unconsumed_tail
            if piece:
                yield piece
            if not rest and len(piece) < self._piece_bytes:
                return

    def _inflate(self, data: Bytes) -> bytes:
        if self._engine.eof and len(data):
            raise MalformedDeflate("bytes follow the end of the deflated stream")
        try:
            piece = self._engine.decompress(data, self._piece_bytes)
        except zlib.error as error:
            raise MalformedDeflate(f"this is no deflated stream: {error}") from error
        if self._engine.unused_data:
            raise MalformedDeflate("bytes follow the end of the deflated stream")
        self.made_bytes += len(piece)
        if self._limit_bytes is not None and self.made_bytes > self._limit_bytes:
            raise TooInflated(self._limit_bytes)
        return piece

    def finish(self) -> None:
        """Check that the stream came to its end. Raises: MalformedDeflate if it was cut off."""
        if not self._engine.eof:
            raise MalformedDeflate("the deflated stream is cut off before its end")
