"""What the operating system's errors mean to somebody who stores files: the one place where they are translated."""

from __future__ import annotations

import errno
import os
from types import TracebackType
from typing import Final

from portside.storage.contract import (
    AlreadyThere,
    Denied,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotEmpty,
    NotRegular,
    StorageError,
    StorageFailed,
    StorageFull,
)

LEADS_OUT: Final = "the path leads out of the root"
RESERVED: Final = "the name is kept for uploads on their way"

# The sentence is None where the class has the right one.
_MEANINGS: Final[dict[int, tuple[type[StorageError], str | None]]] = {
    errno.ENOENT: (NoSuchFile, None),
    errno.ENOTDIR: (NoSuchFile, None),  # a part of the path before it is no directory
    errno.EEXIST: (AlreadyThere, None),
    errno.EISDIR: (IsDirectory, None),
    errno.ENOTEMPTY: (NotEmpty, None),
    errno.ENXIO: (NotRegular, None),  # a socket, or a device that is not there
    errno.ENODEV: (NotRegular, None),
    errno.EACCES: (Denied, None),
    errno.EPERM: (Denied, None),
    errno.EXDEV: (Denied, LEADS_OUT),  # openat2(2) with RESOLVE_BENEATH; see rename for its other meaning
    errno.ELOOP: (Denied, "its links are not followed, or lead in a circle"),
    errno.ENAMETOOLONG: (Denied, "the name is too long"),
    errno.EILSEQ: (Denied, "the file system cannot write such a name"),
    errno.EINVAL: (Denied, "the file system refuses"),  # names on vfat; other arguments come from ourselves
    errno.EBUSY: (Denied, "the system uses it"),  # a mount point
    errno.ETXTBSY: (Denied, "it is being executed"),
    errno.ENOSPC: (StorageFull, None),
    errno.EDQUOT: (StorageFull, "the operating system's quota is used up"),
    errno.EFBIG: (StorageFull, "the file would be larger than allowed"),  # RLIMIT_FSIZE, or the file system's limit
    errno.EMLINK: (StorageFull, "the directory can hold no more directories"),
    errno.EROFS: (StorageFailed, "the file system is read-only"),
    errno.EIO: (StorageFailed, "the disk failed"),
    errno.EBADF: (StorageFailed, "the storage is closed"),
    errno.EMFILE: (StorageFailed, "no file descriptor is left"),
    errno.ENFILE: (StorageFailed, "no file descriptor is left"),
}


def storage_error(error: OSError, path: str) -> StorageError:
    """Return what an error of the operating system means for an act on the path. Raise it from the error."""
    code = error.errno or 0
    kind, sentence = _MEANINGS.get(code, (StorageFailed, f"the storage failed: {os.strerror(code)}"))
    return kind(path, sentence)


def too_few(path: str, there: int, offset: int) -> Denied:
    """Return the error of an upload that is to go on behind more bytes than there are."""
    return Denied(path, f"only {there} bytes are there, not {offset}")


def rename_error(error: OSError, source: str, target: str) -> StorageError:
    """Return what rename(2) means by its error, where it is not what others mean."""
    match error.errno:
        case errno.EINVAL:
            return Denied(source, "a directory cannot be moved into itself")
        case errno.EXDEV:
            return Denied(source, "the new name is on another file system")
        case errno.ENOTDIR:
            return NotDirectory(target)
        case errno.ENOENT:
            return NoSuchFile(source)
        case _:
            return storage_error(error, target)


class Translated:
    """A ``with`` that makes a StorageError of an OSError within it."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise storage_error(error, self._path) from error
