"""Uploads to a disk that is full: nothing is lost by them, and the space that they took is given back.

Run as a program: ``full_disk.py DIRECTORY SIZE_BYTES``. The directory is on a disk of that size; with a directory that
is on a larger one, no file may be larger than that.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import closing

from portside.storage.contract import Storage, StorageError, StorageFull
from portside.storage.disk import DiskStorage
from portside.storage.failures import storage_error
from portside.testing.storage import get, interrupt, put, tree


def fill(storage: Storage, path: str, offset: int | None = 0) -> None:
    """Upload without end, and be told that the disk is full."""
    upload = storage.upload(path, offset=offset)
    said: StorageError | None = None
    try:
        for _ in range(10_000):
            upload.file.write(b"x" * 10_000)
    except OSError as error:
        said = storage_error(error, path)
    upload.abandon()
    assert isinstance(said, StorageFull), said


def refused(storage: Storage, path: str) -> bool:
    try:
        storage.upload(path, offset=None).abandon()
    except StorageFull:
        return True
    return False


def main(directory: str, size: str) -> None:
    size_bytes = int(size)
    if os.statvfs(directory).f_blocks * os.statvfs(directory).f_frsize > size_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    with closing(DiskStorage(directory)) as storage:
        put(storage, "/f", b"old")
        for path, offset in [("/f", 0), ("/new", 0), ("/f", None), ("/f", 2)]:
            fill(storage, path, offset)
            assert tree(storage) == {"/f": b"old"}
            assert os.listdir(directory) == ["f"]
        interrupt(storage, "/g", b"0123")
        fill(storage, "/g", 4)
        assert storage.interrupted_bytes("/g") is None
        # A file that takes most of the disk cannot be copied to append to it.
        put(storage, "/large", b"y" * (size_bytes * 3 // 4))
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY:
            assert refused(storage, "/large")
        assert get(storage, "/large") == b"y" * (size_bytes * 3 // 4)
        assert sorted(os.listdir(directory)) == ["f", "large"]
        storage.delete("/large")
        put(storage, "/f", b"new")
        assert tree(storage) == {"/f": b"new"}
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
