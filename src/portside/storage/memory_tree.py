"""What a tree in memory is made of: files and directories, the space that they take, and uploads on their way."""

from __future__ import annotations

import errno
import io
import itertools
import os
from collections.abc import Callable, Iterator
from threading import RLock
from typing import BinaryIO, Final, TypeAlias

from portside.storage.contract import Entry, IsDirectory, Kind, StorageFailed, Withdrawn
from portside.storage.paths import split

BATCH_ENTRIES: Final = 1_024

_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_NS_PER_S: Final = 1_000_000_000


class Space:
    """How much there is, what all storages of one tree have used of it, and their clock and lock."""

    def __init__(self, capacity_bytes: int | None, keep_s: float, now_s: Callable[[], float]) -> None:
        self.capacity_bytes, self.keep_s, self.now_s = capacity_bytes, keep_s, now_s
        self.used_bytes = 0
        self.numbers = itertools.count(1)  # of files and directories
        self.lock = RLock()

    def take(self, count: int) -> None:
        """Use so many bytes more. Raises: OSError, as a disk that is full."""
        with self.lock:
            if self.capacity_bytes is not None and self.used_bytes + count > self.capacity_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.used_bytes += count

    def give_back(self, count: int) -> None:
        with self.lock:
            self.used_bytes -= count

    def now_ns(self) -> int:
        return int(self.now_s() * _NS_PER_S)

    def oldest_ns(self) -> int:
        """Return from when the oldest interrupted uploads are that are kept."""
        return self.now_ns() - int(self.keep_s * _NS_PER_S)


class Node:
    """What a file and a directory have in common."""

    __slots__ = ("mode", "modified_ns", "unique")

    def __init__(self, space: Space, mode: int) -> None:
        self.mode = mode
        self.modified_ns = space.now_ns()
        self.unique = next(space.numbers)


class File(Node):
    __slots__ = ("content",)

    def __init__(self, space: Space) -> None:
        super().__init__(space, _FILE_MODE)
        self.content = b""


class Directory(Node):
    """Names, the uploads to them that were interrupted, and all that are on their way."""

    __slots__ = ("going", "interrupted", "names", "parent", "removed")

    def __init__(self, space: Space, parent: Directory | None) -> None:
        super().__init__(space, _DIRECTORY_MODE)
        self.parent = parent
        self.names: dict[str, File | Directory] = {}
        self.interrupted: dict[str, File] = {}
        self.going: list[MemoryUpload] = []
        self.removed = False

    def holds(self, name: str) -> bool:
        """Say whether an upload to the name is on its way that could be resumed."""
        return any(upload.name == name and upload.resumable for upload in self.going)


Found: TypeAlias = File | Directory


class MemoryStored:
    """A file in memory, opened for reading. See ``contract.Stored``."""

    __slots__ = ("_content", "entry", "file")

    seal: Final = None

    def __init__(self, content: bytes, entry: Entry) -> None:
        self.file: BinaryIO = io.BytesIO(content)
        self.entry = entry
        self._content = content

    def read_nowait(self, count: int) -> bytes | None:
        return bytes(self._content[:count]) if count <= len(self._content) else None

    def close(self) -> None:
        self.file.close()


class Growing(io.BytesIO):
    """The file of an upload: its bytes are taken from the space while they are written."""

    def __init__(self, space: Space, file: File, content: bytes) -> None:
        super().__init__(content)
        self._space, self._file = space, file
        self.size = len(content)
        self.seek(0, io.SEEK_END)

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        end = self.tell() + len(data)
        self._space.take(max(end - self.size, 0))
        self.size = max(end, self.size)
        self._file.modified_ns = self._space.now_ns()
        return super().write(data)


class MemoryUpload:
    """An upload into memory. See ``contract.Upload``."""

    def __init__(self, space: Space, directory: Directory, path: str, file: File, content: bytes) -> None:
        self.name = split(path)[1]
        self.resumable = not directory.holds(self.name)
        self._space, self._directory, self._path = space, directory, path
        self._node = file
        self._growing = Growing(space, file, content)
        self.file: BinaryIO = self._growing
        self.offset = len(content)
        self.is_at_hand = True
        directory.going.append(self)

    @property
    def size_bytes(self) -> int:
        return self._growing.size

    def commit(self, *, is_withdrawn: Callable[[], bool] | None = None) -> Entry:
        with self._space.lock:
            if self.file.closed:
                raise StorageFailed(self._path, "the upload has ended before")
            if is_withdrawn is not None and is_withdrawn():
                raise Withdrawn(self._path)
            replaced = self._directory.names.get(self.name)
            if isinstance(replaced, Directory):
                self.abandon()
                raise IsDirectory(self._path)
            if replaced is not None:
                self._space.give_back(len(replaced.content))
            self._node.content = self._growing.getvalue()
            self._directory.names[self.name] = self._node
            self._let_go()
            return build_entry(self.name, self._node)

    def abandon(self, *, keep: bool = False) -> None:
        with self._space.lock:
            if self.file.closed:
                return
            if keep and self.resumable and self._space.keep_s > 0 and self.size_bytes:
                self._node.content = self._growing.getvalue()
                self._directory.interrupted[self.name] = self._node
            else:
                self._space.give_back(self.size_bytes)
            self._let_go()

    def _let_go(self) -> None:
        self._directory.going.remove(self)
        self.file.close()


class MemoryListing:
    """A directory as it was when it was asked for. See ``contract.Listing``."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[list[Entry]]:
        return self

    def __next__(self) -> list[Entry]:
        if not self._entries:
            raise StopIteration
        batch, self._entries = self._entries[:BATCH_ENTRIES], self._entries[BATCH_ENTRIES:]
        return batch

    def close(self) -> None:
        self._entries = []


def build_entry(name: str, node: Found) -> Entry:
    size_bytes = len(node.content) if isinstance(node, File) else 0
    kind: Kind = "file" if isinstance(node, File) else "directory"
    return Entry(name, kind, size_bytes, node.modified_ns, node.mode, unique=f"{node.unique:x}")
