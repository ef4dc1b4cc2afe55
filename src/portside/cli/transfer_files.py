"""One file, whole or not at all: downloads come beside their name and get it at the end, uploads are counted after.

A download is written to ``NAME.part``. When all of it is there it gets its own name, in place of whatever had it;
when it breaks off, what came stays, and ``--resume`` goes on behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from portside.cli.progress import Progress
from portside.contracts import Network
from portside.errors import LocalError, PeerError
from portside.protocols.ftp.client import FtpClient, Incomplete, NotSupported, Refused
from portside.protocols.ftp.digests import ALGORITHMS, HashReply, open_digest

PART: Final = ".part"
WORTH_RESUMING_BYTES: Final = 1_000_000  # less is sent anew as quickly as the server is asked what it has
DIRECTORY: Final = "is a directory: portside mirror brings directories"
DIGEST_PIECE_BYTES: Final = 1 << 20
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # that may pass: RFC 9110 section 15.5 and 15.6


@dataclass(slots=True)
class Timings:
    """How long each step of a request took, in seconds; None for one that was not needed.

    The name is looked up before the connection is made; ``first_byte`` is from the request to the head of its answer.
    """

    name_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    total_s: float | None = None


class Mismatch(PeerError):
    """Both sides have all bytes, and not the same ones."""

    def __init__(self, path: str, algorithm: str, here: str, there: str) -> None:
        super().__init__(f"{path}: the {algorithm} here is {here}, the server's is {there}")
        self.path = path


class HttpRefused(PeerError):
    """The server answered, and not with what was asked for."""

    def __init__(self, url: str, status: int, reason: str, said: str = "") -> None:
        super().__init__(f"{url}: {status} {reason}".rstrip() + (f": {said}" if said else ""))
        self.path = url
        self.status = status
        self.is_temporary = status in _TEMPORARY


@dataclass(frozen=True, slots=True)
class Done:
    """A file that is where it should be. ``moved_bytes`` came behind ``offset`` that were there before."""

    size_bytes: int
    moved_bytes: int
    offset: int
    duration_s: float
    digest: HashReply | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How one file is carried: ``resume`` what an earlier attempt left, and ``verify`` by a checksum."""

    network: Network
    progress: Progress
    resume: bool = False
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a remote file; None is what is not."""

    size_bytes: int | None = None
    modified_ns: int | None = None


# ── downloads ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def look_up(client: FtpClient, path: str) -> Known:
    """Return what the server tells of a file. Raises: Refused when it is not there; IsADirectoryError."""
    if "MLST" in client.features:
        entry = await client.stat(path)
        if entry.kind == "directory":
            raise IsADirectoryError(errno.EISDIR, DIRECTORY, path)
        return Known(entry.size_bytes, entry.modified_ns)
    return Known(await client.size(path), await client.modified(path))


async def fetch(client: FtpClient, path: str, local: Path, manner: Manner, known: Known | None = None) -> Done:
    """Bring the file to ``local``. Raises: what ``FtpClient.download`` does; OSError, LocalError; Mismatch."""
    known = await look_up(client, path) if known is None else known
    with opened_part(local, manner.progress) as (part, file):
        offset = _usable_bytes(file, known) if manner.resume else 0
        done = await _fetch_into(client, path, file, manner, known, offset=offset)
        if manner.verify:
            done = await _verified(client, path, file, done, manner)
        if known.modified_ns is not None:
            os.utime(file.fileno(), ns=(known.modified_ns, known.modified_ns))
        os.replace(part, local)
    return done


async def _fetch_into(
    client: FtpClient, path: str, file: BinaryIO, manner: Manner, known: Known, *, offset: int
) -> Done:
    if offset and offset == known.size_bytes:
        return Done(offset, 0, offset, 0.0)
    os.ftruncate(file.fileno(), offset)
    file.seek(offset)
    bar = manner.progress.begin(path, known.size_bytes, offset)
    try:
        transfer = await client.download(path, file, offset=offset, size_bytes=known.size_bytes, progress=bar.move)
    except Refused as refused:
        if not offset or not refused.command.startswith("REST"):
            raise
        return await _fetch_into(client, path, file, manner, known, offset=0)  # it cannot begin in the middle
    finally:
        bar.end()
    return Done(transfer.size_bytes, transfer.moved_bytes, offset, transfer.duration_s)


@contextlib.contextmanager
def opened_part(local: Path, progress: Progress) -> Iterator[tuple[Path, BinaryIO]]:
    """Open the file beside its name, for nobody else meanwhile. One that is left with nothing in it is removed."""
    if local.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory", str(local))
    part = local.with_name(local.name + PART)
    # A link in its place would lead us to write somewhere else, and a FIFO would hold us up for ever.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(part, flags, 0o666), "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise LocalError(f"{part} is no regular file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(f"{part} is being written by somebody else") from error
        try:
            yield part, file
        except BaseException as error:
            kept_bytes = os.fstat(file.fileno()).st_size
            if not kept_bytes:
                part.unlink(missing_ok=True)
            elif isinstance(error, asyncio.CancelledError):
                progress.say(f"{part} keeps what came, {kept_bytes} bytes: --resume goes on behind them")
            raise


def _usable_bytes(file: BinaryIO, known: Known) -> int:
    """Return how many bytes of an earlier attempt can be kept: none if the server's file is newer, or shorter."""
    facts = os.fstat(file.fileno())
    if known.modified_ns is not None and facts.st_mtime_ns < known.modified_ns:
        return 0
    if known.size_bytes is not None and facts.st_size > known.size_bytes:
        return 0
    return facts.st_size


async def fetch_pieces(client: FtpClient, path: str, write: Callable[[bytes], Awaitable[None]], manner: Manner) -> Done:
    """Bring the file piece by piece to whoever takes them."""
    known = await look_up(client, path)
    bar = manner.progress.begin(path, known.size_bytes)
    try:
        transfer = await client.download(path, write, size_bytes=known.size_bytes, progress=bar.move)
    finally:
        bar.end()
    return Done(transfer.size_bytes, transfer.moved_bytes, 0, transfer.duration_s)


# ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sent:
    """What earlier attempts of the same call have left on the server, to be gone on with.

    Only where nothing was before them, only once they have sent something, and only of the file as it still is: a
    server that keeps an old file until the new one is whole would take the rest of ours for the rest of its own.
    """

    def __init__(self) -> None:
        self._stamp: tuple[int, int] | None = None
        self._nothing_was_there = False
        self.has_begun = False

    async def can_be_gone_on_with(self, client: FtpClient, path: str, facts: os.stat_result) -> bool:
        """Tell whether what is there is ours; the first time, look what is there before us."""
        if self._stamp is None and facts.st_size >= WORTH_RESUMING_BYTES:
            self._stamp = facts.st_size, facts.st_mtime_ns
            self._nothing_was_there = await client.size(path) is None
        return self.has_begun and self._nothing_was_there and self._stamp == (facts.st_size, facts.st_mtime_ns)

    def forget(self) -> None:
        """What is there has turned out to be other bytes."""
        self.has_begun = False


async def send(client: FtpClient, local: Path, path: str, manner: Manner, sent: Sent | None = None) -> Done:
    """Bring the file to the server, with its time where the server can keep that.

    ``sent`` is what the attempts of one call have in common.
    Raises: what ``FtpClient.upload`` does; OSError, LocalError; Incomplete, Mismatch.
    """
    sent = Sent() if sent is None else sent
    with opened_source(local) as file:
        facts = os.fstat(file.fileno())
        resume = manner.resume or await sent.can_be_gone_on_with(client, path, facts)
        there = await client.size(path) if resume else None
        offset = there if there is not None and there <= facts.st_size else 0
        done = await _send_from(client, file, path, manner, sent, offset=offset)
        if manner.verify:
            try:
                done = await _verified(client, path, file, done, manner)
            except Mismatch:
                sent.forget()
                raise
    with contextlib.suppress(Refused):  # the bytes are what counts
        await client.set_modified(path, facts.st_mtime_ns)
    return done


@contextlib.contextmanager
def opened_source(local: Path) -> Iterator[BinaryIO]:
    """Open a regular file to read it: a FIFO or a device would hold us up for ever."""
    if local.is_dir():
        raise IsADirectoryError(errno.EISDIR, DIRECTORY, str(local))
    with open(os.open(local, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise LocalError(f"{local} is no regular file")
        yield file


async def _send_from(client: FtpClient, file: BinaryIO, path: str, manner: Manner, sent: Sent, *, offset: int) -> Done:
    size_bytes = os.fstat(file.fileno()).st_size
    if offset and offset == size_bytes:
        return Done(offset, 0, offset, 0.0)
    bar = manner.progress.begin(path, size_bytes, offset)

    def progress(moved_bytes: int) -> None:
        sent.has_begun = sent.has_begun or moved_bytes > 0
        bar.move(moved_bytes)

    try:
        try:
            transfer = await client.upload(path, file, offset=offset, progress=progress)
        except NotSupported as refused:
            if not refused.command.startswith("REST"):
                raise
            transfer = await client.upload(path, file, offset=offset, append=True, progress=progress)
    finally:
        bar.end()
    await _check_size(client, path, transfer.size_bytes)
    return Done(transfer.size_bytes, transfer.moved_bytes, offset, transfer.duration_s)


async def send_pieces(client: FtpClient, pieces: AsyncIterator[bytes], path: str, manner: Manner) -> Done:
    """Bring to the server what comes piece by piece."""
    bar = manner.progress.begin(path, None)
    try:
        transfer = await client.upload(path, pieces, progress=bar.move)
    finally:
        bar.end()
    await _check_size(client, path, transfer.size_bytes)
    return Done(transfer.size_bytes, transfer.moved_bytes, 0, transfer.duration_s)


async def _check_size(client: FtpClient, path: str, size_bytes: int) -> None:
    there = await client.size(path)
    if there is not None and there != size_bytes:
        raise Incomplete(path, there, size_bytes, f"the server has {there} bytes of {size_bytes}")


# ── checksums ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _verified(client: FtpClient, path: str, file: BinaryIO, done: Done, manner: Manner) -> Done:
    """Return the same with the digest that both sides have, or without one where the server has none.

    Raises: Mismatch, and then the file is emptied if it is ours to write: no later attempt may go on behind it.
    """
    there = await client.digest(path, size_bytes=done.size_bytes)
    if there is None or there.algorithm not in ALGORITHMS:
        manner.progress.say(f"{path}: not verified, the server has no checksums; the sizes are the same")
        return done
    here = await manner.network.run_blocking(_digest_of, file, there.algorithm)
    if here != there.digest:
        if file.writable():
            os.ftruncate(file.fileno(), 0)
        raise Mismatch(path, there.algorithm, here, there.digest)
    return Done(done.size_bytes, done.moved_bytes, done.offset, done.duration_s, there)


def _digest_of(file: BinaryIO, algorithm: str) -> str:
    digest = open_digest(algorithm)
    file.seek(0)
    while piece := file.read(DIGEST_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
