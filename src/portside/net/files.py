"""Files and sockets without Python in between: splice(2) through a pipe, and what both kinds of connection share."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import BinaryIO, Final, Self

FILE_PIECE_BYTES: Final = 1 << 20  # one sendfile(2) or splice(2): with 64 KiB the system calls show in the CPU time
PIPE_BYTES: Final = 1 << 20  # the default of /proc/sys/fs/pipe-max-size, which anybody may ask for

_F_SETPIPE_SZ: Final = 1031  # fcntl(2); fcntl.F_SETPIPE_SZ has it as well, on Linux only


def descriptor_of(file: BinaryIO) -> int | None:
    """Return the descriptor of a real file, None for one that only lives in memory."""
    try:
        return file.fileno()
    except (AttributeError, OSError):
        return None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data; a disk that is full raises its OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Splice:
    """Moves bytes from a socket to a file inside the kernel, through a pipe of its own."""

    __slots__ = ("_read_end", "_source", "_target", "_write_end")

    def __init__(self, source: int, target: int) -> None:
        self._source, self._target = source, target
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _enlarge(self._write_end)

    def move(self, limit: int) -> int:
        """Move at most ``limit`` bytes from the source to the end of the target, without waiting for the source.

        Returns how many; 0 at the end of the source's stream. Raises: BlockingIOError when the source has nothing;
        OSError of either side; what left the source has then reached the target up to the failing byte.
        """
        moved = os.splice(self._source, self._write_end, limit, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        left = moved
        while left:
            left -= os.splice(self._read_end, self._target, left, flags=os.SPLICE_F_MOVE)
        return moved

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _enlarge(pipe: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # a tighter limit for this user: the default of 64 KiB does, with more calls
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)
