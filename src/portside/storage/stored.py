"""Files of a disk that are opened for reading."""

from __future__ import annotations

import os
import stat
from io import FileIO
from typing import BinaryIO, cast

from portside.storage.contract import Entry, IsDirectory, NotRegular


class DiskStored:
    """A file of a disk, opened for reading. See ``contract.Stored``."""

    __slots__ = ("entry", "file")

    def __init__(self, descriptor: int, entry: Entry) -> None:
        self.file = cast("BinaryIO", FileIO(descriptor, "r"))
        self.entry = entry

    def close(self) -> None:
        self.file.close()


def regular(path: str, descriptor: int) -> os.stat_result:
    """Return what is known of a regular file. Raises: IsDirectory, NotRegular, and closes what is none."""
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode):
        return facts
    os.close(descriptor)
    raise IsDirectory(path) if stat.S_ISDIR(facts.st_mode) else NotRegular(path)
