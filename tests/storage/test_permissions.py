"""What a storage does for somebody whom the operating system does not allow everything, as a server should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from portside.storage.beneath import Resolution
from portside.storage.contract import Denied, Withdrawn
from portside.storage.disk import DiskStorage
from portside.testing.storage import entries, get, put, tree
from portside.testing.storage.trees import refuses_or_waits

NOBODY = 65_534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with files of another user, and a directory of ours."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "f").write_text("content")
    (root / "d").mkdir()
    (root / "mine").mkdir()
    (root / "mine" / "theirs").write_text("old")
    (root / "mine" / "theirs").chmod(0o664)
    return root


@pytest.fixture
def storage(root: Path, resolution: Resolution) -> Iterator[DiskStorage]:
    """A storage opened by root, who has become somebody else since: as a server that gives up its privileges."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.chown(root / "mine", NOBODY, NOBODY)
    with closing(DiskStorage(root, resolution=resolution)) as storage:
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield storage
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


def test_what_belongs_to_others_is_only_read(storage: DiskStorage) -> None:
    before = tree(storage)
    for act in (
        partial(storage.upload, "/f"),
        partial(storage.upload, "/f", offset=None),
        partial(storage.upload, "/new"),
        partial(storage.delete, "/f"),
        partial(storage.make_directory, "/new"),
        partial(storage.remove_directory, "/d"),
        partial(storage.rename, "/f", "/g"),
        partial(storage.rename, "/f", "/mine/f"),
        partial(storage.rename, "/mine", "/d/mine"),
        partial(storage.set_mode, "/f", 0o777),
        partial(storage.set_modified, "/f", 0),
    ):
        with pytest.raises(Denied):
            act()
    assert storage.interrupted_bytes("/f") is None
    assert tree(storage) == before


def test_what_may_not_be_looked_at(storage: DiskStorage) -> None:
    put(storage, "/mine/f", b"content")
    storage.set_mode("/mine/f", 0o200)
    with pytest.raises(Denied):
        storage.open("/mine/f")
    refuses_or_waits(partial(storage.open_nowait, "/mine/f"), Denied)
    storage.make_directory("/mine/d")
    put(storage, "/mine/d/f", b"content")
    storage.set_mode("/mine/d", 0o600)  # its names can be read, and nothing else
    assert entries(storage, "/mine/d") == {}
    for act in (storage.stat, storage.open, storage.upload, storage.under):
        with pytest.raises(Denied):
            act("/mine/d/f")
    refuses_or_waits(partial(storage.stat_nowait, "/mine/d/f"), Denied)
    assert storage.usage_bytes() == 17


def test_what_one_owns_is_changed_though_it_cannot_be_read(storage: DiskStorage) -> None:
    put(storage, "/mine/f", b"content")
    for mode in (0, 0o200, 0o400):
        storage.set_mode("/mine/f", mode)
        storage.set_modified("/mine/f", 123)
        assert (storage.stat("/mine/f").mode, storage.stat("/mine/f").modified_ns) == (mode, 123)


def test_a_letter_box(storage: DiskStorage, root: Path) -> None:
    storage.make_directory("/mine/box")
    storage.set_mode("/mine/box", 0o300)
    put(storage, "/mine/box/f", b"a letter")
    with pytest.raises(Denied):
        storage.list("/mine/box")
    storage.set_mode("/mine/box", 0o700)
    assert tree(storage, "/mine/box") == {"/mine/box/f": b"a letter"}


def test_a_file_of_others_in_a_directory_of_ours_is_replaced(storage: DiskStorage) -> None:
    entry = put(storage, "/mine/theirs", b"new")
    assert entry.mode == 0o664
    assert entry.owner == storage.stat("/mine").owner
    assert get(storage, "/mine/theirs") == b"new"


def test_what_was_to_be_read_only_is_gone_on_with(storage: DiskStorage) -> None:
    put(storage, "/mine/f", b"old")
    storage.set_mode("/mine/f", 0o444)
    upload = storage.upload("/mine/f")
    upload.file.write(b"new")
    with pytest.raises(Withdrawn):
        upload.commit(is_withdrawn=lambda: True)
    upload.abandon(keep=True)
    upload = storage.upload("/mine/f", offset=3)
    upload.file.write(b"er")
    assert upload.commit().mode == 0o444
    assert get(storage, "/mine/f") == b"newer"
