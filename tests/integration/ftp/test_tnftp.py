"""tnftp, the ftp command of the BSDs: a script of commands on its input, or one transfer from its command line."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from support.ftp import CONTENTS, LARGE, NAME, NAMES, PASSWORD, TEXT, TEXT_ON_THE_WIRE, Desk, Site

# Runs commands in a session that is logged in and in the site's directory, and returns all that was said.
Tnftp = Callable[..., str]

FAILED = 1

# How a data connection comes about: the address, the option, and the reply that says so.
WAYS = {
    "EPSV": ("127.0.0.1", "-p", "229"),
    "EPSV over IPv6": ("::1", "-p", "229"),
    "PORT": ("127.0.0.1", "-A", "200"),
    "EPRT over IPv6": ("::1", "-A", "200"),
}


@pytest.fixture
def tnftp(desk: Desk) -> Tnftp:
    def run(
        site: Site, *commands: str, host: str = "127.0.0.1", login: str = f"{NAME} {PASSWORD}", option: str = "-p"
    ) -> str:
        script = [f"user {login}", "binary", f"cd {site.home.name}", *commands, "bye", ""]
        return desk("tnftp", "-n", "-v", option, host, site.port, input="\n".join(script).encode()).decode()

    return run


@pytest.fixture
def fetch(desk: Desk) -> Callable[..., bytes]:
    """Fetches a URL to standard output."""

    def run(*arguments: str, status: int = 0) -> bytes:
        return desk("tnftp", "-n", "-V", "-q", "20", "-o", "-", *arguments, status=status)

    return run


def between(said: str, first: str, last: str) -> list[str]:
    """Return the lines after the reply that begins with ``first``, up to the next that begins with ``last``."""
    found = re.search(rf"(?ms)^{first} [^\n]*\n(.*?)^{last} ", said)
    assert found is not None, said
    return found[1].splitlines()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_lists_names(tnftp: Tnftp, site: Site, host: str) -> None:
    site.put_names()
    assert sorted(between(tnftp(site, "nlist", host=host), "1[25][05]", "226")) == sorted(NAMES)


def test_it_lists_as_ls_does(tnftp: Tnftp, site: Site) -> None:
    site.put_names()
    lines = between(tnftp(site, "dir"), "1[25][05]", "226")
    assert sorted(line.split(maxsplit=8)[8] for line in lines) == sorted(NAMES)


def test_it_lists_for_machines(tnftp: Tnftp, site: Site) -> None:
    site.put("file", LARGE)
    (site.home / "below").mkdir()
    lines = between(tnftp(site, "mlsd"), "1[25][05]", "226")
    facts = {name: facts.lower() for facts, _, name in (line.partition("; ") for line in lines)}
    assert "type=file" in facts["file"]
    assert f"size={len(LARGE)}" in facts["file"]
    assert "type=dir" in facts["below"]


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_both_ways(tnftp: Tnftp, site: Site, desk: Desk, name: str) -> None:
    desk.put("up", name.encode())
    tnftp(site, f'put up "{name}"', f'get "{name}" down')
    assert site.contents() == {name: name.encode()}
    assert desk.read("down") == name.encode()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_both_ways(tnftp: Tnftp, site: Site, desk: Desk, size: str, way: str) -> None:
    desk.put("up", CONTENTS[size])
    host, option, reply = WAYS[way]
    said = tnftp(site, "put up file", "get file down", host=host, option=option)
    assert len(re.findall(rf"(?m)^{reply} ", said)) >= 2, said
    assert site.contents() == {"file": CONTENTS[size]}, said
    assert desk.read("down") == CONTENTS[size]


def test_several_files_at_once(tnftp: Tnftp, site: Site, desk: Desk) -> None:
    contents = {f"file-{number}": bytes([number]) for number in range(5)}
    for name, content in contents.items():
        desk.put(name, content)
    tnftp(site, "prompt", "mput file-*")
    assert site.contents() == contents
    for name in contents:
        (desk.directory / name).unlink()
    tnftp(site, "prompt", "mget file-*", "mdelete file-3")
    assert {name: desk.read(name) for name in contents} == contents
    assert site.contents() == {name: content for name, content in contents.items() if name != "file-3"}


def test_a_download_is_resumed(tnftp: Tnftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE)
    desk.put("file", LARGE[:1_234_567])
    tnftp(site, "reget file")
    assert desk.read("file") == LARGE


def test_an_upload_is_resumed(tnftp: Tnftp, site: Site, desk: Desk) -> None:
    site.put("file", LARGE[:1_234_567])
    desk.put("file", LARGE)
    tnftp(site, "restart 1234567", "put file")
    assert site.contents() == {"file": LARGE}


def test_an_upload_is_appended(tnftp: Tnftp, site: Site, desk: Desk) -> None:
    site.put("file", b"first ")
    desk.put("up", b"second")
    tnftp(site, "append up file")
    assert site.contents() == {"file": b"first second"}


def test_lines_end_as_each_side_ends_them(tnftp: Tnftp, site: Site, desk: Desk) -> None:
    desk.put("up", TEXT)
    said = tnftp(site, "ascii", "put up file", "get file down")
    assert f"{len(TEXT_ON_THE_WIRE)} bytes sent" in said
    assert site.contents() == {"file": TEXT}
    assert desk.read("down") == TEXT


def test_it_renames_deletes_and_makes_directories(tnftp: Tnftp, site: Site) -> None:
    site.put("old")
    site.put("gone")
    (site.home / "gone-too").mkdir()
    tnftp(site, 'rename old "new name"', "delete gone", "rmdir gone-too", "mkdir made", 'chmod 600 "new name"')
    assert sorted(path.name for path in site.home.iterdir()) == ["made", "new name"]
    assert (site.home / "new name").stat().st_mode & 0o777 == 0o600


def test_it_asks_for_size_time_and_help(tnftp: Tnftp, site: Site) -> None:
    site.put("file", LARGE)
    said = tnftp(site, "size file", "modtime file", "rstatus", "rhelp", "system", "features", "pwd", "rstatus file")
    assert f"file\t{len(LARGE)}\n" in said
    assert re.search(r"(?m)^file\t\w{3}, \d\d \w{3} \d{4} ", said)
    assert "Remote system type is UNIX" in said
    assert not re.search(r"(?m)^5\d\d ", said), said


def test_what_is_not_there_is_said_so(tnftp: Tnftp, site: Site) -> None:
    said = tnftp(site, "get missing", "cd missing", "delete missing", "rename missing other")
    assert len(re.findall(r"(?m)^550 ", said)) == 4, said


def test_a_wrong_password_is_refused(tnftp: Tnftp, own_site: Site) -> None:
    said = tnftp(own_site, login=f"{NAME} wrong")
    assert re.search(r"(?m)^530 ", said), said
    assert "Login failed" in said


def test_anybody_may_read_and_nobody_write(tnftp: Tnftp, public: Site, desk: Desk) -> None:
    public.put("file", LARGE)
    desk.put("up", b"x")
    said = tnftp(public, "get file down", "put up", "put up file", "delete file", "mkdir made", login="ftp me@here")
    assert desk.read("down") == LARGE
    assert len(re.findall(r"(?m)^5[35]\d ", said)) == 4, said
    assert public.contents() == {"file": LARGE}


# ── one transfer, from the command line ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_url_is_fetched(fetch: Callable[..., bytes], site: Site, host: str) -> None:
    site.put("with space", LARGE)
    assert fetch(site.url("with space", host=host)) == LARGE


def test_a_url_is_fetched_as_text(fetch: Callable[..., bytes], site: Site) -> None:
    site.put("file", TEXT)
    assert fetch(f"{site.url('file')};type=a") == TEXT


def test_a_file_is_sent_to_a_url(site: Site, desk: Desk) -> None:
    desk("tnftp", "-n", "-V", "-u", site.url("file"), desk.put("up", LARGE))
    assert site.contents() == {"file": LARGE}


def test_a_url_with_a_wrong_password_is_refused(fetch: Callable[..., bytes], own_site: Site) -> None:
    own_site.put("file")
    fetch(own_site.url("file", login="anna:wrong@"), status=FAILED)


def test_a_url_without_a_login_is_anybody_s(fetch: Callable[..., bytes], public: Site) -> None:
    public.put("file", LARGE)
    assert fetch(public.url("file", login="")) == LARGE
