"""Files and sockets without Python in between: splice(2) through a pipe, and what both kinds of connection share."""

from __future__ import annotations

import contextlib
import errno
import os
from types import TracebackType
from typing import BinaryIO, Final, Self

FILE_PIECE_BYTES: Final = 1 << 20  # one sendfile(2) or splice(2): with 64 KiB the system calls show in the CPU time
PIPE_BYTES: Final = 1 << 20  # the default of /proc/sys/fs/pipe-max-size, which anybody may ask for

CAN_SPLICE: Final = hasattr(os, "splice")  # Linux

_F_SETPIPE_SZ: Final = 1031  # fcntl(2); fcntl.F_SETPIPE_SZ has it as well, on Linux only


def descriptor_of(file: BinaryIO) -> int | None:
    """Return the descriptor of a real file, None for one that only lives in memory."""
    try:
        return file.fileno()
    except (AttributeError, OSError):
        return None


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of the data; a disk that is full raises its OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Splice:
    """Moves bytes from a socket to a file inside the kernel, through a pipe of its own.

    In two halves, because their errors are not the same people's:
    ``take`` fails with the connection, ``put`` with the file.
    """

    __slots__ = ("_held", "_read_end", "_source", "_target", "_target_splices", "_write_end")

    def __init__(self, source: int, target: int) -> None:
        self._source, self._target = source, target
        self._target_splices = True
        self._held = b""  # what was looked at before it was put
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _enlarge(self._write_end)

    def take(self, limit: int) -> int:
        """Take at most ``limit`` bytes from the socket; ``put`` must follow before the next. Returns how many.

        0 at the end of the stream. Waits as the socket does. Raises: BlockingIOError, OSError of the socket.
        """
        return os.splice(self._source, self._write_end, limit, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)

    def look(self, count: int) -> bytes:
        """Return what was taken, before it is put: so many bytes."""
        while len(self._held) < count:
            self._held += os.read(self._read_end, count - len(self._held))
        return self._held

    def put(self, count: int) -> None:
        """Append what was taken to the file at its position. Raises: OSError of the file; the rest is then lost."""
        if self._held:
            held, self._held = self._held, b""
            write_all(self._target, held)
            return
        while count:
            count -= self._splice_out(count) if self._target_splices else self._copy_out(count)

    def _splice_out(self, count: int) -> int:
        try:
            return os.splice(self._read_end, self._target, count, flags=os.SPLICE_F_MOVE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._target_splices = False  # opened with O_APPEND, or on a file system that cannot
            return 0

    def _copy_out(self, count: int) -> int:
        data = os.read(self._read_end, count)
        write_all(self._target, data)
        return len(data)

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
