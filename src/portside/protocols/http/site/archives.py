"""A folder as one file, made while it is sent: nothing of it is ever whole in memory or on the disk.

The walk and the reading wait for the disk, so each piece is made in a thread; the next one is made when the client has
taken the last.
"""

from __future__ import annotations

import asyncio
import tarfile
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote

from starlette.responses import StreamingResponse

from portside.protocols.http.site.listing import modified_at
from portside.protocols.http.site.media import is_compressible, media_type_of
from portside.protocols.http.site.problems import Problem
from portside.protocols.http.site.rules import RawFields, Rules
from portside.protocols.http.site.targets import shown
from portside.protocols.http.site.turns import run_blocking
from portside.protocols.http.site.walking import Found, walk
from portside.protocols.http.site.zip_format import (
    LARGE_FROM_BYTES,
    Member,
    build_directory_entry,
    build_end,
    build_member_end,
    build_member_head,
)
from portside.storage.contract import Entry, Storage, StorageError, Stored
from portside.storage.paths import split

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

AT_ONCE: Final = 4  # made by one process at the same time; each walks a tree and keeps a thread busy
READ_BYTES: Final = 262_144
DIRECTORY_IN_MEMORY_BYTES: Final = 1 << 20  # of a ZIP's list of files, 10,000 of them; a longer one goes to a file

# One that is compressed already is only copied, with five bytes more for each 64 KiB.
_FAST, _NOT_AT_ALL = 1, 0
_BLOCK_BYTES: Final = tarfile.BLOCKSIZE

Pieces = Callable[[Storage, str, str, Rules], Generator[bytes]]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of archive: how its file is named, what it is, and what makes it."""

    suffix: str
    media_type: str
    pieces: Pieces


async def answer_archive(exchange: Exchange, form: Format) -> None:
    """Send the folder that is asked for. Raises: Problem, StorageError."""
    name = shown(split(exchange.path)[1]) or "files"
    entry = await run_blocking(exchange.storage.stat, exchange.path)
    if entry.kind != "directory":
        raise Problem(404, "Only a folder can be had as an archive.")
    fields: RawFields = [
        (b"content-type", form.media_type.encode("ascii")),
        (b"content-disposition", build_disposition(f"{name}{form.suffix}").encode("ascii")),
        (b"cache-control", b"no-store"),
        *exchange.rules.always,
    ]
    if exchange.is_head:  # how long it would be, nobody knows before it is made
        await exchange.send({"type": "http.response.start", "status": 200, "headers": fields})
        await exchange.send({"type": "http.response.body", "body": b""})
        return
    if not exchange.archives.begin():
        raise Problem(503, "The server makes as many archives as it can; try again soon.", {"retry-after": "10"})
    making = _Making(form.pieces(exchange.storage, exchange.path, name, exchange.rules))
    try:
        response = StreamingResponse(making.pieces(exchange))
        response.raw_headers = fields
        await response(exchange.scope, exchange.receive, exchange.send)
    finally:
        exchange.archives.end()
        # In a thread, which waits for the one that may still be at it; and nobody waits for this one: who is cancelled
        # has no more turns.
        asyncio.get_running_loop().run_in_executor(None, making.close)


class _Making:
    """An archive that is being made, a piece at a time, each in a thread."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self._pieces = pieces
        self._turn = threading.Lock()

    async def pieces(self, exchange: Exchange) -> AsyncIterator[bytes]:
        while piece := await run_blocking(self._next):
            await exchange.let_pass("out", len(piece))
            yield piece

    def _next(self) -> bytes:
        with self._turn:
            return next(self._pieces, b"")  # nothing more, once it is closed

    def close(self) -> None:
        """Let go of all files, wherever it stands."""
        with self._turn:
            self._pieces.close()


def build_disposition(name: str) -> str:
    """Return the value that has a browser save the answer under that name: RFC 6266, RFC 8187."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


# ── what both formats do ─────────────────────────────────────────────────────────────────────────────────────────────


def _open(storage: Storage, path: str) -> Stored | None:
    """Open a file; None for one that has vanished since it was seen, or may not be read: the others still come."""
    with suppress(StorageError):
        return storage.open(path)
    return None


def _read(file: BinaryIO, count: int) -> Iterator[bytes]:
    """Yield so many bytes, or fewer where the file has become shorter."""
    while count > 0:
        piece = file.read(min(READ_BYTES, count))
        if not piece:
            return
        count -= len(piece)
        yield piece


class _Gathered:
    """Small pieces on their way out, a large one when there are enough."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0

    def add(self, *pieces: bytes) -> None:
        self._pieces += pieces
        self._bytes += sum(map(len, pieces))

    @property
    def is_enough(self) -> bool:
        return self._bytes >= READ_BYTES

    def take(self) -> bytes:
        taken, self._pieces, self._bytes = b"".join(self._pieces), [], 0
        return taken


# ── tar ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tar_pieces(storage: Storage, folder: str, name: str, rules: Rules) -> Generator[bytes]:
    """Yield the folder as a tar archive in the format of POSIX.1-2001 (pax): any name, any size, any date."""
    out = _Gathered()
    for found in walk(storage, folder, rules):
        if found.entry.kind == "directory":
            out.add(_tar_head(f"{name}/{found.name}", found.entry))
        elif (stored := _open(storage, found.path)) is not None:
            try:
                yield from _tar_member(out, f"{name}/{found.name}", stored)
            finally:
                stored.close()
        if out.is_enough:
            yield out.take()
    out.add(bytes(2 * _BLOCK_BYTES))
    yield out.take()


def _tar_member(out: _Gathered, name: str, stored: Stored) -> Iterator[bytes]:
    out.add(_tar_head(name, stored.entry))
    size_bytes = stored.entry.size_bytes
    left = size_bytes
    for piece in _read(stored.file, size_bytes):
        left -= len(piece)
        out.add(piece)
        if out.is_enough:
            yield out.take()
    # The head has said how long it is: what a file lacks that has become shorter is zeros, as GNU tar has it.
    for start in range(0, left, READ_BYTES):
        out.add(bytes(min(READ_BYTES, left - start)))
        if out.is_enough:
            yield out.take()
    out.add(bytes(-size_bytes % _BLOCK_BYTES))


def _tar_head(name: str, entry: Entry) -> bytes:
    info = tarfile.TarInfo(name)
    info.mtime = int(entry.modified_ns // 1_000_000_000)
    if entry.kind == "directory":
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size, info.mode = entry.size_bytes, 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


# ── zip ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def zip_pieces(storage: Storage, folder: str, name: str, rules: Rules) -> Generator[bytes]:
    """Yield the folder as a ZIP archive."""
    with tempfile.SpooledTemporaryFile(DIRECTORY_IN_MEMORY_BYTES) as directory:
        out, offset, members = _Gathered(), 0, 0
        for found in walk(storage, folder, rules):
            packing = _Packing(found, f"{name}/{found.name}", offset)
            for piece in packing.pieces(storage):
                offset += len(piece)
                out.add(piece)
                if out.is_enough:
                    yield out.take()
            if packing.is_there:
                directory.write(build_directory_entry(packing.member))
                members += 1
        directory_bytes = directory.tell()
        directory.seek(0)
        while piece := directory.read(READ_BYTES):
            out.add(piece)
            if out.is_enough:
                yield out.take()
        out.add(build_end(members, directory_bytes, offset))
        yield out.take()


class _Packing:
    """One file or folder on its way into a ZIP archive."""

    def __init__(self, found: Found, name: str, offset: int) -> None:
        self._found = found
        is_folder = found.entry.kind == "directory"
        self.member = Member(f"{name}/" if is_folder else name, modified_at(found.entry), offset=offset)
        self.is_there = is_folder

    def pieces(self, storage: Storage) -> Iterator[bytes]:
        member = self.member
        if member.is_folder:
            yield build_member_head(member)
        elif (stored := _open(storage, self._found.path)) is not None:
            self.is_there = True
            try:
                member.is_large = stored.entry.size_bytes >= LARGE_FROM_BYTES
                yield build_member_head(member)
                yield from self._packed(stored)
                yield build_member_end(member)
            finally:
                stored.close()

    def _packed(self, stored: Stored) -> Iterator[bytes]:
        member = self.member
        level = _FAST if is_compressible(media_type_of(self._found.entry.name)) else _NOT_AT_ALL
        packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        for piece in _read(stored.file, stored.entry.size_bytes):
            member.checksum = zlib.crc32(piece, member.checksum)
            member.size_bytes += len(piece)
            if packed := packer.compress(piece):
                member.packed_bytes += len(packed)
                yield packed
        packed = packer.flush()
        member.packed_bytes += len(packed)
        yield packed


FORMATS: Final = {
    "zip": Format(".zip", "application/zip", zip_pieces),
    "tar": Format(".tar", "application/x-tar", tar_pieces),
}
