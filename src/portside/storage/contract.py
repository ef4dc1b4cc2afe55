"""What a storage is: a tree of files under one root, and the errors that its acts may raise.

Every implementation (``storage.disk``, ``storage.memory``) passes one suite, ``portside.testing.storage``. The calls
are plain and may block: whoever has others waiting makes them through ``Network.run_blocking``, except those whose
names end in ``_nowait``, which never wait for a disk.

A path is text from the root, ``/`` or ``/a/b``, without ``.`` and ``..`` and without a slash at its end
(``storage.paths.resolve`` makes it of what somebody typed). Bytes of names that are not UTF-8 are surrogates, as in
``os.fsdecode``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal, NamedTuple, Protocol, TypeAlias

from portside.errors import PortsideError

Kind: TypeAlias = Literal["file", "directory", "link", "other"]
"""``link`` is a symbolic link that leads nowhere, out of the root, or in a circle; all others are shown as what they
lead to. ``other`` is a FIFO, socket or device: it is listed, and never read or written."""


class Entry(NamedTuple):
    """One name in a directory and what is known of it.

    A tuple, because a listing makes thousands: a frozen dataclass takes 1.4 µs to make, this 0.4, and a line of a
    listing unpacks it in one step.
    """

    name: str
    kind: Kind
    size_bytes: int
    modified_ns: int  # since 1970-01-01 00:00 UTC
    mode: int  # permission bits, 0o7777
    links: int = 1
    owner: str = "owner"  # a name, or a number where the machine knows none
    group: str = "group"
    unique: str = ""  # the same for the same file, whatever its name (RFC 3659 section 7.5.2): device and inode


class StorageError(PortsideError):
    """A storage refused an act. ``path`` is the one that was asked for, from the storage's own root."""

    sentence = "the storage refused"

    def __init__(self, path: str, why: str | None = None) -> None:
        super().__init__(f"{path}: {why or self.sentence}")
        self.path = path
        self.why = why or self.sentence


class NoSuchFile(StorageError):
    """There is no such file or directory, or a part of the path before it is none."""

    sentence = "there is no such file or directory"


class AlreadyThere(StorageError):
    """The name is taken."""

    sentence = "the name is taken"


class IsDirectory(StorageError):
    """It is a directory, and the act is for files."""

    sentence = "it is a directory"


class NotDirectory(StorageError):
    """It is no directory, and the act is for directories."""

    sentence = "it is not a directory"


class NotEmpty(StorageError):
    """The directory still holds something."""

    sentence = "the directory is not empty"


class Denied(StorageError):
    """The operating system denies it, the name may not be used, or the path leads out of the root."""

    sentence = "permission denied"


class NotRegular(StorageError):
    """A FIFO, a socket or a device: opening one could wait for ever."""

    sentence = "it is not a regular file"


class StorageFull(StorageError):
    """No space is left on the device, or the quota of the operating system is used up."""

    sentence = "no space is left"


class StorageFailed(StorageError):
    """The disk failed (EIO), or is read-only: nothing the user did."""

    sentence = "the storage failed"


class Withdrawn(StorageError):
    """Nobody wants an upload to come about any more."""

    sentence = "the upload was withdrawn"


class Stored(Protocol):
    """A regular file opened for reading. ``file`` has a descriptor where there is a kernel's file behind it."""

    @property
    def file(self) -> BinaryIO: ...

    @property
    def entry(self) -> Entry:
        """As it was when it was opened."""

    @property
    def seal(self) -> object | None:
        """A value that ``Storage.seal_nowait`` gives again for a name that leads to this very file, unchanged.

        None where nobody can tell, as of a file that was changed a moment ago: it may be changed again, and have the
        same times.
        """

    def read_nowait(self, count: int) -> bytes | None:
        """Return the first bytes without waiting for a disk; None where that is not possible, or there are fewer.

        Raises: OSError.
        """

    def close(self) -> None: ...


class Upload(Protocol):
    """A file on its way: written beside its target under a hidden name, and there as a whole or not at all.

    ``file`` stands at the place where the next byte belongs; ``offset`` is how many bytes are there before it. What
    writing to it raises is its own OSError, which ``storage.failures.storage_error`` translates. ``commit`` or
    ``abandon`` ends it; to abandon what has ended is harmless.
    """

    @property
    def file(self) -> BinaryIO: ...

    @property
    def offset(self) -> int: ...

    @property
    def is_at_hand(self) -> bool:
        """Whether ``commit`` has no disk to wait for."""

    def commit(self, *, is_withdrawn: Callable[[], bool] | None = None) -> Entry:
        """Flush it to the disk and give it its name, in place of whatever had it. When this returns, a crash of the
        machine does not lose it.

        ``is_withdrawn`` is asked when only the name is missing: flushing takes a while, and whoever sends it may be
        gone by then. Raises: Withdrawn, and the upload goes on until it is abandoned; StorageError, and then it is
        abandoned as far as possible.
        """

    def abandon(self, *, keep: bool = False) -> None:
        """Let go of it. With ``keep`` what has come stays hidden beside the target, for a later upload that resumes."""


class Listing(Protocol):
    """An iterator over a directory in batches. Whoever does not go to its end closes it."""

    def __iter__(self) -> Iterator[list[Entry]]: ...
    def __next__(self) -> list[Entry]: ...
    def close(self) -> None: ...


class Storage(Protocol):
    """A tree of files. Raises: StorageError, from every method.

    Symbolic links, where there are any, are followed as long as they stay beneath the root; one that leads out of it
    is Denied, and so is one whose target begins with a slash. ``delete`` and ``rename`` are for the link itself; an
    upload to a link replaces what it leads to. A name in the form of hidden uploads is as if it were not there, and
    nothing can be given it.
    """

    def stat(self, path: str) -> Entry: ...

    def stat_nowait(self, path: str) -> Entry | None:
        """The same without waiting; None where the answer is not at hand."""

    def list(self, path: str) -> Listing:
        """Return the directory's entries, unsorted, in batches of bounded size.

        Hidden uploads are left out, and so are names that vanish meanwhile. Raises at once where there is no such
        directory, and not at the first batch.
        """

    def open(self, path: str) -> Stored:
        """Open a regular file for reading."""

    def open_nowait(self, path: str) -> Stored | None:
        """The same without waiting for a disk; None where that is not possible."""

    def seal_nowait(self, path: str) -> object | None:
        """Return the seal of the file that the path leads to; None where that is not known without waiting.

        It may be that of a file out of the root: it is good for nothing but to be compared with one that was opened.
        """

    def upload(self, path: str, *, offset: int | None = 0) -> Upload:
        """Begin an upload that will be the file at ``path``, with the permissions of the file it replaces.

        ``offset`` 0 begins anew. A larger one goes on behind so many bytes of an interrupted upload, or else of the
        file that has the name, copied; bytes behind them are cut off. None appends to that file as it is, or to an
        interrupted upload where no file has the name. Of two uploads to one path at once, the second has nothing to go
        on behind but the file, and cannot be interrupted and resumed. Raises: Denied when fewer bytes are there than
        ``offset`` says.
        """

    def upload_nowait(self, path: str) -> Upload | None:
        """Begin one anew without waiting for a disk; None where that is not possible."""

    def interrupted_bytes(self, path: str) -> int | None:
        """Return how many bytes an interrupted upload to the path has kept, None where there is none.

        One that still goes on is not interrupted.
        """

    def delete(self, path: str) -> None:
        """Remove a file, or a link, but no directory."""

    def make_directory(self, path: str) -> None: ...

    def remove_directory(self, path: str) -> None: ...

    def rename(self, source: str, target: str) -> None:
        """Give a file or directory another name.

        A file replaces a file, a directory an empty directory. Raises: Denied for a directory that would come to be
        within itself, and where the target is on another file system.
        """

    def set_modified(self, path: str, modified_ns: int) -> None: ...

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits; those beyond 0o777 are Denied."""

    def usage_bytes(self) -> int:
        """Return how many bytes the files under the root have, interrupted uploads included. Walks the whole tree."""

    def under(self, path: str) -> Storage:
        """Return the storage whose root is that directory of this one. Raises: NoSuchFile, NotDirectory."""

    def close(self) -> None: ...
