"""Files on their way in: from a request's body to a place in the storage, whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect, Request

from portside.protocols.http.site.problems import Problem, problem_of
from portside.protocols.http.site.targets import is_concealed
from portside.protocols.http.site.turns import run_blocking, run_to_end
from portside.storage.contract import Entry, Storage, StorageError, Upload
from portside.storage.failures import storage_error

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

WRITE_BYTES: Final = 1 << 20  # gathered before a thread writes them
QUOTA_USED_UP: Final = "Your quota is used up."

__all__ = ["ClientDisconnect", "Reception", "body_of", "check_name"]


def body_of(exchange: Exchange) -> AsyncIterator[bytes]:
    """Yield the request's body in pieces. Raises: ClientDisconnect, if it does not come whole."""
    return Request(exchange.scope, exchange.receive).stream()


def check_name(exchange: Exchange, path: str) -> None:
    """Raise Problem for a path that nobody would be shown."""
    if is_concealed(path) and not exchange.rules.hidden:
        raise Problem(403, "A name may not begin with a dot here.")


class Reception:
    """One file on its way in. ``commit`` or ``abandon`` ends it. Raises: Problem, from every call."""

    def __init__(
        self, exchange: Exchange, path: str, upload: Upload, *, room_bytes: int | None, replaced_bytes: int
    ) -> None:
        self._exchange = exchange
        self._path = path
        self._upload = upload
        self._limit_bytes = exchange.rules.upload_bytes_max
        self._room_bytes = room_bytes
        self._replaced_bytes = replaced_bytes
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._received_bytes = 0

    @classmethod
    async def begin(cls, exchange: Exchange, path: str) -> Reception:
        """Begin to receive the file at the path. Raises: Problem."""
        try:
            room_bytes, replaced_bytes = await exchange.quota.room_bytes(), 0
            if room_bytes is not None:
                replaced_bytes = await run_blocking(_bytes_at, exchange.storage, path)
                room_bytes += replaced_bytes
            upload = await run_to_end(exchange.storage.upload, path, undo=methodcaller("abandon"))
        except StorageError as error:
            raise problem_of(error) from error
        return cls(exchange, path, upload, room_bytes=room_bytes, replaced_bytes=replaced_bytes)

    async def write(self, piece: bytes) -> None:
        self._received_bytes += len(piece)
        if self._limit_bytes is not None and self._received_bytes > self._limit_bytes:
            raise too_large(self._limit_bytes)
        if self._room_bytes is not None and self._received_bytes > self._room_bytes:
            raise Problem(507, QUOTA_USED_UP)
        await self._exchange.let_pass("in", len(piece))
        self._gathered.append(piece)
        self._gathered_bytes += len(piece)
        if self._gathered_bytes >= WRITE_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        data, self._gathered, self._gathered_bytes = b"".join(self._gathered), [], 0
        try:
            await run_to_end(self._upload.file.write, data)
        except OSError as error:
            raise problem_of(storage_error(error, self._path)) from error

    async def commit(self, is_withdrawn: Callable[[], bool] | None = None) -> Entry:
        """Give the file its name; see ``storage.contract.Upload``."""
        if self._gathered:
            await self._flush()
        # Before the commit: of uploads that end at once only as many come about as there is room for.
        if not await self._exchange.quota.take(self._received_bytes, self._replaced_bytes):
            raise Problem(507, QUOTA_USED_UP)
        try:
            return await run_to_end(partial(self._upload.commit, is_withdrawn=is_withdrawn))
        except StorageError as error:
            raise problem_of(error) from error

    async def abandon(self) -> None:
        """Leave nothing of it. To be called for one that did not come about."""
        await run_to_end(self._upload.abandon)
        self._exchange.quota.forget()  # it may have been counted already


def _bytes_at(storage: Storage, path: str) -> int:
    try:
        return storage.stat(path).size_bytes
    except StorageError:
        return 0


def too_large(limit_bytes: int) -> Problem:
    """Return the problem of a file over the limit."""
    return Problem(413, f"A file may have at most {limit_bytes:,} bytes here.")
