"""Storages to be tested, and short ways to fill them and to see what is in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, Protocol

import pytest

from portside.storage.contract import Entry, Storage, StorageError

HIDDEN: Final = f".portside-{'0123456789abcdef' * 2}.part"  # a name in the form of uploads on their way
KEEP_S: Final = 1_000.0


class Clock:
    """The time, and on demand a later one: the files of a disk are stamped by the kernel's clock."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class MakeStorage(Protocol):
    """Makes an empty storage."""

    def __call__(self, *, keep_s: float, now_s: Callable[[], float]) -> Storage: ...


def put(storage: Storage, path: str, content: bytes = b"") -> Entry:
    """Upload a whole file."""
    upload = storage.upload(path)
    upload.file.write(content)
    return upload.commit()


def interrupt(storage: Storage, path: str, content: bytes) -> None:
    """Begin to upload a file, and be interrupted behind that content."""
    upload = storage.upload(path)
    upload.file.write(content)
    upload.abandon(keep=True)


def get(storage: Storage, path: str) -> bytes:
    """Return the content of a file."""
    with closing(storage.open(path)) as stored:
        return stored.file.read()


def entries(storage: Storage, path: str = "/") -> dict[str, Entry]:
    """Return what is in a directory, by name."""
    return {entry.name: entry for batch in storage.list(path) for entry in batch}


def tree(storage: Storage, path: str = "/") -> dict[str, bytes | None]:
    """Return every file beneath a path with its content, and every directory with None."""
    found: dict[str, bytes | None] = {}
    for name, entry in entries(storage, path).items():
        below = f"{path.rstrip('/')}/{name}"
        if entry.kind == "directory":
            found[below] = None
            found |= tree(storage, below)
        else:
            found[below] = get(storage, below)
    return found


class Fixtures:
    """A storage that keeps interrupted uploads for ``KEEP_S``, and its clock."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def storage(self, make: MakeStorage, clock: Clock) -> Storage:
        return make(keep_s=KEEP_S, now_s=clock)


def refuses_or_waits(act: Callable[[], object], *errors: type[StorageError]) -> None:
    """Assert that an act which does not wait raises such an error, or says that it would have to wait."""
    with suppress(*errors):
        assert act() is None
