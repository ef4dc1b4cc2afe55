"""The short way: it is taken by what is plain, says the same as the long one, and never what was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from portside.protocols.http.site import plain
from portside.protocols.http.site.delivery import AT_ONCE_BYTES
from portside.storage import stored
from support.site import Answer, Asking
from support.ticks import wait_for_tick

RARE = {"if-none-match": '"x"'}  # has a request go the long way, and changes nothing in its answer


@pytest.fixture(autouse=True)
def every_file_has_rested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "RESTED_NS", -1 << 60)


@pytest.fixture
def long_ways(site: Asking, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has gone the long way, in that order."""
    gone: list[str] = []
    long_way = site.application._application

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        gone.append(scope["path"])
        await long_way(scope, receive, send)

    monkeypatch.setattr(site.application, "_application", noting)
    return gone


def same(one: Answer, other: Answer) -> bool:
    return (one.status, sorted(one.fields.items()), one.body) == (
        other.status, sorted(other.fields.items()), other.body,
    )  # fmt: skip


def test_a_small_file_goes_the_short_way(site: Asking, root: Path, long_ways: list[str]) -> None:
    for name, content in (("a.bin", b"hello"), ("a b.txt", b"text"), ("empty", b""), ("full", bytes(AT_ONCE_BYTES))):
        (root / name).write_bytes(content)
        target = "/" + name.replace(" ", "%20")
        for _ in range(3):
            assert site.get(target).body == content
        assert long_ways == []
        assert same(site.get(target), site.get(target, RARE))
        assert long_ways.pop()


@pytest.mark.parametrize(
    "request_",
    [
        ("HEAD", "/a.bin", {}),
        ("GET", "/a.bin", {"range": "bytes=0-1"}),
        ("GET", "/a.bin", {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}),
        ("GET", "/a.txt", {"accept-encoding": "gzip"}),
        ("GET", "/large", {}),
        ("GET", "/", {}),
        ("GET", "/folder", {}),
        ("GET", "/nothing", {}),
        ("GET", "/.hidden", {}),
        ("GET", "/fifo", {}),
        ("GET", "/a.bin/", {}),
    ],
)
def test_everything_else_goes_the_long_way(
    site: Asking, root: Path, long_ways: list[str], request_: tuple[str, str, dict[str, str]]
) -> None:
    for name in ("a.bin", "a.txt", ".hidden"):
        (root / name).write_text("x")
    (root / "large").write_bytes(bytes(AT_ONCE_BYTES + 1))
    (root / "folder").mkdir()
    os.mkfifo(root / "fifo")
    for _ in range(2):
        site(*request_)
    assert len(long_ways) == 2


def test_who_must_log_in_goes_the_long_way(make_site: Any, root: Path) -> None:
    from portside.accounts.book import MemoryBook
    from portside.accounts.counters import LocalCounters
    from portside.accounts.doorkeeper import Doorkeeper
    from portside.protocols.http.site.login import Gate

    (root / "a").write_text("x")
    site = make_site(gate=lambda storage: Gate(storage, Doorkeeper(MemoryBook(()), LocalCounters()), anonymous=False))
    assert site.get("/a").status == 401


def test_another_mount_goes_the_long_way(site: Asking, root: Path) -> None:
    (root / "a").write_text("x")
    assert Asking(site.storage, root_path="/files").get("/files/a").status == 404
    assert Asking(site.storage, root_path="/files").get("/a").body == b"x"


def test_what_has_changed_is_not_sent_as_it_was(site: Asking, root: Path, long_ways: list[str]) -> None:
    path = root / "a.bin"
    for content in (b"first", b"other", b"longer than before", b""):
        path.write_bytes(content)
        for _ in range(2):
            answer = site.get("/a.bin")
            assert (answer.body, answer.fields["content-length"]) == (content, str(len(content)))
        wait_for_tick(path)
    assert long_ways == []
    path.unlink()
    assert site.get("/a.bin").status == 404


def test_an_upload_is_there_at_once(make_site: Any, root: Path) -> None:
    site = make_site(uploads=True)
    for content in (b"1", b"2", b"3"):
        assert site("PUT", "/a", body=content).status in {201, 204}
        assert site.get("/a").body == content


def test_a_file_that_is_no_file_any_more(site: Asking, root: Path) -> None:
    (root / "a").write_text("x")
    assert site.get("/a").status == 200
    (root / "a").unlink()
    (root / "a").mkdir()
    assert site.get("/a").status == 301
    (root / "a").rmdir()
    (root.parent / "outside").write_text("secret")
    (root / "a").symlink_to("../outside")
    assert site.get("/a").status == 403


def test_no_more_is_kept_than_there_is_room_for(site: Asking, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "KEPT_BYTES_MAX", 4_096)
    monkeypatch.setattr(plain, "TARGETS_MAX", 5)
    for number in range(12):
        (root / f"{number}").write_bytes(b"%d" % number * 500)
    for _ in range(3):
        for number in range(12):
            assert site.get(f"/{number}").body == b"%d" % number * 500
            kept = site.application._kept
            assert sum(len(one.body) + plain.KEPT_EXTRA_BYTES for one in kept.values()) <= 4_096
            assert len(site.application._targets) <= 5
    assert site.application._kept_bytes == sum(
        len(one.body) + plain.KEPT_EXTRA_BYTES for one in site.application._kept.values()
    )
