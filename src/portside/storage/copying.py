"""Copies of files that cost as little as the file system allows: shared blocks, a copy in the kernel, or by hand."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final

_FICLONE: Final = 0x40049409  # ioctl_ficlonerange(2): both files share their blocks until one is written
_PIECE_BYTES: Final = 1 << 20
_KERNEL_PIECE_BYTES: Final = 1 << 30


def copy_start(source: int, target: int, count: int) -> int:
    """Make the empty file ``target`` the first ``count`` bytes of ``source``. Returns how many there were.

    The position of neither is where it was. Raises: OSError.
    """
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        os.ftruncate(target, min(count, os.fstat(target).st_size))
        return os.fstat(target).st_size
    os.lseek(source, 0, os.SEEK_SET)
    os.lseek(target, 0, os.SEEK_SET)
    copied = 0
    with contextlib.suppress(OSError):  # not between these, or not here at all: the plain way says what is wrong
        while copied < count and (done := os.copy_file_range(source, target, min(_KERNEL_PIECE_BYTES, count - copied))):
            copied += done
    while copied < count and (data := os.read(source, min(_PIECE_BYTES, count - copied))):
        write_whole(target, data)
        copied += len(data)
    return copied


def write_whole(target: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of the data. Raises: OSError, where part of it may have been written."""
    written = os.write(target, data)
    while written < len(data):
        written += os.write(target, memoryview(data)[written:])
