"""A tree of files that lives in memory, for tests and simulated worlds: what a disk does, without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from portside.storage.contract import (
    AlreadyThere,
    Denied,
    Entry,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotEmpty,
    StorageFailed,
)
from portside.storage.failures import RESERVED, Translated, too_few
from portside.storage.hidden import has_hidden, is_hidden
from portside.storage.memory_tree import (
    Directory,
    File,
    Found,
    MemoryListing,
    MemoryStored,
    MemoryUpload,
    Space,
    build_entry,
)
from portside.storage.paths import split

_KEEP_S: Final = 86_400.0


class MemoryStorage:
    """A tree in memory, empty at first. See ``contract.Storage``.

    now_s:          the clock of the files' times.
    capacity_bytes: how much there is room for, uploads on their way included; None for no limit.
    keep_s:         how long interrupted uploads are kept, 0 for not at all.
    """

    def __init__(
        self,
        *,
        now_s: Callable[[], float] = time.time,
        capacity_bytes: int | None = None,
        keep_s: float = _KEEP_S,
    ) -> None:
        space = Space(capacity_bytes, keep_s, now_s)
        self._begin(Directory(space, None), space)

    def _begin(self, root: Directory, space: Space) -> None:
        self._root, self._space = root, space
        self._closed = False

    def under(self, path: str) -> Self:
        with self._acting(path):
            storage = object.__new__(type(self))
            storage._begin(self._directory(path), self._space)
            return storage

    def close(self) -> None:
        self._closed = True

    # ── looking and reading ──────────────────────────────────────────────────────────────────────────────────────────

    def stat(self, path: str) -> Entry:
        with self._acting(path):
            return build_entry(split(path)[1], self._find(path))

    def stat_nowait(self, path: str) -> Entry | None:
        return self.stat(path)

    def list(self, path: str) -> MemoryListing:
        with self._acting(path):
            directory = self._directory(path)
            self._sweep(directory)
            return MemoryListing([build_entry(name, node) for name, node in directory.names.items()])

    def open(self, path: str) -> MemoryStored:
        with self._acting(path):
            file = self._find(path)
            if isinstance(file, Directory):
                raise IsDirectory(path)
            return MemoryStored(file.content, build_entry(split(path)[1], file))

    def open_nowait(self, path: str) -> MemoryStored | None:
        return self.open(path)

    def seal_nowait(self, path: str) -> None:
        return None

    # ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def upload(self, path: str, *, offset: int | None = 0) -> MemoryUpload:
        with self._acting(path, naming=True):
            directory, name = self._place(path)
            replaced = directory.names.get(name)
            if isinstance(replaced, Directory):
                raise IsDirectory(path)
            self._sweep(directory)
            waiting = None if directory.holds(name) else directory.interrupted.get(name)
            content = _start(path, offset, waiting, replaced)
            self._space.take(len(content) - (0 if waiting is None else len(waiting.content)))
            file = File(self._space) if waiting is None else directory.interrupted.pop(name)
            if replaced is not None:
                file.mode = replaced.mode
            return MemoryUpload(self._space, directory, path, file, content)

    def upload_nowait(self, path: str) -> MemoryUpload | None:
        return self.upload(path)

    def interrupted_bytes(self, path: str) -> int | None:
        with self._acting(path, naming=True):
            directory, name = self._place(path)
            self._sweep(directory)
            waiting = directory.interrupted.get(name)
            return None if waiting is None else len(waiting.content)

    def _sweep(self, directory: Directory) -> None:
        """Forget the interrupted uploads that are too old."""
        oldest_ns = self._space.oldest_ns()
        for name, file in tuple(directory.interrupted.items()):
            if file.modified_ns <= oldest_ns:
                self._space.give_back(len(file.content))
                del directory.interrupted[name]

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def delete(self, path: str) -> None:
        with self._acting(path):
            file = self._find(path)
            if isinstance(file, Directory):
                raise IsDirectory(path)
            directory, name = self._place(path)
            del directory.names[name]
            self._space.give_back(len(file.content))

    def make_directory(self, path: str) -> None:
        with self._acting(path, naming=True):
            if path == "/":
                raise AlreadyThere(path)
            directory, name = self._place(path)
            if name in directory.names:
                raise AlreadyThere(path)
            directory.names[name] = Directory(self._space, directory)

    def remove_directory(self, path: str) -> None:
        with self._acting(path):
            if path == "/":
                raise Denied(path, "the root stays")
            directory = self._directory(path)
            self._check_empty(path, directory)
            parent, name = self._place(path)
            del parent.names[name]
            self._discard(directory)

    def rename(self, source: str, target: str) -> None:
        with self._acting(source), self._acting(target, naming=True):
            if "/" in {source, target}:
                raise Denied(source, "the root stays where it is")
            moved = self._find(source)
            source_directory, source_name = self._place(source)
            directory, name = self._place(target)
            replaced = directory.names.get(name)
            if replaced is moved:
                return
            if isinstance(moved, Directory):
                self._check_outside(source, moved, directory)
            self._make_way(target, replaced, moved)
            del source_directory.names[source_name]
            directory.names[name] = moved
            if isinstance(moved, Directory):
                moved.parent = directory

    def _check_outside(self, path: str, moved: Directory, target: Directory | None) -> None:
        while target is not None:
            if target is moved:
                raise Denied(path, "a directory cannot be moved into itself")
            target = target.parent

    def _make_way(self, path: str, replaced: Found | None, moved: Found) -> None:
        """Let go of what has the name, if it may be replaced."""
        match replaced, moved:
            case Directory(), Directory():
                self._check_empty(path, replaced)
                self._discard(replaced)
            case Directory(), File():
                raise IsDirectory(path)
            case File(), Directory():
                raise NotDirectory(path)
            case File(), File():
                self._space.give_back(len(replaced.content))

    def _check_empty(self, path: str, directory: Directory) -> None:
        if directory.names or directory.going:
            raise NotEmpty(path)

    def _discard(self, directory: Directory) -> None:
        """Take a directory out of the world, and what uploads have left in it."""
        self._space.give_back(sum(len(file.content) for file in directory.interrupted.values()))
        directory.interrupted.clear()
        directory.parent, directory.removed = None, True

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_modified(self, path: str, modified_ns: int) -> None:
        with self._acting(path):
            self._find(path).modified_ns = modified_ns

    def set_mode(self, path: str, mode: int) -> None:
        if mode & ~0o777:
            raise Denied(path, "only the permissions of owner, group and others can be set")
        with self._acting(path):
            self._find(path).mode = mode

    def usage_bytes(self) -> int:
        total, waiting = 0, [self._root]
        with self._space.lock:
            while waiting:
                directory = waiting.pop()
                total += sum(len(file.content) for file in directory.interrupted.values())
                total += sum(upload.size_bytes for upload in directory.going)
                total += sum(len(node.content) for node in directory.names.values() if isinstance(node, File))
                waiting += [node for node in directory.names.values() if isinstance(node, Directory)]
        return total

    # ── ways ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _acting(self, path: str, *, naming: bool = False) -> Iterator[None]:
        """Be alone with the tree, for an act on the path; ``naming`` if something is to be given that name."""
        if "\0" in path:
            raise Denied(path, "a name has no NUL")
        if naming and is_hidden(split(path)[1]):
            raise Denied(path, RESERVED)
        if has_hidden(path):
            raise NoSuchFile(path)
        with self._space.lock:
            if self._closed:
                raise StorageFailed(path, "the storage is closed")
            with Translated(path):
                yield

    def _find(self, path: str) -> Found:
        found: Found | None = self._root
        for name in path.split("/"):
            if name:
                found = found.names.get(name) if isinstance(found, Directory) else None
        if found is None:
            raise NoSuchFile(path)
        return found

    def _directory(self, path: str) -> Directory:
        found = self._find(path)
        if isinstance(found, File):
            raise NotDirectory(path)
        return found

    def _place(self, path: str) -> tuple[Directory, str]:
        """Return the directory in which the path's last name is, or is to be, and that name."""
        above, name = split(path)
        if not name:
            raise IsDirectory(path)
        try:
            directory = self._directory(above)
        except (NoSuchFile, NotDirectory) as error:
            raise NoSuchFile(path) from error
        if directory.removed:
            raise NoSuchFile(path)
        return directory, name


def _start(path: str, offset: int | None, waiting: File | None, replaced: File | None) -> bytes:
    """Return the bytes behind which an upload goes on. Raises: Denied, if there are fewer."""
    kept = b"" if waiting is None else waiting.content
    there = b"" if replaced is None else replaced.content
    if offset is None:
        return kept if replaced is None else there
    for content in (kept, there):
        if len(content) >= offset:
            return content[:offset]
    raise too_few(path, max(len(kept), len(there)), offset)
