"""What only a disk has: links, FIFOs, owners, descriptors, and answers that are at hand or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from portside.storage import entries as storage_entries
from portside.storage.beneath import ByKernel, Resolution
from portside.storage.contract import (
    Denied,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotRegular,
    StorageError,
    StorageFailed,
)
from portside.storage.disk import DiskStorage
from portside.storage.hidden import hidden_name
from portside.storage.owners import Names
from portside.testing.storage import entries, get, put, tree
from portside.testing.storage.trees import refuses_or_waits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("secret")
    return root


@pytest.fixture
def storage(root: Path, resolution: Resolution) -> Iterator[DiskStorage]:
    with closing(DiskStorage(root, durable=False, resolution=resolution)) as storage:
        yield storage


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def linked(root: Path) -> Path:
    """A root with a file and a directory, links to both, and links that lead nowhere good."""
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "f").write_text("inside")
    for name, target in {
        "file": "d/f",
        "directory": "d",
        "d/up": "../d/e/../f",
        "nowhere": "d/none",
        "circle": "circle",
        "out": "../outside/f",
        "outdir": "../outside",
        "absolute": str(root / "d" / "f"),
    }.items():
        (root / name).symlink_to(target)
    return root


def test_links_are_shown_as_what_they_lead_to_or_as_links(storage: DiskStorage, linked: Path) -> None:
    listed = entries(storage)
    kinds = {name: entry.kind for name, entry in listed.items()}
    links = dict.fromkeys(["nowhere", "circle", "out", "outdir", "absolute"], "link")
    assert kinds == {"d": "directory", "directory": "directory", "file": "file"} | links
    for name, entry in listed.items():
        assert storage.stat(f"/{name}") == entry
        assert storage.stat_nowait(f"/{name}") in {None, entry}
    assert listed["file"].size_bytes == 6
    assert listed["out"].size_bytes == len("../outside/f")


def test_links_within_are_followed(storage: DiskStorage, linked: Path) -> None:
    for path in ("/file", "/d/up", "/directory/f", "/directory/up"):
        assert get(storage, path) == b"inside"
    assert set(entries(storage, "/directory")) == {"e", "f", "up"}
    storage.set_mode("/file", 0o604)
    storage.set_modified("/file", 7)
    assert (linked / "d" / "f").stat().st_mode & 0o777 == 0o604
    assert (linked / "d" / "f").stat().st_mtime_ns == 7
    with closing(storage.under("/directory")) as below:
        assert get(below, "/f") == b"inside"
        assert below.stat("/up").kind == "link"  # it leads out of this root, though not of the other


@pytest.mark.parametrize("name", ["out", "outdir", "absolute", "circle", "outdir/f", "circle/f"])
def test_links_out_and_in_circles_are_denied(storage: DiskStorage, linked: Path, name: str) -> None:
    for act in (storage.open, storage.list, storage.under, storage.upload, storage.interrupted_bytes):
        with pytest.raises(Denied):
            act(f"/{name}")
    with pytest.raises(Denied):
        storage.set_mode(f"/{name}", 0o600)
    with pytest.raises(Denied):
        storage.set_modified(f"/{name}", 0)


def test_an_upload_to_a_link_is_for_what_it_leads_to(storage: DiskStorage, linked: Path) -> None:
    put(storage, "/file", b"new")
    put(storage, "/d/up", b"newer")
    put(storage, "/nowhere", b"made")
    assert (linked / "file").is_symlink()
    assert (linked / "d" / "up").is_symlink()
    assert (linked / "d" / "f").read_text() == "newer"
    assert (linked / "d" / "none").read_text() == "made"
    upload = storage.upload("/file", offset=None)
    upload.file.write(b"!")
    upload.abandon(keep=True)
    assert storage.interrupted_bytes("/file") == storage.interrupted_bytes("/d/f") == 6
    with pytest.raises(IsDirectory):
        storage.upload("/directory")


def test_a_link_is_no_way_to_an_upload_of_others(storage: DiskStorage, root: Path) -> None:
    hidden = hidden_name("f")
    (root / "link").symlink_to(hidden)
    upload = storage.upload("/f")
    upload.file.write(b"0123")
    with pytest.raises(Denied):
        storage.upload("/link")
    upload.commit()
    with pytest.raises(Denied):
        storage.upload("/link")


def test_removing_and_renaming_are_for_the_link(storage: DiskStorage, linked: Path) -> None:
    with pytest.raises(NotDirectory):
        storage.remove_directory("/directory")
    for name in ("file", "directory", "nowhere", "circle", "outdir"):
        storage.rename(f"/{name}", f"/d/{name}")
        assert (linked / "d" / name).is_symlink()
        storage.delete(f"/d/{name}")
        assert not (linked / "d" / name).is_symlink()
    put(storage, "/plain", b"content")
    storage.rename("/plain", "/absolute")
    assert not (linked / "absolute").is_symlink()
    assert (linked / "d" / "f").read_text() == "inside"


# ── what is no file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fifo_holds_nobody_up(storage: DiskStorage, root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("pipe")
    put(storage, "/f", b"content")
    for path in ("/pipe", "/link"):
        assert storage.stat(path).kind == entries(storage)[path[1:]].kind == "other"
        for act in (storage.open, storage.upload):
            with pytest.raises(NotRegular):
                act(path)
        refuses_or_waits(partial(storage.open_nowait, path), NotRegular)
        with pytest.raises(NotRegular):
            storage.set_mode(path, 0o600)
    storage.rename("/pipe", "/other")
    storage.delete("/other")
    assert storage.usage_bytes() == 7


def test_a_device_is_not_opened(storage: DiskStorage, root: Path) -> None:
    try:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device needs privileges that this user does not have")
    with pytest.raises(NotRegular):
        storage.open("/null")
    with pytest.raises(NotRegular):
        storage.upload("/null", offset=None)


# ── names, owners, usage ─────────────────────────────────────────────────────────────────────────────────────────────


def test_names_too_long_for_the_disk_are_denied(storage: DiskStorage) -> None:
    for act in (storage.open, storage.make_directory, storage.delete, storage.stat):
        with pytest.raises(Denied, match="too long"):
            act("/" + "x" * 256)
    with pytest.raises(Denied, match="too long"):
        storage.upload("/" + "x" * 256)


def test_a_number_nobody_has_a_name_for_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look_up(number: int) -> str:
        asked.append(number)
        if number:
            raise KeyError(number)
        return "root"

    names = Names(look_up)
    assert 0 not in names
    for _ in range(2):
        assert (names[0], names[12_345]) == ("root", "12345")
    assert (names.get(0), names.get(12_345)) == ("root", "12345")
    assert asked == [0, 12_345]
    for number in range(20_000, 31_000):
        assert names[number] == str(number)
    assert names[0] == "root"
    assert asked.count(0) == 2


def test_what_is_at_hand(root: Path, kernel: ByKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "d").mkdir()
    (root / "d" / "f").write_text("content")
    monkeypatch.setattr(storage_entries, "USERS", Names(lambda _: "somebody"))
    with closing(DiskStorage(root, resolution=kernel)) as storage:
        # The way is in the kernel's memory, and the owner's name is not known yet: that may take long.
        assert storage.stat_nowait("/d/f") is None
        assert storage.open_nowait("/d/f") is None
        entry = storage.stat("/d/f")
        assert storage.stat_nowait("/d/f") == entry
        stored = storage.open_nowait("/d/f")
        assert stored is not None
        with closing(stored):
            assert stored.entry == entry
            assert stored.file.fileno() >= 0
        refuses_or_waits(lambda: storage.stat_nowait("/d/none"), NoSuchFile)
        with pytest.raises(IsDirectory):
            storage.open_nowait("/d")


def test_a_file_with_two_names_counts_once(storage: DiskStorage, root: Path) -> None:
    (root / "a").write_bytes(b"1234")
    (root / "d").mkdir()
    os.link(root / "a", root / "d" / "b")
    (root / "link").symlink_to("a")
    (root / "out").symlink_to("../outside")
    assert storage.usage_bytes() == 4
    assert storage.stat("/a").unique == storage.stat("/d/b").unique
    assert storage.stat("/a").links == 2


def test_a_very_deep_tree_is_counted(storage: DiskStorage, root: Path) -> None:
    path = root
    for _ in range(300):
        path /= "d"
        path.mkdir()
    (path / "f").write_bytes(b"1234")
    assert storage.usage_bytes() == 4


# ── roots and descriptors ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_root_must_be_a_directory(root: Path) -> None:
    (root / "f").touch()
    with pytest.raises(NotDirectory, match="root/f"):
        DiskStorage(root / "f")
    with pytest.raises(NoSuchFile, match="root/x"):
        DiskStorage(root / "x")


def test_the_root_may_be_behind_a_link_and_may_be_moved(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("root")
    with closing(DiskStorage(tmp_path / "link", durable=False)) as storage:
        put(storage, "/f", b"content")
        root.rename(tmp_path / "moved")
        assert get(storage, "/f") == b"content"


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_no_descriptor_is_left_open(root: Path, resolution: Resolution, linked: Path) -> None:
    os.mkfifo(root / "pipe")
    before = descriptors()
    with closing(DiskStorage(root, durable=True, resolution=resolution)) as storage:
        put(storage, "/plain", b"content")
        for path in ["/", "/x", "/plain/x", *(f"/{name}" for name in sorted(os.listdir(root)))]:
            acts = [
                lambda path=path: storage.stat(path),
                lambda path=path: storage.stat_nowait(path),
                lambda path=path: tree(storage, path),
                lambda path=path: next(storage.list(path)),
                lambda path=path: storage.open(path).close(),
                lambda path=path: (stored := storage.open_nowait(path)) and stored.close(),
                lambda path=path: storage.upload(path).abandon(),
                lambda path=path: storage.upload(path, offset=None).abandon(keep=True),
                lambda path=path: storage.upload(path, offset=3).commit(),
                lambda path=path: storage.upload(path, offset=300).commit(),
                lambda path=path: storage.interrupted_bytes(path),
                lambda path=path: storage.make_directory(path),
                lambda path=path: storage.rename(path, f"{path}/x"),
                lambda path=path: storage.set_mode(path, 0o777),
                lambda path=path: storage.set_modified(path, 1),
                lambda path=path: storage.under(path).close(),
                lambda path=path: storage.delete(path),
                lambda path=path: storage.remove_directory(path),
                storage.usage_bytes,
            ]
            for number, act in enumerate(acts):
                open_before = descriptors()
                with suppress(StorageError):
                    act()
                assert descriptors() == open_before, (path, number)
    assert descriptors() == before


def test_a_disk_that_fails_is_nobodys_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(DiskStorage(root)) as storage:
        put(storage, "/f", b"old")
        for name in ("fsync", "rename"):
            upload = storage.upload("/f")
            upload.file.write(b"new")
            with monkeypatch.context() as patch:
                patch.setattr(os, name, failing)
                with pytest.raises(StorageFailed, match="the disk failed"):
                    upload.commit()
            assert tree(storage) == {"/f": b"old"}
            assert os.listdir(root) == ["f"]


def failing(*arguments: object, **options: object) -> None:
    raise OSError(5, "Input/output error")
