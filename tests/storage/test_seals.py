"""Seals: the same as long as a name leads to the same file with the same content, and not a moment longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from portside.storage import stored as module
from portside.storage.disk import DiskStorage
from portside.storage.memory import MemoryStorage
from support.ticks import wait_for_tick


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskStorage:
    """A storage with the file ``/folder/file``, that need not have rested."""
    monkeypatch.setattr(module, "RESTED_NS", -1 << 60)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"content")
    return DiskStorage(tmp_path)


def seal(storage: DiskStorage) -> object:
    with closing(storage.open("/folder/file")) as opened:
        return opened.seal


def test_a_file_that_rests_keeps_its_seal(storage: DiskStorage) -> None:
    with closing(storage), closing(storage.open("/folder/file")) as opened:
        assert opened.seal is not None
        assert storage.seal_nowait("/folder/file") == opened.seal
        assert seal(storage) == opened.seal


def change_content(path: Path) -> None:
    path.write_bytes(b"CONTENT")


def change_content_and_time(path: Path) -> None:
    facts = path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replace(path: Path) -> None:
    facts = path.stat()
    (path.parent / "new").write_bytes(b"CONTENT")
    os.utime(path.parent / "new", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (path.parent / "new").rename(path)


def link_elsewhere(path: Path) -> None:
    path.unlink()
    (path.parent / "other").write_bytes(b"CONTENT")
    path.symlink_to("other")


def swap_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.parent / "away")
    path.parent.mkdir()
    path.write_bytes(b"CONTENT")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "change", [change_content, change_content_and_time, replace, link_elsewhere, swap_the_folder, remove]
)
def test_whatever_happens_to_a_file_breaks_its_seal(
    storage: DiskStorage, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with closing(storage):
        before = seal(storage)
        wait_for_tick(tmp_path / "folder" / "file")
        change(tmp_path / "folder" / "file")
        assert storage.seal_nowait("/folder/file") != before


def test_a_file_that_was_changed_a_moment_ago_has_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with closing(DiskStorage(tmp_path)) as storage, closing(storage.open("/file")) as opened:
        assert opened.seal is None


@pytest.mark.parametrize("path", ["/nothing", "/file/x", "/a\0b", "/" + "x" * 300])
def test_what_is_not_there_has_none(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with closing(DiskStorage(tmp_path)) as storage:
        assert storage.seal_nowait(path) is None


def test_where_links_are_not_followed_nobody_can_tell_by_looking(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(DiskStorage(tmp_path, follows_links=False)) as storage:
        assert storage.seal_nowait("/file") is None


def test_memory_has_none() -> None:
    storage = MemoryStorage()
    storage.upload("/a").commit()
    assert storage.seal_nowait("/a") is None
    assert storage.open("/a").seal is None
