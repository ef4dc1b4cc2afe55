"""``portside put``: files to a real server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from portside.cli.main import main
from support.certificates import Certificates
from support.ftp import LARGE, NAMES, Site
from support.server import portside as run_portside


def put(*arguments: str | Path) -> int:
    return main(["put", *map(str, arguments)])


def test_a_file_goes_under_its_own_name_or_another(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "x").write_bytes(LARGE)
    os.utime(here / "x", (0, 1_700_000_000))
    assert put("x", site.url()) == 0
    assert put(here / "x", site.url("other")) == 0
    assert site.contents() == {"x": LARGE, "other": LARGE}
    assert (site.home / "x").stat().st_mtime == 1_700_000_000
    assert capfd.readouterr() == ("", "")


def test_several_files_go_at_once_into_a_directory(site: Site, here: Path) -> None:
    for name in NAMES:
        (here / name).write_bytes(name.encode())
    assert put(*(f"./{name}" for name in NAMES), site.url(), "--parallel", "3") == 0
    assert site.contents() == {name: name.encode() for name in NAMES}


def test_standard_input_is_a_file_too(site: Site) -> None:
    done = run_portside("put", "-", site.url("x"), input="content")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert site.contents() == {"x": b"content"}


def test_checksums_are_compared_and_told(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "x").write_bytes(b"content")
    assert put("x", "none", site.url(), "--json", "--verify") == 1
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (first["source"], first["target"]) == ("x", site.url("x", login="anna@"))
    assert (first["bytes"], first["algorithm"], first["error"]) == (7, "SHA-256", None)
    assert (second["bytes"], second["error"]) == (None, "none: No such file or directory")


def test_an_upload_is_gone_on_with(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "x").write_bytes(LARGE)
    site.put("x", LARGE[:1_000_000])
    assert put("x", site.url(), "-c", "--json", "--verify") == 0
    row = json.loads(capfd.readouterr().out)
    assert (row["offset"], row["bytes"]) == (1_000_000, len(LARGE) - 1_000_000)
    assert site.contents() == {"x": LARGE}
    assert put("x", site.url(), "-c", "--json") == 0
    assert json.loads(capfd.readouterr().out)["bytes"] == 0


def test_over_tls(site: Site, here: Path, certificates: Certificates) -> None:
    (here / "x").write_bytes(LARGE)
    assert put("x", site.tls_url(), "--tls-ca", certificates.ca) == 0
    assert put("x", site.url("y", host="localhost"), "--tls", "--tls-ca", certificates.ca, "--active") == 0
    assert site.contents() == {"x": LARGE, "y": LARGE}


def test_a_server_that_refuses_is_one_sentence(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "x").write_bytes(b"content")
    assert put("x", site.url("none/x")) == 1
    said = capfd.readouterr().err
    assert said.startswith("portside: x: the server refuses STOR ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x",), "missing argument"),
        (("x", "y"), "it starts with one of"),
        (("ftp://host/x", "ftp://host/"), "ftp:// is not here"),
        (("x", "y", "ftp://host/z"), "several files need a directory to go to: ftp://host/z/"),
        (("d/x", "x", "ftp://host/"), "both become ftp://host/x"),
        (("..", "ftp://host/"), "is no file"),
        (("-", "ftp://host/"), "standard input has no name"),
        (("-", "x", "ftp://host/"), "standard input is one file"),
        (("-", "ftp://host/x", "--verify"), "standard input is one file"),
    ],
)
def test_what_cannot_be_meant_is_said_with_status_2(
    here: Path, arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert put(*arguments) == 2
    assert said in capfd.readouterr().err
