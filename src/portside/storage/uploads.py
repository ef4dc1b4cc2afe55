"""Uploads to a disk: a hidden file beside the target becomes the target in one step, when it is whole and flushed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple, cast

from portside.storage.contract import Entry, IsDirectory, NotRegular, StorageFailed, Withdrawn
from portside.storage.copying import copy_start, write_whole
from portside.storage.entries import build_entry, knows_owners
from portside.storage.failures import storage_error, too_few
from portside.storage.interrupted import Taken, take

_OWNER_MODE: Final = 0o600  # so that an upload which replaces a read-only file can be gone on with
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Care:
    """How a storage looks after its uploads."""

    durable: bool
    keep_s: float
    now_s: Callable[[], float]
    is_at_hand: bool = False  # there is no disk to wait for

    @property
    def oldest_s(self) -> float:
        """From when the oldest interrupted uploads are that are kept."""
        return self.now_s() - self.keep_s


class Place(NamedTuple):
    """A name in a directory, and what has it: the directory's descriptor, and None where nothing does."""

    path: str  # as it was asked for
    parent: int
    name: str
    facts: os.stat_result | None


class WholeFile(io.FileIO):
    """A file whose ``write`` writes all of the data or raises: a disk that fills up takes part of a piece first."""

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        write_whole(self.fileno(), data)
        return len(data)


class DiskUpload:
    """An upload to a disk. See ``contract.Upload``."""

    __slots__ = ("_care", "_place", "_taken", "file", "offset")

    def __init__(self, place: Place, taken: Taken, offset: int, care: Care) -> None:
        self._place, self._taken, self._care = place, taken, care
        self.offset = offset
        self.file = cast("BinaryIO", WholeFile(taken.descriptor, "r+"))

    @property
    def is_at_hand(self) -> bool:
        owned = self._place.facts or self._taken.facts
        return self._care.is_at_hand and knows_owners(owned)

    def commit(self, *, is_withdrawn: Callable[[], bool] | None = None) -> Entry:
        place = self._place
        if self.file.closed:
            raise StorageFailed(place.path, "the upload has ended before")
        try:
            facts = self._finish()
            with contextlib.nullcontext() if is_withdrawn is None else _alone_in(place.parent):
                if is_withdrawn is not None and is_withdrawn():
                    raise Withdrawn(place.path)
                os.rename(self._taken.hidden, place.name, src_dir_fd=place.parent, dst_dir_fd=place.parent)
        except OSError as error:
            self.abandon()
            raise storage_error(error, place.path) from error
        # From here on the hidden name is the next upload's.
        try:
            if self._care.durable:
                flush_directory(place.parent)
        except OSError as error:
            raise storage_error(error, place.path) from error
        finally:
            self._let_go()
        return build_entry(place.name, facts)

    def _finish(self) -> os.stat_result:
        """Give the file what it needs but its name. Returns what is known of it then."""
        descriptor, replaced = self._taken.descriptor, self._place.facts
        if replaced is not None:
            _become_like(descriptor, replaced)
        if self._care.durable:
            os.fsync(descriptor)
        return os.fstat(descriptor)

    def abandon(self, *, keep: bool = False) -> None:
        if self.file.closed:
            return
        with contextlib.suppress(OSError):
            if keep and self._taken.resumable and self._care.keep_s > 0 and self._has_bytes():
                self._stay_ours()
            else:
                os.unlink(self._taken.hidden, dir_fd=self._place.parent)
        self._let_go()

    def _has_bytes(self) -> bool:
        return os.fstat(self._taken.descriptor).st_size > 0

    def _stay_ours(self) -> None:
        """Take back what ``_finish`` may have given to the replaced file's owner: only what is ours is gone on with."""
        if self._place.facts is not None:
            os.fchown(self._taken.descriptor, os.geteuid(), -1)
            os.fchmod(self._taken.descriptor, self._place.facts.st_mode & 0o777 | _OWNER_MODE)

    def _let_go(self) -> None:
        self.file.close()
        os.close(self._place.parent)


@contextlib.contextmanager
def _alone_in(directory: int) -> Iterator[None]:
    """Keep others with a condition out between its check and the renaming, in other threads and processes too.

    A file system that has no locks for directories (NFS) leaves that moment open.
    """
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)  # O_PATH has no locks
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def begin(place: Place, offset: int | None, care: Care) -> DiskUpload:
    """Begin an upload; the place's descriptor is the upload's from now on, if this returns.

    Raises: StorageError, OSError.
    """
    if place.facts is not None and not stat.S_ISREG(place.facts.st_mode):
        raise IsDirectory(place.path) if stat.S_ISDIR(place.facts.st_mode) else NotRegular(place.path)
    taken = take(place.parent, place.name)
    try:
        start = _prepare(place, taken, offset, care)
        return DiskUpload(place, taken, start, care)
    except BaseException:
        if taken.fresh:  # what an earlier upload has left may still be gone on with
            with contextlib.suppress(OSError):
                os.unlink(taken.hidden, dir_fd=place.parent)
        os.close(taken.descriptor)
        raise


def _prepare(place: Place, taken: Taken, offset: int | None, care: Care) -> int:
    """Bring the file to the state from which the upload goes on. Returns how many bytes are before its position."""
    if place.facts is not None:  # while it is on its way nobody reads it who may not read what it replaces
        mode = place.facts.st_mode & 0o777 | _OWNER_MODE
        if taken.facts.st_mode & 0o7777 != mode:
            os.fchmod(taken.descriptor, mode)
    waiting = 0 if taken.fresh or taken.facts.st_mtime <= care.oldest_s else taken.facts.st_size
    if offset is None:
        start = waiting if place.facts is None else _copy_replaced(place, taken, place.facts.st_size)
    elif offset <= waiting:
        start = offset
    elif place.facts is not None and place.facts.st_size >= offset:
        start = _copy_replaced(place, taken, offset)
    else:
        start = max(waiting, 0 if place.facts is None else place.facts.st_size)
    if offset is not None and start < offset:
        raise too_few(place.path, start, offset)
    if not taken.fresh:
        os.ftruncate(taken.descriptor, start)
    if start:
        os.lseek(taken.descriptor, start, os.SEEK_SET)
    return start


def _copy_replaced(place: Place, taken: Taken, count: int) -> int:
    if not taken.fresh:
        os.ftruncate(taken.descriptor, 0)
    source = os.open(place.name, _READ, dir_fd=place.parent)
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise NotRegular(place.path)
        return copy_start(source, taken.descriptor, count)
    finally:
        os.close(source)


def _become_like(descriptor: int, replaced: os.stat_result) -> None:
    """Give the file the replaced one's owner, as far as we may, and its permissions.

    The bits beyond 0o777 are not handed on: what came over the network does not run as its owner.
    """
    facts = os.fstat(descriptor)
    if (facts.st_uid, facts.st_gid) != (replaced.st_uid, replaced.st_gid):
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
    if facts.st_mode & 0o7777 != replaced.st_mode & 0o777:
        os.fchmod(descriptor, replaced.st_mode & 0o777)


def flush_directory(directory: int) -> None:
    """Make sure that the names in a directory outlast a crash. Raises: OSError.

    A directory that one may write to and not read cannot be flushed, nor can any on some file systems: what is in it
    is as durable as they are.
    """
    try:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:  # fsync(2), for what cannot be synchronized
            raise
    finally:
        os.close(descriptor)
