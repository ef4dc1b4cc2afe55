"""``portside mirror``: a tree made like the one on the other side, with a real server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from portside.cli.main import main
from support.certificates import Certificates
from support.ftp import NAMES, Site
from support.ftp_servers import vsftpd

OLD_S, NEW_S = 1_600_000_000, 1_700_000_000
TREE = {"a": b"a", "d/b": b"bb", "d/e/c": b"ccc", **{f"odd/{name}": name.encode() for name in NAMES}}


def mirror(*arguments: str | Path) -> int:
    return main(["mirror", *map(str, arguments)])


def make(root: Path, files: dict[str, bytes], time_s: float = OLD_S) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (time_s, time_s))


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def directories(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())


def sides(site: Site, here: Path, direction: str) -> tuple[Path, Path, tuple[str, str]]:
    """Return the directories of source and target, and what to call them on the command line."""
    if direction == "down":
        return site.home, here / "m", (site.url(), "m")
    return here / "m", site.home, ("m", site.url())


BOTH_WAYS = pytest.mark.parametrize("direction", ["down", "up"])


@BOTH_WAYS
def test_a_tree_is_made_and_made_again_without_a_byte(
    site: Site, here: Path, direction: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target, words = sides(site, here, direction)
    make(source, TREE)
    (source / "empty").mkdir()
    assert mirror(*words, "--parallel", "3") == 0
    assert tree(target) == TREE
    assert directories(target) == ["d", "d/e", "empty", "odd"]
    assert (target / "d/e/c").stat().st_mtime == OLD_S
    assert capfd.readouterr() == ("", "")
    assert mirror(*words, "--delete", "--json") == 0
    assert capfd.readouterr() == ("", "")


@BOTH_WAYS
def test_only_what_is_new_larger_or_newer_is_carried(
    site: Site, here: Path, direction: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target, words = sides(site, here, direction)
    make(target, {"same": b"1", "newer": b"1", "older": b"keep", "larger": b"1"})
    make(source, {"same": b"2", "larger": b"12", "new": b"1"})
    make(source, {"newer": b"2"}, NEW_S)
    make(source, {"older": b"lost"}, OLD_S - 1)
    assert mirror(*words, "--dry-run") == 0
    assert sorted(capfd.readouterr().out.splitlines()) == [
        "copy larger (size, 2 B)",
        "copy new (new, 1 B)",
        "copy newer (newer, 1 B)",
    ]
    assert tree(target)["newer"] == b"1"
    assert mirror(*words) == 0
    assert tree(target) == {"same": b"1", "newer": b"2", "older": b"keep", "larger": b"12", "new": b"1"}


@BOTH_WAYS
def test_what_the_source_does_not_have_goes_only_on_demand(
    site: Site, here: Path, direction: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target, words = sides(site, here, direction)
    make(source, {"a": b"a", "kind": b"file"})
    make(target, {"a": b"a", "old": b"1", "d/e/f": b"1", "kind/x": b"1"})
    assert mirror(*words) == 1  # a directory stands in a file's way
    assert "--delete would replace it" in capfd.readouterr().err
    assert mirror(*words, "--delete", "--json") == 0
    assert tree(target) == {"a": b"a", "kind": b"file"}
    assert directories(target) == []
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(row["action"], row["path"], row["error"]) for row in rows] == [
        ("delete", "kind/x", None),
        ("remove_directory", "kind", None),
        ("copy", "kind", None),
        ("delete", "d/e/f", None),
        ("remove_directory", "d/e", None),
        ("remove_directory", "d", None),
        ("delete", "old", None),
    ]


def test_links_of_this_machine_are_neither_followed_nor_written_through(
    site: Site, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(here, {"secret/key": b"mine", "m/a": b"a"})
    (here / "m" / "link").symlink_to(here / "secret")
    assert mirror("m", site.url()) == 0
    assert tree(site.home) == {"a": b"a"}
    assert capfd.readouterr().err == "link: left out, it is a link\n"
    make(site.home, {"link/key": b"theirs"})
    assert mirror(site.url(), "m") == 1
    assert tree(here / "secret") == {"key": b"mine"}
    assert mirror(site.url(), "m", "--delete") == 0
    assert tree(here / "secret") == {"key": b"mine"}
    assert tree(here / "m") == {"a": b"a", "link/key": b"theirs"}


def test_nothing_is_deleted_where_something_could_not_be_brought(
    site: Site, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(site.home, {"a": b"a"})
    make(here / "m", {"old": b"1"})
    (here / "m" / "a.part").mkdir()  # in the way of the download
    assert mirror(site.url(), "m", "--delete") == 1
    assert "nothing was deleted, because not everything was brought over" in capfd.readouterr().err
    assert tree(here / "m") == {"old": b"1"}


def test_what_was_interrupted_is_gone_on_with(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make(site.home, {"x": b"0123456789"})
    make(here / "m", {"x.part": b"0123"}, NEW_S)
    assert mirror(site.url(), "m", "--resume", "--delete", "--json") == 0
    (row,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (row["action"], row["path"], row["why"]) == ("copy", "x", "new")
    assert (row["size"], row["offset"], row["bytes"]) == (10, 4, 6)
    assert tree(here / "m") == {"x": b"0123456789"}


def test_directories_above_the_target_are_made(site: Site, here: Path) -> None:
    make(here / "m", {"a": b"a"})
    assert mirror("m", site.url("x/y/z")) == 0
    assert tree(site.home) == {"x/y/z/a": b"a"}
    assert mirror(site.url("x"), "p/q/r") == 0
    assert tree(here / "p") == {"q/r/y/z/a": b"a"}


def test_over_tls_with_checksums(
    site: Site, here: Path, certificates: Certificates, capfd: pytest.CaptureFixture[str]
) -> None:
    make(here / "m", TREE)
    assert mirror("m", site.tls_url(), "--tls-ca", certificates.ca, "--verify", "--json", "--active") == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {row["algorithm"] for row in rows if row["action"] == "copy"} == {"SHA-256"}
    assert tree(site.home) == TREE


def test_a_server_that_only_lists_for_people_is_asked_for_the_times_that_decide(
    tmp_path: Path, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with vsftpd(tmp_path) as server:
        make(server.root, TREE)
        assert mirror(server.url, "m") == 0
        assert tree(here / "m") == TREE
        assert (here / "m" / "d/e/c").stat().st_mtime == OLD_S
        assert mirror(server.url, "m", "--delete", "--dry-run") == 0
        assert capfd.readouterr() == ("", "")
        make(server.root, {"a": b"A"}, OLD_S + 2)  # to people this is the same minute
        assert mirror(server.url, "m", "--dry-run") == 0
        assert capfd.readouterr().out == "copy a (newer, 1 B)\n"
        make(here / "m", {"new": b"1"}, OLD_S)
        assert mirror("m", server.url) == 0
        assert mirror("m", server.url, "--dry-run") == 0  # whose times are later there, and so no newer here
        assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b"), "one of SOURCE and TARGET is the URL"),
        (("ftp://h/a", "ftp://h/b"), "one of SOURCE and TARGET is the URL"),
        (("none", "ftp://{host}/"), "there is no directory none"),
        (("https://h/a", "b"), "https:// is for portside get and put"),
        (("a",), "missing argument"),
    ],
)
def test_what_cannot_be_meant_is_said_with_status_2(
    site: Site, here: Path, words: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    host = f"anna:secret@localhost:{site.port}"
    assert mirror(*(word.replace("{host}", host) for word in words)) == 2
    assert said in capfd.readouterr().err


def test_a_directory_that_is_not_there(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert mirror(site.url("none"), "m") == 2
    assert "there is no directory ftp://anna@" in capfd.readouterr().err
    site.put("file")
    assert mirror(site.url("file"), "m") == 2
    assert "is no directory" in capfd.readouterr().err
    assert not (here / "m").exists()
