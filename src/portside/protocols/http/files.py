"""Files that an application has sent: opened so that nobody waits for them, and small ones read at once."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from portside.errors import EndOfStream

SMALL_BYTES: Final = 16_384  # read and sent with the head in one write: a sendfile(2) of its own costs more


@contextlib.contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Give the file and its size. Raises: OSError, also for what is no regular file.

    O_NONBLOCK, because opening a FIFO waits for its other end otherwise, and with it everybody here.
    """
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{os.fspath(path)!r} is no regular file")
        yield file, status.st_size


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


@contextlib.contextmanager
def borrowed(file: Any) -> Iterator[BinaryIO]:
    """Give the file of a zero-copy send, which may be a bare descriptor, and is not ours to close."""
    if isinstance(file, int):
        with open(file, "rb", buffering=0, closefd=False) as opened:
            yield opened
    else:
        yield file


def part_of(file: BinaryIO, offset: int | None, count: int | None) -> tuple[int, int]:
    """Return where a zero-copy send begins, at the file's position unless told, and how many bytes it has."""
    descriptor = file.fileno()
    start = os.lseek(descriptor, 0, os.SEEK_CUR) if offset is None else offset
    return start, max(0, os.fstat(descriptor).st_size - start) if count is None else count


def read_part(file: BinaryIO, offset: int, count: int) -> bytes:
    """Return that part of the file. Raises: EndOfStream where the file is shorter."""
    part = os.pread(file.fileno(), count, offset)
    if len(part) != count:
        raise EndOfStream(part, f"{count} bytes of a file")
    return part
