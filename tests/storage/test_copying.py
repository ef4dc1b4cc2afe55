"""Files that are appended to are copied first: how, and what comes in between."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portside.storage import copying
from portside.storage.contract import Denied, NotRegular, StorageFull
from portside.storage.disk import DiskStorage
from portside.testing.storage import interrupt, tree
from support.seams import before_each_call


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DiskStorage]:
    with closing(DiskStorage(tmp_path, durable=False)) as storage:
        yield storage


def clone(target: int, request: int, source: int) -> int:
    """Do what FICLONE does, where there is no file system that has it."""
    assert request == 0x40049409
    os.pwrite(target, os.pread(source, 1 << 24, 0), 0)
    return 0


def no_clone(target: int, request: int, source: int) -> int:
    raise OSError(errno.EOPNOTSUPP, "not here")


def no_copy(source: int, target: int, count: int) -> int:
    raise OSError(errno.EXDEV, "not between these")


def short_copy(source: int, target: int, count: int) -> int:
    """Copy a little, and then no more: so do file systems that cannot go on."""
    if os.lseek(target, 0, os.SEEK_CUR) > 100_000:
        return 0
    return os.write(target, os.read(source, min(count, 30_000)))


@pytest.mark.parametrize("way", ["clone", "kernel", "kernel in part", "hand"])
@pytest.mark.parametrize("offset", [None, 1, 1_500_000])
def test_every_way_to_copy(
    storage: DiskStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, offset: int | None
) -> None:
    content = bytes(range(256)) * 8_192
    (tmp_path / "f").write_bytes(content)
    monkeypatch.setattr(fcntl, "ioctl", clone if way == "clone" else no_clone)
    if way == "hand":
        monkeypatch.setattr(os, "copy_file_range", no_copy)
    elif way == "kernel in part":
        monkeypatch.setattr(os, "copy_file_range", short_copy)
    upload = storage.upload("/f", offset=offset)
    assert upload.offset == upload.file.tell() == (len(content) if offset is None else offset)
    upload.file.write(b"end")
    upload.commit()
    assert (tmp_path / "f").read_bytes() == content[: upload.offset] + b"end"


def test_a_file_that_shrinks_while_it_is_copied(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")

    def happens(count: int, name: str) -> None:
        if name == "copy_file_range":
            os.truncate(tmp_path / "f", 4)

    with before_each_call(happens), pytest.raises(Denied, match="only 4 bytes are there, not 8"):
        storage.upload("/f", offset=8)
    assert tree(storage) == {"/f": b"0123"}
    assert os.listdir(tmp_path) == ["f"]


def test_what_became_a_fifo_is_not_copied(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    swapped = False

    def happens(count: int, name: str) -> None:
        nonlocal swapped
        if name == "ftruncate" and not swapped:
            swapped = True
            (tmp_path / "f").unlink()
            os.mkfifo(tmp_path / "f")

    interrupt(storage, "/f", b"x")
    with before_each_call(happens), pytest.raises(NotRegular):
        storage.upload("/f", offset=None)


def test_a_disk_that_takes_part_of_a_piece_says_so(
    storage: DiskStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 5

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, room = min(len(data), room), room - min(len(data), room)
        return taken

    upload = storage.upload("/f")
    with monkeypatch.context() as patch:
        patch.setattr(copying.os, "write", write)
        assert upload.file.write(b"123") == 3
        with pytest.raises(OSError, match="No space"):
            upload.file.write(b"4567")
    upload.abandon()
    (tmp_path / "f").write_bytes(b"x" * 10)
    room = 5
    with monkeypatch.context() as patch:
        patch.setattr(copying.os, "write", write)
        patch.setattr(os, "copy_file_range", no_copy)
        with pytest.raises(StorageFull):
            storage.upload("/f", offset=None)
    assert os.listdir(tmp_path) == ["f"]
