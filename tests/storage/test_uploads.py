"""Uploads to a disk: what may lie in their way, and when what was left is removed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portside.storage import interrupted
from portside.storage.contract import Denied, NoSuchFile, Upload, Withdrawn
from portside.storage.disk import DiskStorage
from portside.storage.hidden import hidden_name, is_hidden
from portside.storage.interrupted import hold, is_held, take
from portside.testing.storage import Clock, entries, get, interrupt, put, tree
from support.seams import before_each_call


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DiskStorage]:
    with closing(DiskStorage(tmp_path, durable=False)) as storage:
        yield storage


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """Where an upload to /f waits."""
    return tmp_path / hidden_name("f")


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["f", "x" * 255, "\udcff", "ä/"])
def test_every_name_has_a_hidden_one_of_one_length(name: str) -> None:
    assert is_hidden(hidden_name(name))
    assert is_hidden(hidden_name(name).upper())
    assert len(hidden_name(name)) == 47


@pytest.mark.parametrize(
    "name", ["", ".", ".portside-", ".portside-x.part", hidden_name("f")[1:], hidden_name("f") + "x", "x" * 47]
)
def test_other_names_are_not_hidden(name: str) -> None:
    assert not is_hidden(name)


# ── modes and owners ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o666)])
def test_a_new_file_has_the_mode_of_the_umask(storage: DiskStorage, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        assert put(storage, "/f").mode == mode
    finally:
        os.umask(before)


def test_what_replaces_a_private_file_is_private_on_its_way(storage: DiskStorage, tmp_path: Path, hidden: Path) -> None:
    (tmp_path / "f").touch(0o600)
    upload = storage.upload("/f")
    assert hidden.stat().st_mode & 0o777 == 0o600
    upload.commit()
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_what_came_over_the_network_does_not_run_as_its_owner(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "f").chmod(0o6755)
    assert put(storage, "/f", b"new").mode == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_replaced_file_keeps_its_owner(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.chown(tmp_path / "f", 12_345, 23_456)
    (tmp_path / "f").chmod(0o640)
    interrupt(storage, "/f", b"0123")
    upload = storage.upload("/f", offset=4)
    upload.file.write(b"4")
    entry = upload.commit()
    assert (entry.owner, entry.group, entry.mode) == ("12345", "23456", 0o640)
    assert get(storage, "/f") == b"01234"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_withdrawn_goes_on_whoever_it_was_for(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.chown(tmp_path / "f", 12_345, 12_345)
    upload = storage.upload("/f")
    upload.file.write(b"0123")
    with pytest.raises(Withdrawn):
        upload.commit(is_withdrawn=lambda: True)
    upload.abandon(keep=True)
    assert storage.interrupted_bytes("/f") == 4


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_directory_that_cannot_be_flushed_is_left_at_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with closing(DiskStorage(tmp_path)) as storage:
        put(storage, "/f", b"content")
        storage.rename("/f", "/g")
        assert tree(storage) == {"/g": b"content"}


def test_what_is_acknowledged_was_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    root = os.path.realpath(tmp_path)
    with closing(DiskStorage(tmp_path)) as storage:
        put(storage, "/f", b"content")
        assert flushed == [f"{root}/{hidden_name('f')}", root]
        del flushed[:]
        storage.make_directory("/d")
        assert flushed == [root]
        storage.rename("/f", "/d/f")
        assert flushed == [root, f"{root}/d", root]
    del flushed[:]
    with closing(DiskStorage(tmp_path, durable=False)) as storage:
        put(storage, "/f", b"content")
        storage.make_directory("/e")
        storage.rename("/f", "/e/f")
    assert flushed == []


# ── what lies in the way ─────────────────────────────────────────────────────────────────────────────────────────────


def plant_link(hidden: Path, victim: Path) -> None:
    hidden.symlink_to(victim)


def plant_second_name(hidden: Path, victim: Path) -> None:
    os.link(victim, hidden)


def plant_fifo(hidden: Path, victim: Path) -> None:
    os.mkfifo(hidden)


def plant_directory(hidden: Path, victim: Path) -> None:
    hidden.mkdir()


def plant_somebody_elses(hidden: Path, victim: Path) -> None:
    hidden.write_bytes(b"planted")
    os.chown(hidden, 12_345, 12_345)


@pytest.mark.parametrize(
    "plant",
    [
        plant_link,
        plant_second_name,
        plant_fifo,
        plant_directory,
        pytest.param(
            plant_somebody_elses, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
        ),
    ],
)
def test_what_was_planted_is_not_written_to(
    storage: DiskStorage, tmp_path: Path, hidden: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"content of the victim")
    plant(hidden, victim)
    assert storage.interrupted_bytes("/f") is None
    with pytest.raises(Denied):
        storage.upload("/f", offset=4)
    upload = storage.upload("/f")
    upload.file.write(b"new")
    upload.abandon(keep=True)
    put(storage, "/f", b"new")
    assert tree(storage) == {"/victim": b"content of the victim", "/f": b"new"}
    assert hidden.is_symlink() or hidden.exists()
    assert {name for name in os.listdir(tmp_path) if is_hidden(name)} == {hidden.name}


@pytest.mark.parametrize("ends", ["commit", "abandon"])
def test_an_upload_that_ends_while_another_begins(storage: DiskStorage, ends: str) -> None:
    # The second may have opened the first one's file, and have no lock yet, when that ends: then it is no file for it.
    number, ended = 0, True
    while ended:
        first = storage.upload("/f")
        first.file.write(b"first")
        ended = False

        def happens(count: int, _: str, number: int = number, first: Upload = first) -> None:
            nonlocal ended
            if count == number:
                ended = True
                getattr(first, ends)()

        with before_each_call(happens):
            second = storage.upload("/f")
        second.file.write(b"the second")
        assert tree(storage) == ({"/f": b"first"} if ended and ends == "commit" else {})
        second.commit()
        first.abandon()
        assert tree(storage) == {"/f": b"the second"}
        assert storage.usage_bytes() == 10
        storage.delete("/f")
        number += 1
    assert number > 5


def test_a_directory_that_vanishes_under_an_upload(storage: DiskStorage, tmp_path: Path) -> None:
    storage.make_directory("/d")
    upload = storage.upload("/d/f")
    upload.file.write(b"content")
    for name in os.listdir(tmp_path / "d"):
        (tmp_path / "d" / name).unlink()
    (tmp_path / "d").rmdir()
    with pytest.raises(NoSuchFile):
        upload.commit()
    upload.abandon()


# ── locks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_locks_uploads_work_and_are_not_resumed(
    storage: DiskStorage, monkeypatch: pytest.MonkeyPatch, hidden: Path
) -> None:
    interrupt(storage, "/f", b"0123")

    def no_locks(descriptor: int, command: int, argument: bytes) -> bytes:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "fcntl", no_locks)
    assert storage.interrupted_bytes("/f") is None
    first, second = storage.upload("/f"), storage.upload("/g")
    third = storage.upload("/g")
    for upload, content in [(first, b"1"), (second, b"2"), (third, b"3")]:
        upload.file.write(content)
        upload.commit()
    assert tree(storage) == {"/f": b"1", "/g": b"3"}
    assert hidden.read_bytes() == b"0123"


def test_a_lock_is_seen_and_goes_with_its_file(tmp_path: Path) -> None:
    parent = os.open(tmp_path, os.O_RDONLY)
    taken = take(parent, "f")
    other = os.open(tmp_path / taken.hidden, os.O_RDWR)
    assert is_held(other)
    assert not hold(other)
    os.close(taken.descriptor)
    assert not is_held(other)
    assert hold(other)
    os.close(other)
    os.close(parent)


# ── what was left ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_directory_is_looked_through_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = Clock(), []
    scandir = os.scandir

    def counting(directory: int) -> object:
        looks.append(directory)
        return scandir(directory)

    monkeypatch.setattr(os, "scandir", counting)
    with closing(DiskStorage(tmp_path, durable=False, now_s=clock, keep_s=100)) as storage:
        for number in range(100):
            put(storage, f"/{number}")
        with closing(storage.under("/")) as below:
            put(below, "/x")
        assert len(looks) == 1
        clock.ahead_s = interrupted._SWEEP_EVERY_S + 1
        put(storage, "/y")
        clock.ahead_s = 0  # somebody has set the clock
        put(storage, "/z")
        assert len(looks) == 3
        monkeypatch.setattr(interrupted, "_SWEPT_MAX", 1)
        storage.make_directory("/d")
        put(storage, "/d/f")
        put(storage, "/d/g")
        assert len(looks) == 4


def test_what_a_crash_has_left_is_removed_in_time(tmp_path: Path) -> None:
    clock = Clock()
    with closing(DiskStorage(tmp_path, durable=False, now_s=clock, keep_s=100)) as storage:
        upload = storage.upload("/f")
        upload.file.write(b"0123")
        second = storage.upload("/f")
        second.file.write(b"45")
        for left in (upload, second):  # their process ends
            left.file.close()
        assert storage.interrupted_bytes("/f") == 4
        assert len(os.listdir(tmp_path)) == 2
        clock.ahead_s = 50
        assert entries(storage) == {}
        assert len(os.listdir(tmp_path)) == 2
        clock.ahead_s = 101
        assert entries(storage) == {}
        assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_stays(tmp_path: Path, hidden: Path) -> None:
    hidden.mkdir()
    with closing(DiskStorage(tmp_path, durable=False, keep_s=0)) as storage:
        assert entries(storage) == {}
        assert hidden.is_dir()
