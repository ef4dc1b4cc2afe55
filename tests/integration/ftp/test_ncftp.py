"""ncftp's four programs, which ask what SITE can, say who they are, and set the times of what they carry."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.ftp import CONTENTS, LARGE, NAME, NAMES, PASSWORD, TEXT, Desk, Site

# Runs one of the programs with options in front of its own arguments, and returns its output.
Ncftp = Callable[..., bytes]

# ncftpget(1), DIAGNOSTICS
COULD_NOT_CONNECT, TRANSFER_FAILED = 1, 3

# The programs know no IPv6 and no TLS.
HOST = "127.0.0.1"


@pytest.fixture
def ncftp(desk: Desk) -> Ncftp:
    def run(
        program: str, site: Site, *arguments: str, login: str = f"-u {NAME} -p {PASSWORD}", status: int = 0,
        input: bytes = b"",
    ) -> bytes:  # fmt: skip
        quiet = () if program in {"ncftp", "ncftpls"} else ("-V", "-t", "20", "-r", "0")
        return desk(program, *login.split(), "-P", site.port, *quiet, *arguments, status=status, input=input)

    return run


def url(site: Site) -> str:
    return f"ftp://{HOST}/{site.path()}"


def test_it_lists_names(ncftp: Ncftp, site: Site) -> None:
    site.put_names()
    assert sorted(ncftp("ncftpls", site, "-1", url(site)).decode().splitlines()) == sorted(NAMES)


def test_it_lists_in_columns(ncftp: Ncftp, site: Site) -> None:
    site.put("file")
    (site.home / "below").mkdir()
    # It says NLST -CF, as if names in columns were names; a server need not mark directories for it.
    shown = ncftp("ncftpls", site, "-C", url(site)).decode().split()
    assert sorted(name.rstrip("/") for name in shown) == ["below", "file"]


def test_it_lists_as_ls_does(ncftp: Ncftp, site: Site) -> None:
    site.put_names()
    lines = ncftp("ncftpls", site, "-l", url(site)).decode().splitlines()
    assert sorted(line.split(maxsplit=8)[8] for line in lines) == sorted(NAMES)


def test_it_lists_for_machines(ncftp: Ncftp, site: Site) -> None:
    site.put_names()
    lines = ncftp("ncftpls", site, "-m", url(site)).decode().splitlines()
    assert sorted(line.partition("; ")[2] for line in lines if "type=file;" in line.lower()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_both_ways(ncftp: Ncftp, site: Site, desk: Desk, name: str) -> None:
    ncftp("ncftpput", site, HOST, site.home.name, f"./{desk.put(name, name.encode())}")
    assert site.contents() == {name: name.encode()}
    ncftp("ncftpget", site, "-C", HOST, f"{site.home.name}/{name}", "down")
    assert desk.read("down") == name.encode()


@pytest.mark.parametrize("data", ["-F", "-E"], ids=["passive", "active"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_both_ways(ncftp: Ncftp, site: Site, desk: Desk, size: str, data: str) -> None:
    ncftp("ncftpput", site, data, "-C", HOST, desk.put("up", CONTENTS[size]), f"{site.home.name}/file")
    assert site.contents() == {"file": CONTENTS[size]}
    ncftp("ncftpget", site, data, "-C", HOST, f"{site.home.name}/file", "down")
    assert desk.read("down") == CONTENTS[size]


def test_a_stream_is_stored_and_shown(ncftp: Ncftp, site: Site) -> None:
    ncftp("ncftpput", site, "-c", HOST, f"{site.home.name}/file", input=LARGE)
    assert site.contents() == {"file": LARGE}
    assert ncftp("ncftpget", site, "-c", HOST, f"{site.home.name}/file") == LARGE


def test_times_are_carried_both_ways(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    os.utime(desk.directory / desk.put("file", b"x"), (1_000_000_000, 1_000_000_000))
    ncftp("ncftpput", site, HOST, site.home.name, "file")
    assert (site.home / "file").stat().st_mtime == 1_000_000_000
    (desk.directory / "file").unlink()
    ncftp("ncftpget", site, HOST, ".", f"{site.home.name}/file")
    assert (desk.directory / "file").stat().st_mtime == 1_000_000_000


def test_a_download_is_resumed(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    # It resumes only what looks older than what is there.
    os.utime(desk.directory / desk.put("file", LARGE[:1_234_567]), (1_000_000_000, 1_000_000_000))
    ncftp("ncftpget", site, "-z", HOST, ".", f"{site.home.name}/file")
    assert desk.read("file") == LARGE


def test_an_upload_is_resumed(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE[:1_234_567])
    # Without -s it says REST, and then sends all from the beginning.
    ncftp("ncftpput", site, "-s", "-z", HOST, site.home.name, desk.put("file", LARGE))
    assert site.contents() == {"file": LARGE}


def test_an_upload_is_appended(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    site.put("file", b"first ")
    ncftp("ncftpput", site, "-A", HOST, site.home.name, desk.put("file", b"second"))
    assert site.contents() == {"file": b"first second"}


def test_an_upload_takes_its_name_when_it_is_whole(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    ncftp("ncftpput", site, "-S", ".part", HOST, site.home.name, desk.put("file", LARGE))
    assert site.contents() == {"file": LARGE}


def test_lines_end_as_each_side_ends_them(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    ncftp("ncftpput", site, "-a", HOST, site.home.name, desk.put("file", TEXT))
    assert site.contents() == {"file": TEXT}
    (desk.directory / "file").unlink()
    ncftp("ncftpget", site, "-a", HOST, ".", f"{site.home.name}/file")
    assert desk.read("file") == TEXT


def test_a_tree_is_carried_both_ways(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    contents = {f"tree/{below}{name}": name.encode() for below in ("", "below/", "a b/c/") for name in NAMES}
    for name, content in contents.items():
        (desk.directory / name).parent.mkdir(parents=True, exist_ok=True)
        desk.put(name, content)
    ncftp("ncftpput", site, "-R", HOST, site.home.name, "tree")
    assert {name: (site.home / name).read_bytes() for name in contents} == contents
    (desk.directory / "back").mkdir()
    ncftp("ncftpget", site, "-R", HOST, "back", f"{site.home.name}/tree")
    assert {name: desk.read(f"back/{name}") for name in contents} == contents


def test_it_makes_the_directory_first(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    ncftp("ncftpput", site, "-m", HOST, f"{site.home.name}/made", desk.put("file", b"x"))
    assert (site.home / "made" / "file").read_bytes() == b"x"


def test_a_fetched_file_is_deleted(ncftp: Ncftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    ncftp("ncftpget", site, "-DD", HOST, ".", f"{site.home.name}/file")
    assert desk.read("file") == LARGE
    assert site.contents() == {}


def test_the_interactive_one_renames_deletes_and_makes_directories(ncftp: Ncftp, site: Site) -> None:
    site.put("old")
    site.put("gone")
    (site.home / "gone-too").mkdir()
    commands = ["rename old 'new name'", "rm gone", "rmdir gone-too", "mkdir made", "chmod 600 'new name'", "quit"]
    ncftp("ncftp", site, HOST, input="\n".join([f"cd {site.home.name}", *commands, ""]).encode())
    assert sorted(path.name for path in site.home.iterdir()) == ["made", "new name"]
    assert (site.home / "new name").stat().st_mode & 0o777 == 0o600


def test_what_is_not_there_is_said_so(ncftp: Ncftp, site: Site) -> None:
    ncftp("ncftpget", site, "-C", HOST, f"{site.home.name}/missing", "down", status=TRANSFER_FAILED)


def test_a_wrong_password_is_refused(ncftp: Ncftp, own_site: Site) -> None:
    ncftp("ncftpls", own_site, "-1", url(own_site), login=f"-u {NAME} -p wrong", status=COULD_NOT_CONNECT)


def test_anybody_may_read_and_nobody_write(ncftp: Ncftp, public: Site, desk: Desk) -> None:
    public.put("file", LARGE)
    ncftp("ncftpget", public, "-C", HOST, f"{public.home.name}/file", "down", login="")
    assert desk.read("down") == LARGE
    ncftp("ncftpput", public, HOST, public.home.name, desk.put("new", b"x"), login="", status=TRANSFER_FAILED)
    assert public.contents() == {"file": LARGE}
