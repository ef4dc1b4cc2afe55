"""``portside list``: what is in a directory of a server."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portside.cli.list_ import row_of, shown
from portside.cli.main import main
from portside.protocols.ftp.client import RemoteEntry
from support.ftp import Site

TIME_S = 1_700_000_000


def list_(*arguments: str) -> int:
    return main(["list", *arguments])


@pytest.fixture
def filled(site: Site, here: Path) -> Site:
    (site.home / "sub").mkdir(mode=0o750)
    site.put("a b", b"12345").chmod(0o640)
    for path in site.home.iterdir():
        os.utime(path, (TIME_S, TIME_S))
    return site


def test_a_directory_is_a_table(filled: Site, capfd: pytest.CaptureFixture[str]) -> None:
    assert list_(filled.url()) == 0
    heading, *lines = (line.split(maxsplit=5) for line in capfd.readouterr().out.splitlines())
    assert heading == ["MODE", "OWNER", "SIZE", "MODIFIED", "NAME"]
    assert [[line[0], *line[2:]] for line in lines] == [
        ["-rw-r-----", "5", "2023-11-14", "22:13:20", "a b"],
        ["drwxr-x---", "-", "2023-11-14", "22:13:20", "sub/"],
    ]


def test_json_has_the_documented_keys(filled: Site, capfd: pytest.CaptureFixture[str]) -> None:
    assert list_(filled.url("a b"), "--json") == 0  # a file is its own list
    (row,) = json.loads(capfd.readouterr().out)
    owner, group = row.pop("owner"), row.pop("group")
    assert isinstance(owner, str)
    assert isinstance(group, str)
    assert row == {
        "name": "a b",
        "kind": "file",
        "size": 5,
        "modified": datetime.fromtimestamp(TIME_S, UTC).isoformat(),
        "is_exact": True,
        "mode": 0o640,
    }


def test_an_empty_directory_and_none_at_all(filled: Site, capfd: pytest.CaptureFixture[str]) -> None:
    assert list_(filled.url("sub") + "/") == 0
    assert capfd.readouterr().out == "empty\n"
    assert list_(filled.url("sub"), "--json") == 0
    assert json.loads(capfd.readouterr().out) == []
    assert list_(filled.url("none")) == 1
    assert "550" in capfd.readouterr().err


def test_the_root_is_there_too(filled: Site, capfd: pytest.CaptureFixture[str]) -> None:
    for end in ("", "/", "//"):
        assert list_(f"{filled.url().rpartition('/home-')[0]}{end}") == 0
        assert f"{filled.home.name}/" in capfd.readouterr().out


def test_what_a_server_does_not_tell_is_not_made_up() -> None:
    entry = RemoteEntry("\x1b[2J", "link", 5, TIME_S * 10**9, is_exact=False)
    assert shown(entry) == {
        "mode": "l",
        "owner": None,
        "size": None,
        "modified": "2023-11-14 22:13:20~",
        "name": "\x1b[2J",
    }
    assert row_of(RemoteEntry("x", "file", modified_ns=10**30))["modified"] is None


@pytest.mark.parametrize(
    ("url", "said"), [("http://h/", "is for portside get and put"), ("h", "it starts with one of")]
)
def test_what_cannot_be_meant_is_said_with_status_2(url: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert list_(url) == 2
    assert said in capfd.readouterr().err
