"""Uploads that wait for no disk, because there is none: begun and committed where others would have to wait."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portside.storage import beneath, disk, entries
from portside.storage.beneath import ByHand, ByKernel, is_in_memory, is_remote
from portside.storage.contract import Denied, NoSuchFile
from portside.storage.disk import DiskStorage
from portside.storage.hidden import hidden_name
from portside.storage.owners import Names
from portside.storage.uploads import DiskUpload
from portside.testing.storage import Clock, get, interrupt, put, tree


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(tmp_path: Path, kernel: ByKernel, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskStorage]:
    """A storage that takes its file system for one in memory, and has looked through its root and /d."""
    monkeypatch.setattr(disk, "is_in_memory", lambda _: True)
    (tmp_path / "d").mkdir()
    with closing(DiskStorage(tmp_path, resolution=kernel, keep_s=1_000.0, now_s=clock)) as storage:
        for path in ("/f", "/d/f"):
            storage.upload(path).abandon()
        yield storage


def begun(storage: DiskStorage, path: str, content: bytes = b"new") -> DiskUpload:
    """Return an upload that has begun without waiting."""
    upload = storage.upload_nowait(path)
    assert upload is not None
    upload.file.write(content)
    return upload


@pytest.mark.parametrize("path", ["/f", "/d/f"])
def test_what_is_new_comes_about_without_waiting(storage: DiskStorage, path: str) -> None:
    upload = begun(storage, path)
    assert path not in tree(storage)
    upload.commit()
    assert get(storage, path) == b"new"


def test_nothing_is_flushed_where_there_is_nothing_to_flush_to(
    storage: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    begun(storage, "/f").commit()
    assert flushed == []
    put(storage, "/g")  # which could be on another file system, mounted beneath the root
    assert len(flushed) == 2


def test_a_small_file_is_replaced_at_once_and_a_large_one_is_not(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "f").touch(mode=0o640)
    begun(storage, "/f").commit()
    assert get(storage, "/f") == b"new"
    assert storage.stat("/f").mode == 0o640
    os.truncate(tmp_path / "f", (1 << 24) + 1)
    assert storage.upload_nowait("/f") is None


@pytest.mark.parametrize("path", ["/", "/d", "/link", "/none/f", "/f/f"])
def test_what_is_out_of_the_common_takes_the_common_way(storage: DiskStorage, tmp_path: Path, path: str) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "link").symlink_to("f")
    before = tree(storage)
    try:
        assert storage.upload_nowait(path) is None
    except NoSuchFile:
        assert path in {"/none/f", "/f/f"}
    assert tree(storage) == before


@pytest.mark.parametrize("path", ["/a\0b", "/" + hidden_name("f"), f"/{hidden_name('f')}/f"])
def test_no_name_is_given_that_nobody_may_give(storage: DiskStorage, path: str) -> None:
    with pytest.raises((Denied, NoSuchFile)):
        storage.upload_nowait(path)


def test_what_was_interrupted_is_begun_anew(storage: DiskStorage) -> None:
    interrupt(storage, "/f", b"interrupted")
    upload = begun(storage, "/f", b"n")
    assert upload.offset == 0
    upload.abandon(keep=True)
    assert storage.interrupted_bytes("/f") == 1


def test_a_directory_that_is_to_be_looked_through_is_not_at_hand(storage: DiskStorage, clock: Clock) -> None:
    clock.ahead_s = 601.0
    assert storage.upload_nowait("/f") is None
    storage.upload("/f").abandon()
    begun(storage, "/f").abandon()
    assert storage.upload_nowait("/d/f") is None


def test_whose_names_may_take_long_is_not_committed_at_once(
    storage: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "USERS", Names(lambda _: "somebody"))
    upload = begun(storage, "/f")
    assert not upload.is_at_hand
    upload.commit()
    for upload, is_at_hand in ((begun(storage, "/f"), True), (storage.upload("/f"), False)):
        assert upload.is_at_hand == is_at_hand
        upload.abandon()


def test_nothing_is_at_hand_on_a_disk_or_without_the_kernel(
    tmp_path: Path, kernel: ByKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for in_memory, resolution in ((False, kernel), (True, ByHand())):
        monkeypatch.setattr(disk, "is_in_memory", lambda _, said=in_memory: said)
        with closing(DiskStorage(tmp_path, resolution=resolution)) as storage:
            put(storage, "/f")
            assert storage.upload_nowait("/f") is None


def test_no_descriptor_is_left_behind(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("f")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/d", "/link", "/none/f"):
        try:
            assert storage.upload_nowait(path) is None
        except NoSuchFile:
            continue
    begun(storage, "/f").commit()
    begun(storage, "/d/f").abandon()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("number", "remote", "in_memory"), [(0x6969, True, False), (0x01021994, False, True)])
def test_file_systems_are_known_by_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remote: bool, in_memory: bool
) -> None:
    def fstatfs(_: int, answer: object) -> int:
        answer._obj[0] = number  # type: ignore[attr-defined]
        return 0

    monkeypatch.setattr(beneath, "_fstatfs", fstatfs)
    assert (is_remote(0), is_in_memory(0)) == (remote, in_memory)
    monkeypatch.setattr(beneath, "_fstatfs", lambda *_: -1)
    assert (is_remote(0), is_in_memory(0)) == (False, False)
