"""What looking, listing and reading promise."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from typing import Final

import pytest

from portside.storage.contract import IsDirectory, NoSuchFile, NotDirectory, Storage
from portside.testing.storage.trees import Clock, Fixtures, entries, interrupt, put, refuses_or_waits, tree

NAMES: Final = [
    "plain.txt",
    "with blanks .txt ",
    "-dash",
    ".dot",
    "..two",
    "grüße-日本語-🙂",
    os.fsdecode(b"latin-\xe4\xff"),
    "tab\tand'quote\"and\\backslash",
    "x" * 255,
    ".portside-",
    ".portside-notes.part",
]


class ReadingContract(Fixtures):
    def test_an_empty_root(self, storage: Storage) -> None:
        assert entries(storage) == {}
        assert storage.stat("/").kind == "directory"
        assert storage.usage_bytes() == 0

    def test_what_was_put_is_there(self, storage: Storage, clock: Clock) -> None:
        put(storage, "/a", b"content")
        entry = storage.stat("/a")
        assert (entry.name, entry.kind, entry.size_bytes, entry.links) == ("a", "file", 7, 1)
        assert entry.mode & 0o600 == 0o600
        assert abs(entry.modified_ns / 1e9 - clock()) < 60
        assert entries(storage) == {"a": entry}
        with closing(storage.open("/a")) as stored:
            assert stored.entry == entry
            assert stored.file.read(3) == b"con"
            stored.file.seek(1)
            assert stored.file.read() == b"ontent"

    def test_the_beginning_is_read_at_once_or_not_at_all(self, storage: Storage) -> None:
        put(storage, "/a", b"content")
        with closing(storage.open("/a")) as stored:
            assert stored.read_nowait(7) in {b"content", None}
            assert stored.read_nowait(3) in {b"con", None}
            assert stored.read_nowait(8) is None
            assert stored.read_nowait(0) == b""
            assert stored.file.read() == b"content"  # it has moved nothing

    @pytest.mark.parametrize("name", NAMES, ids=ascii)
    def test_names_of_every_kind(self, storage: Storage, name: str) -> None:
        put(storage, f"/{name}", b"1")
        interrupt(storage, f"/{name}", b"22")
        assert storage.interrupted_bytes(f"/{name}") == 2
        assert list(entries(storage)) == [name]
        assert storage.stat(f"/{name}").name == name
        storage.make_directory("/d")
        storage.rename(f"/{name}", f"/d/{name}")
        assert tree(storage) == {"/d": None, f"/d/{name}": b"1"}
        storage.delete(f"/d/{name}")
        storage.make_directory(f"/d/{name}")
        assert tree(storage) == {"/d": None, f"/d/{name}": None}

    def test_what_cannot_be_opened(self, storage: Storage) -> None:
        storage.make_directory("/d")
        put(storage, "/f")
        for path, error in [("/d", IsDirectory), ("/", IsDirectory), ("/x", NoSuchFile), ("/f/x", NoSuchFile)]:
            with pytest.raises(error):
                storage.open(path)
            refuses_or_waits(partial(storage.open_nowait, path), error)

    def test_what_does_not_wait_says_the_same_or_nothing(self, storage: Storage) -> None:
        put(storage, "/f", b"content")
        for path in ("/f", "/"):
            assert storage.stat_nowait(path) in {None, storage.stat(path)}
        stored = storage.open_nowait("/f")
        if stored is not None:
            with closing(stored):
                assert stored.entry == storage.stat("/f")
                assert stored.file.read() == b"content"
        for path in ("/x", "/f/x"):
            refuses_or_waits(partial(storage.stat_nowait, path), NoSuchFile)

    def test_what_is_open_stays_as_it_was(self, storage: Storage) -> None:
        put(storage, "/f", b"old")
        with closing(storage.open("/f")) as first, closing(storage.open("/f")) as second:
            put(storage, "/f", b"newer")
            assert first.file.read() == b"old"
            storage.delete("/f")
            assert second.file.read() == b"old"

    def test_a_long_directory_comes_in_batches(self, storage: Storage) -> None:
        storage.make_directory("/d")
        expected = {f"{number:04}" for number in range(1_100)}
        for name in expected:
            put(storage, f"/d/{name}")
        batches = list(storage.list("/d"))
        assert len(batches) > 1
        assert max(map(len, batches)) < 1_100
        listed = [entry.name for batch in batches for entry in batch]
        assert len(listed) == 1_100
        assert set(listed) == expected
        begun = storage.list("/d")
        assert next(begun)
        begun.close()
        begun.close()
        assert list(begun) == []

    def test_what_cannot_be_listed_says_so_at_once(self, storage: Storage) -> None:
        put(storage, "/f")
        for path, error in [("/f", NotDirectory), ("/x", NoSuchFile), ("/f/x", NoSuchFile), ("/x/y", NoSuchFile)]:
            with pytest.raises(error):
                storage.list(path)

    def test_what_is_one_file_is_told_by_its_unique(self, storage: Storage) -> None:
        put(storage, "/a")
        put(storage, "/b")
        first = storage.stat("/a").unique
        assert first != storage.stat("/b").unique
        storage.rename("/a", "/c")
        assert storage.stat("/c").unique == first
