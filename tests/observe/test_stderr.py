"""Standard error, when nobody reads it, nothing is left of it, or several processes write to it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from portside.observe import stderr as module
from portside.observe.stderr import Stderr


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        try:
            os.close(fd)
        except OSError:
            continue


def fill(stderr: Stderr, record: bytes) -> int:
    """Write until no more goes in. Returns how many records went in."""
    count = 0
    while stderr.write(record):
        count += 1
    return count


def test_a_reader_who_does_not_read_costs_records_and_nothing_else(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stderr = Stderr(writing)
    record = b"x" * 99 + b"\n"
    assert fill(stderr, record) >= 100
    assert not stderr.write(record)
    assert stderr.lost == 2
    os.read(reading, 65_536)
    assert stderr.write(record)
    assert os.get_blocking(writing), "the flags of what we inherited are not ours to set"


def test_a_reader_who_does_not_read_is_waited_for_only_a_part_of_the_time(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    waits = []

    def wait(fd: int, timeout_ms: int) -> bool:
        waits.append(now_s[0])
        now_s[0] += timeout_ms / 1_000
        return False

    monkeypatch.setattr(module, "_writable", wait)
    stderr = Stderr(pipe[1], lambda: now_s[0])
    fill(stderr, b"x" * 99 + b"\n")
    while now_s[0] < 10.0:
        assert not stderr.write(b"x" * 100)
        now_s[0] += 0.01
    assert len(waits) == pytest.approx(10.0 / 1.1, abs=1)


def test_a_record_that_was_cut_does_not_spoil_the_next(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    stderr = Stderr(writing)
    assert not stderr.write(b"long " * size + b"\n")
    os.read(reading, size)
    assert stderr.write(b"next\n")
    assert os.read(reading, size).endswith(b"\nnext\n")


def test_a_closed_reader_is_survived(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stderr = Stderr(writing)
    os.close(reading)
    assert not stderr.write(b"x\n")


def test_a_closed_descriptor_is_survived(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    os.close(writing)
    assert not Stderr(writing).write(b"x\n")


def test_a_full_disk_is_survived() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    stderr = Stderr(fd)
    assert not stderr.write(b"x\n")
    stderr.close()
    os.close(fd)


def test_a_file_goes_on_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    fd = os.open(path, os.O_WRONLY)
    os.lseek(fd, 0, os.SEEK_END)
    stderr = Stderr(fd)
    stderr.write(b"ours\n")
    os.write(fd, b"theirs\n")
    stderr.write(b"ours\n")
    stderr.close()
    os.close(fd)
    assert path.read_text() == "before\nours\ntheirs\nours\n"


def test_a_terminal_is_one(pipe: tuple[int, int]) -> None:
    leader, follower = pty.openpty()
    stderr = Stderr(follower)
    assert stderr.is_terminal
    assert not Stderr(pipe[1]).is_terminal
    assert stderr.write(b"hello\n")
    assert select.select([leader], [], [], 10)[0]
    assert os.read(leader, 100) == b"hello\r\n"
    stderr.close()
    os.close(follower)
    os.close(leader)


def test_records_of_several_processes_do_not_mix(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    children = []
    for letter in b"abc":
        child = os.fork()
        if child == 0:
            stderr = Stderr(writing)
            for _ in range(20):
                stderr.write(bytes([letter]) * 200 + b"\n")
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    lines = os.read(reading, 65_536).splitlines()
    assert len(lines) == 60
    assert all(line == line[:1] * 200 for line in lines)
