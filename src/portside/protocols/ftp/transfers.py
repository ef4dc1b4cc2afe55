"""A transfer: it goes on beside the control connection's conversation, and says itself how it ended.

Its data connection accompanies the control connection: who ends the one ends the other, and a session whose transfer
moves is not idle. Bytes that need no change are copied by the kernel; text, deflated and paced ones pass through here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, TypeVar

from portside.accounts.rates import Pacer
from portside.contracts import Connection, Work
from portside.errors import ConnectionEnded, ConnectionLost, NetworkError, PeerError, PortsideError
from portside.protocols.ftp.ascii import AsciiDecoder, AsciiEncoder
from portside.protocols.ftp.data import Active, CannotOpen, Way
from portside.protocols.ftp.deflate import Deflater, Inflater
from portside.storage.contract import StorageError, Stored

if TYPE_CHECKING:
    import ssl

Result = TypeVar("Result")

SHORT_BYTES: Final = 16_384  # what any socket takes at once: tcp_wmem's default, tcp(7), of which Linux gives more
PIECE_BYTES: Final = 65_536  # of what passes through Python, text and deflated: others on the loop want their turn too
STALLED: Final = "no byte has moved for too long"
ABORTED: Final = "the transfer was aborted"
TRUNCATED: Final = "the data ended without TLS's own end: somebody may have cut it off"
LEFT: Final = "the control connection ended before the data did"


class Failed(PortsideError):
    """A transfer failed; the code is the reply's, the sentence for the client and the log."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class QuotaUsedUp(StorageError):
    """The account may not store so much."""

    sentence = "the quota of this account is used up"


# ── how bytes are represented ────────────────────────────────────────────────────────────────────────────────────────

Change: TypeAlias = Callable[[bytes], bytes]


class Representation:
    """What the session has set about the bytes of a transfer: TYPE and MODE, and who protects and paces them."""

    __slots__ = ("deflate_level", "is_binary", "pacer", "tls")

    def __init__(self, *, is_binary: bool, deflate_level: int | None, tls: Protection | None, pacer: Pacer) -> None:
        self.is_binary = is_binary
        self.deflate_level = deflate_level  # None: MODE S
        self.tls = tls
        self.pacer = pacer

    @property
    def is_plain(self) -> bool:
        """Whether the bytes of the file are those of the stream."""
        return self.is_binary and self.deflate_level is None

    @property
    def waits_for_nobody(self) -> bool:
        """Whether bytes go out as soon as there is room for them: no handshake goes before, and nothing paces them."""
        return self.tls is None and self.deflate_level is None and not self.pacer.is_needed


class Protection:
    """TLS of a data connection, and whether it must resume the control connection's session."""

    __slots__ = ("context", "must_resume")

    def __init__(self, context: ssl.SSLContext, *, must_resume: bool) -> None:
        self.context = context
        self.must_resume = must_resume

    async def begin(self, data: Connection) -> None:
        """Shake hands on the data connection. Raises: TlsFailed, Failed."""
        await data.start_tls(self.context)
        if self.must_resume and not (data.tls is not None and data.tls.resumed):
            raise Failed(522, "TLS on data connections must resume the control connection's session here")


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def send_stored(data: Connection, stored: Stored, offset: int, how: Representation) -> None:
    """Send the file from the offset to its end, and end the stream."""
    size_bytes = stored.entry.size_bytes
    if not how.is_plain:
        await _send_changed(data, stored.file, offset, how)
    elif how.pacer.is_needed:
        await _send_paced(data, stored.file, offset, size_bytes, how.pacer)
    elif offset or size_bytes > SHORT_BYTES or (content := stored.read_nowait(size_bytes)) is None:
        await data.send_file(stored.file, offset)
    elif content:
        await data.write(content)
    await _end(data)


async def _send_paced(data: Connection, file: BinaryIO, offset: int, size_bytes: int, pacer: Pacer) -> None:
    while offset < size_bytes:
        count = min(pacer.piece_bytes, size_bytes - offset)
        await pacer.let_pass(count)
        await data.send_file(file, offset, count)
        offset += count


async def _end(data: Connection) -> None:
    """End the stream, all of whose bytes the kernel has taken.

    Who knows the size may close as soon as so much has come (curl and lftp do), and hear nothing of TLS's own end.
    """
    try:
        await data.write_eof()
    except ConnectionEnded:
        raise
    except ConnectionLost:
        if data.tls is None:
            raise


async def _send_changed(data: Connection, file: BinaryIO, offset: int, how: Representation) -> None:
    file.seek(offset)
    change, finish = _outgoing(how)
    while piece := file.read(PIECE_BYTES):
        await _write(data, change(piece), how.pacer)
        await data.network.sleep(0)
    await _write(data, finish(), how.pacer)


async def send_pieces(data: Connection, next_piece: Callable[[], Awaitable[bytes]], how: Representation) -> None:
    """Send pieces, such as those of a listing, until an empty one. They are text with CR LF already."""
    change, finish = _deflating(how.deflate_level)
    while piece := await next_piece():
        await _write(data, change(piece), how.pacer)
    await _write(data, finish(), how.pacer)
    await _end(data)


async def _write(data: Connection, piece: bytes, pacer: Pacer) -> None:
    if not pacer.is_needed:
        if piece:
            await data.write(piece)
        return
    for start in range(0, len(piece), pacer.piece_bytes):
        part = piece[start : start + pacer.piece_bytes]
        await pacer.let_pass(len(part))
        await data.write(part)


def _outgoing(how: Representation) -> tuple[Change, Callable[[], bytes]]:
    """Return what changes each piece of a file on its way out, and what comes behind the last."""
    change, finish = _deflating(how.deflate_level)
    if how.is_binary:
        return change, finish
    text = AsciiEncoder()
    return (lambda piece: change(text.feed(piece))), finish


def _deflating(level: int | None) -> tuple[Change, Callable[[], bytes]]:
    if level is None:
        return (lambda piece: piece), (lambda: b"")
    deflater = Deflater(level)
    return deflater.feed, deflater.finish


# ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def receive_stored(data: Connection, file: BinaryIO, room_bytes: int | None, how: Representation) -> int:
    """Append what comes until the end of the stream to the file, and return how many bytes that were.

    Raises: StorageFull as soon as there is more than ``room_bytes``.
    """
    if not how.is_plain:
        return await _receive_changed(data, file, room_bytes, how)
    received = 0
    while True:
        count = None if room_bytes is None else room_bytes + 1 - received
        if how.pacer.is_needed:
            count = how.pacer.piece_bytes if count is None else min(count, how.pacer.piece_bytes)
        came = await data.receive_file(file, count)
        received += came
        _check_room(received, room_bytes)
        if count is None or came < count:
            return received
        await how.pacer.let_pass(came)


async def _receive_changed(data: Connection, file: BinaryIO, room_bytes: int | None, how: Representation) -> int:
    received = 0

    def store(piece: bytes) -> None:
        nonlocal received
        received += len(piece)
        _check_room(received, room_bytes)
        file.write(piece)

    text = None if how.is_binary else AsciiDecoder()
    inflater = None if how.deflate_level is None else Inflater()
    while came := await data.read(min(PIECE_BYTES, how.pacer.piece_bytes)):
        await how.pacer.let_pass(len(came))
        for piece in (came,) if inflater is None else inflater.feed(came):
            store(piece if text is None else text.feed(piece))
            await data.network.sleep(0)  # a kilobyte may inflate to a megabyte: the others want their turn too
    if inflater is not None:
        inflater.finish()
    if text is not None:
        store(text.finish())
    return received


def _check_room(received: int, room_bytes: int | None) -> None:
    if room_bytes is not None and received > room_bytes:
        raise QuotaUsedUp("")


# ── one transfer ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Transfer:
    """One transfer under way. ``begin`` starts it; then it lives by itself, and says its last reply by itself."""

    __slots__ = ("_is_aborted", "_way", "_work", "control", "data", "started_s", "title")

    def __init__(self, control: Connection, way: Way, title: str) -> None:
        self.control = control
        self.title = title  # for STAT and the records
        self.data: Connection | None = None
        self.started_s = control.network.now_s()
        self._way = way
        self._work: Work | None = None
        self._is_aborted = False

    @property
    def is_active(self) -> bool:
        """Whether the data connection is one that we make: RFC 959 section 3.3."""
        return isinstance(self._way, Active)

    def begin(self, work: Work) -> None:
        self._work = work

    @property
    def is_over(self) -> bool:
        return self._work is not None and self._work.done

    @property
    def moved_bytes(self) -> int:
        return 0 if self.data is None else self.data.bytes_in + self.data.bytes_out

    async def wait(self) -> None:
        """Return when it is over and its last reply is said."""
        if self._work is not None:
            await self._work.wait()

    async def abort(self) -> None:
        """End it now; it says 426 itself. Returns when it has."""
        self._is_aborted = True
        await self._way.close()
        if self.data is not None:
            self.data.end("stopped")
        await self.wait()

    async def carry_out(
        self,
        job: Callable[[Connection], Awaitable[Result]],
        how: Representation,
        *,
        opens_within_s: float,
        stalls_after_s: float,
    ) -> Result:
        """Open the data connection, do the job over it and return its result. Raises: Failed, StorageError, OSError.

        Close the connection afterwards, with ``close``, when the last reply is said: some clients read that first.
        """
        try:
            data = await self._open(opens_within_s)
            try:
                with self.control.accompany(data, idle_s=stalls_after_s):
                    if how.tls is not None:
                        await how.tls.begin(data)
                    return await job(data)
            except BaseException:
                data.abort()
                raise
        except ConnectionEnded as error:
            raise Failed(
                426, ABORTED if self._is_aborted else STALLED if error.reason == "idle" else str(error)
            ) from error
        except (PeerError, NetworkError) as error:
            raise Failed(426, str(error)) from error

    async def close(self) -> None:
        """Let go of the data connection. In the clear it has ended both ways, or its client has nothing to say."""
        if self.data is not None:
            await self.data.close(linger=self.data.tls is not None)

    async def _open(self, within_s: float) -> Connection:
        try:
            self.data = data = await self._way.open(within_s)
        except CannotOpen as error:
            raise Failed(426, ABORTED) if self._is_aborted else Failed(425, str(error)) from error
        finally:
            await self._way.close()  # at once: there may be few ports, and many transfers
        if self._is_aborted:
            data.abort()
            raise Failed(426, ABORTED)
        return data
