"""Files of a disk that are opened for reading, and what the system says of files."""

from __future__ import annotations

import errno
import os
import stat
import time
from io import FileIO
from typing import BinaryIO, Final, cast

from portside.storage.contract import Entry, IsDirectory, NotRegular

# Longer than any file system's clock takes for a tick (FAT's two seconds): a change within the tick that the last one
# was in leaves its times as they are.
RESTED_NS: Final = 2_500_000_000


class DiskStored:
    """A file of a disk, opened for reading. See ``contract.Stored``."""

    __slots__ = ("_descriptor", "_file", "entry", "seal")

    def __init__(self, descriptor: int, entry: Entry, facts: os.stat_result) -> None:
        self._descriptor = descriptor
        self._file: FileIO | None = None
        self.entry = entry
        self.seal = seal_of(facts) if time.time_ns() - facts.st_ctime_ns > RESTED_NS else None

    @property
    def file(self) -> BinaryIO:
        if self._file is None:  # many a small file never needs one: it costs more than opening the file
            self._file = FileIO(self._descriptor, "r")
        return cast("BinaryIO", self._file)

    def read_nowait(self, count: int) -> bytes | None:
        buffer = bytearray(count)
        try:
            got = os.preadv(self._descriptor, (buffer,), 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            # A file system that does not know the flag. Those that wait for other machines are not opened without
            # waiting in the first place; what is left are those in memory.
            got = os.preadv(self._descriptor, (buffer,), 0)
        return bytes(buffer) if got == count else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        elif self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def seal_of(facts: os.stat_result) -> tuple[int, ...]:
    """Return what is another as soon as the file is another, or has another content: for the latter ctime stands, which
    nobody can set."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def regular(path: str, descriptor: int) -> os.stat_result:
    """Return what is known of a regular file. Raises: IsDirectory, NotRegular, and closes what is none."""
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode):
        return facts
    os.close(descriptor)
    raise IsDirectory(path) if stat.S_ISDIR(facts.st_mode) else NotRegular(path)


def facts_of(parent: int, name: str) -> os.stat_result | None:
    """Return what is known of a name in a directory, be it a link; None where nothing has it. Raises: OSError."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
