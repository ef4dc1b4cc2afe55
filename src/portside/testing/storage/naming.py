"""What making, renaming and removing names promise, and what is said of a file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest

from portside.storage.contract import (
    AlreadyThere,
    Denied,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotEmpty,
    Storage,
    StorageError,
    StorageFailed,
)
from portside.testing.storage.trees import HIDDEN, Fixtures, entries, get, interrupt, put, refuses_or_waits, tree


class NamingContract(Fixtures):
    def test_delete_removes_files_only(self, storage: Storage) -> None:
        put(storage, "/f", b"content")
        storage.make_directory("/d")
        for path, error in [("/d", IsDirectory), ("/", IsDirectory), ("/x", NoSuchFile), ("/f/x", NoSuchFile)]:
            with pytest.raises(error):
                storage.delete(path)
        storage.delete("/f")
        assert tree(storage) == {"/d": None}
        assert storage.usage_bytes() == 0

    def test_make_directory_takes_free_names_only(self, storage: Storage) -> None:
        put(storage, "/f")
        storage.make_directory("/d")
        storage.make_directory("/d/e")
        for path, error in [
            ("/d", AlreadyThere),
            ("/f", AlreadyThere),
            ("/", AlreadyThere),
            ("/x/y", NoSuchFile),
            ("/f/x", NoSuchFile),
        ]:
            with pytest.raises(error):
                storage.make_directory(path)
        assert tree(storage) == {"/f": b"", "/d": None, "/d/e": None}
        assert storage.stat("/d/e").kind == "directory"

    def test_remove_directory_removes_empty_directories_only(self, storage: Storage) -> None:
        put(storage, "/f")
        storage.make_directory("/d")
        storage.make_directory("/d/e")
        for path, error in [
            ("/d", NotEmpty),
            ("/f", NotDirectory),
            ("/", Denied),
            ("/x", NoSuchFile),
            ("/f/x", NoSuchFile),
        ]:
            with pytest.raises(error):
                storage.remove_directory(path)
        storage.remove_directory("/d/e")
        storage.remove_directory("/d")
        assert tree(storage) == {"/f": b""}

    def test_what_uploads_have_left_does_not_hold_a_directory(self, storage: Storage) -> None:
        storage.make_directory("/d")
        interrupt(storage, "/d/f", b"0123")
        going = storage.upload("/d/g")
        with pytest.raises(NotEmpty):
            storage.remove_directory("/d")
        going.commit()
        interrupt(storage, "/d/f", b"0123")
        with pytest.raises(NotEmpty):
            storage.remove_directory("/d")
        assert storage.interrupted_bytes("/d/f") == 4
        storage.delete("/d/g")
        storage.remove_directory("/d")
        assert tree(storage) == {}
        assert storage.usage_bytes() == 0

    def test_rename_moves_what_there_is(self, storage: Storage) -> None:
        put(storage, "/f", b"content")
        storage.make_directory("/d")
        storage.make_directory("/e")
        storage.rename("/f", "/d/g")
        storage.rename("/d", "/e/d")
        storage.rename("/e/d/g", "/e/d/g")
        storage.rename("/e/d", "/e/d")
        assert tree(storage) == {"/e": None, "/e/d": None, "/e/d/g": b"content"}

    def test_rename_replaces_like_by_like(self, storage: Storage) -> None:
        put(storage, "/f", b"new")
        put(storage, "/g", b"older")
        storage.rename("/f", "/g")
        assert tree(storage) == {"/g": b"new"}
        assert storage.usage_bytes() == 3
        for path in ("/d", "/empty", "/left", "/full"):
            storage.make_directory(path)
        put(storage, "/d/f")
        put(storage, "/full/f")
        interrupt(storage, "/left/f", b"0123")
        with pytest.raises(NotEmpty):
            storage.rename("/d", "/full")
        with pytest.raises(IsDirectory):
            storage.rename("/g", "/empty")
        with pytest.raises(NotDirectory):
            storage.rename("/d", "/g")
        storage.rename("/d", "/empty")
        storage.rename("/empty", "/left")
        assert tree(storage) == {"/g": b"new", "/left": None, "/left/f": b"", "/full": None, "/full/f": b""}
        assert storage.usage_bytes() == 3

    def test_what_cannot_be_renamed(self, storage: Storage) -> None:
        put(storage, "/f")
        storage.make_directory("/d")
        storage.make_directory("/d/e")
        for source, target, error in [
            ("/d", "/d/x", Denied),
            ("/d", "/d/e/x", Denied),
            ("/d/e", "/d", NotEmpty),
            ("/", "/x", Denied),
            ("/d", "/", Denied),
            ("/x", "/y", NoSuchFile),
            ("/f/x", "/y", NoSuchFile),
            ("/f", "/x/y", NoSuchFile),
            ("/d", "/f/x", NoSuchFile),
        ]:
            with pytest.raises(error):
                storage.rename(source, target)
        assert tree(storage) == {"/f": b"", "/d": None, "/d/e": None}

    def test_an_upload_follows_its_directory(self, storage: Storage) -> None:
        storage.make_directory("/d")
        upload = storage.upload("/d/f")
        upload.file.write(b"content")
        storage.rename("/d", "/e")
        storage.make_directory("/d")
        upload.commit()
        assert tree(storage) == {"/d": None, "/e": None, "/e/f": b"content"}

    @pytest.mark.parametrize("path", [f"/{HIDDEN}", f"/d/{HIDDEN}", f"/{HIDDEN.upper()}"])
    def test_names_of_uploads_on_their_way_are_not_to_be_had(self, storage: Storage, path: str) -> None:
        put(storage, "/f")
        storage.make_directory("/d")
        refused(storage, path, NoSuchFile, Denied)

    def test_not_even_where_there_is_one(self, storage: Storage) -> None:
        upload = storage.upload("/f")
        upload.file.write(b"0123")
        for name in hidden_names("f"):
            refused(storage, f"/{name}", NoSuchFile, Denied)
        upload.commit()
        assert tree(storage) == {"/f": b"0123"}

    def test_a_name_does_not_end_at_a_nul(self, storage: Storage) -> None:
        put(storage, "/f", b"content")
        refused(storage, "/f\0x", Denied)
        with pytest.raises(Denied):
            storage.under("/\0x")
        assert tree(storage) == {"/f": b"content"}


def hidden_names(name: str) -> list[str]:
    """Return names under which an upload to this one could wait."""
    from portside.storage.hidden import hidden_name

    return [hidden_name(name), hidden_name(name).upper()]


def refused(storage: Storage, path: str, *errors: type[StorageError]) -> None:
    """Assert that no act can be done on a path."""
    acts: list[Callable[[], object]] = [
        partial(act, path)
        for act in (
            storage.stat,
            storage.list,
            storage.open,
            storage.upload,
            storage.interrupted_bytes,
            storage.delete,
            storage.make_directory,
            storage.remove_directory,
            storage.under,
        )
    ]
    acts += [
        partial(storage.rename, path, "/new"),
        partial(storage.rename, "/f", path),
        partial(storage.set_modified, path, 0),
        partial(storage.set_mode, path, 0o600),
        partial(storage.upload, path, offset=None),
        partial(storage.upload, f"{path}/below"),
    ]
    for act in acts:
        with pytest.raises(errors):
            act()
    for act_nowait in (storage.stat_nowait, storage.open_nowait):
        refuses_or_waits(partial(act_nowait, path), *errors)


class FactContract(Fixtures):
    @pytest.mark.parametrize("modified_ns", [0, 1, -86_400_000_000_000, 1_700_000_000_123_456_789])
    def test_set_modified(self, storage: Storage, modified_ns: int) -> None:
        put(storage, "/f")
        storage.make_directory("/d")
        for path in ("/f", "/d"):
            storage.set_modified(path, modified_ns)
            assert storage.stat(path).modified_ns == modified_ns
        with pytest.raises(NoSuchFile):
            storage.set_modified("/x", modified_ns)

    def test_set_mode(self, storage: Storage) -> None:
        put(storage, "/f")
        storage.make_directory("/d")
        for path, mode in [("/f", 0o600), ("/f", 0o777), ("/f", 0), ("/d", 0o711)]:
            storage.set_mode(path, mode)
            assert storage.stat(path).mode == mode
        for mode in (0o4755, 0o1000, -1):
            with pytest.raises(Denied):
                storage.set_mode("/f", mode)
        with pytest.raises(NoSuchFile):
            storage.set_mode("/x", 0o600)
        assert storage.stat("/f").mode == 0

    def test_usage_counts_every_file(self, storage: Storage) -> None:
        storage.make_directory("/d")
        put(storage, "/a", b"1")
        put(storage, "/d/b", b"22")
        interrupt(storage, "/d/c", b"333")
        upload = storage.upload("/d/d")
        upload.file.write(b"4444")
        assert storage.usage_bytes() == 10
        upload.abandon()
        assert storage.usage_bytes() == 6
        with closing(storage.under("/d")) as below:
            assert below.usage_bytes() == 5

    def test_a_storage_under_a_directory(self, storage: Storage) -> None:
        storage.make_directory("/d")
        put(storage, "/d/f", b"content")
        interrupt(storage, "/d/g", b"0123")
        with closing(storage.under("/d")) as below:
            assert tree(below) == {"/f": b"content"}
            assert below.interrupted_bytes("/g") == 4
            put(below, "/h", b"new")
            assert get(storage, "/d/h") == b"new"
            with pytest.raises(Denied):
                below.remove_directory("/")
            for path in ("/../d/f", "/../x"):
                with pytest.raises((NoSuchFile, Denied)):
                    below.open(path)
            storage.rename("/d", "/e")
            assert tree(below) == {"/f": b"content", "/h": b"new"}
        assert tree(storage) == {"/e": None, "/e/f": b"content", "/e/h": b"new"}
        for path, error in [("/x", NoSuchFile), ("/e/f", NotDirectory), ("/e/f/x", NoSuchFile)]:
            with pytest.raises(error):
                storage.under(path)

    def test_a_root_that_is_removed_has_nothing_any_more(self, storage: Storage) -> None:
        storage.make_directory("/d")
        with closing(storage.under("/d")) as below:
            storage.remove_directory("/d")
            assert entries(below) == {}
            for act in (below.make_directory, below.upload, below.stat, below.open):
                with pytest.raises(NoSuchFile):
                    act("/f")

    def test_a_closed_storage_does_nothing(self, storage: Storage) -> None:
        put(storage, "/f")
        below = storage.under("/")
        storage.close()
        storage.close()
        refused(storage, "/f", StorageFailed)
        assert tree(below) == {"/f": b""}
        below.close()
