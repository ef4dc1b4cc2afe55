"""A small file of secrets replaced as a whole: by one writer at a time, and never half there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import Final

NEW_MODE: Final = 0o600
_MODE_MAX: Final = 0o660  # of a file that is there: others have no business with passwords


@contextlib.contextmanager
def alone_in(directory: str) -> Iterator[None]:
    """Wait until nobody else of us changes files in the directory, and keep them out for the length of a ``with``."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # which the kernel lets go whatever becomes of us
        yield
    finally:
        os.close(descriptor)


def replace_file(path: str, data: bytes) -> None:
    """Let the file be these bytes, on the disk when this returns; whoever reads sees the old ones or the new.

    A new file is for its owner only. One that is there keeps its owner, its group and their rights: the server may
    read it under another name than who changes it.
    """
    directory = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)  # with mode 0600
    try:
        with open(descriptor, "wb") as file:
            _keep_rights(path, descriptor)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_directory(directory)


def _keep_rights(path: str, descriptor: int) -> None:
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & _MODE_MAX)


def _flush_directory(directory: str) -> None:
    # The new name is an entry of the directory, which is on the disk only when the directory is.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
