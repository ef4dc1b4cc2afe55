"""Python's ftplib, which asks for sizes while the type is ASCII, and aborts with Telnet's urgent data."""

from __future__ import annotations

import ftplib
import io
import re
import socket
from collections.abc import Iterator

import pytest

from support.client import RESET_ON_CLOSE
from support.ftp import CONTENTS, LARGE, NAME, NAMES, PASSWORD, TEXT, TEXT_ON_THE_WIRE, Site, fetched
from support.waiting import WITHIN_S

# More than the sockets of both ends can hold, so that it is still on its way when somebody loses interest.
ENDLESS_BYTES = 1 << 28


@pytest.fixture(params=["127.0.0.1", "::1"])
def ftp(request: pytest.FixtureRequest, site: Site) -> Iterator[ftplib.FTP]:
    """A client in the site's directory, over IPv4 and IPv6."""
    client = site.ftplib(host=str(request.param))
    yield client
    client.close()


def test_it_lists_names(ftp: ftplib.FTP, site: Site) -> None:
    site.put_names()
    assert sorted(ftp.nlst()) == sorted(NAMES)


def test_it_lists_as_ls_does(ftp: ftplib.FTP, site: Site) -> None:
    site.put_names()
    lines: list[str] = []
    ftp.dir(lines.append)
    assert sorted(line.split(maxsplit=8)[8] for line in lines) == sorted(NAMES)


def test_it_lists_facts(ftp: ftplib.FTP, site: Site) -> None:
    site.put("file", LARGE)
    (site.home / "below").mkdir()
    facts = dict(ftp.mlsd(facts=["type", "size", "modify", "perm"]))
    assert facts["file"]["type"] == "file"
    assert facts["file"]["size"] == str(len(LARGE))
    assert re.fullmatch(r"\d{14}(\.\d+)?", facts["file"]["modify"])
    assert set("r") <= set(facts["file"]["perm"])
    assert facts["below"]["type"] == "dir"


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_both_ways(ftp: ftplib.FTP, site: Site, name: str) -> None:
    ftp.storbinary(f"STOR {name}", io.BytesIO(name.encode()))
    assert site.contents() == {name: name.encode()}
    assert fetched(ftp, name) == name.encode()


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_both_ways(ftp: ftplib.FTP, site: Site, size: str, passive: bool) -> None:
    ftp.set_pasv(passive)
    assert ftp.storbinary("STOR file", io.BytesIO(CONTENTS[size])).startswith("226 ")
    assert site.contents() == {"file": CONTENTS[size]}
    assert ftp.size("file") == len(CONTENTS[size])
    assert fetched(ftp, "file") == CONTENTS[size]


def test_a_download_is_resumed(ftp: ftplib.FTP, site: Site) -> None:
    site.put("file", LARGE)
    assert fetched(ftp, "file", rest=1_234_567) == LARGE[1_234_567:]
    assert fetched(ftp, "file") == LARGE  # REST holds for the next command alone


def test_an_upload_is_resumed(ftp: ftplib.FTP, site: Site) -> None:
    site.put("file", LARGE[:1_234_567])
    ftp.storbinary("STOR file", io.BytesIO(LARGE[1_234_567:]), rest=1_234_567)
    assert site.contents() == {"file": LARGE}


def test_an_upload_is_appended(ftp: ftplib.FTP, site: Site) -> None:
    for part in (b"first ", b"second"):
        ftp.storbinary("APPE file", io.BytesIO(part))
    assert site.contents() == {"file": b"first second"}


def test_an_upload_replaces_what_was_longer(ftp: ftplib.FTP, site: Site) -> None:
    site.put("file", LARGE)
    ftp.storbinary("STOR file", io.BytesIO(b"short"))
    assert site.contents() == {"file": b"short"}


def test_the_server_finds_a_name(ftp: ftplib.FTP, site: Site) -> None:
    names = set()
    for content in (b"one", b"two"):
        connection = ftp.transfercmd("STOU")
        connection.sendall(content)
        connection.close()
        ftp.voidresp()
        names |= set(site.contents())
    assert len(names) == 2
    assert sorted(site.contents().values()) == [b"one", b"two"]


def test_lines_end_as_each_side_ends_them(ftp: ftplib.FTP, site: Site) -> None:
    ftp.storlines("STOR file", io.BytesIO(b"one\ntwo\n"))
    assert site.contents() == {"file": b"one\ntwo\n"}
    lines: list[str] = []
    ftp.retrlines("RETR file", lines.append)
    assert lines == ["one", "two"]
    ftp.voidcmd("TYPE A")
    site.put("text", TEXT)
    with ftp.transfercmd("RETR text") as connection:
        assert connection.makefile("rb").read() == TEXT_ON_THE_WIRE
    ftp.voidresp()


def test_it_renames_deletes_and_makes_directories(ftp: ftplib.FTP, site: Site) -> None:
    site.put("old")
    site.put("gone")
    ftp.rename("old", "new name")
    ftp.delete("gone")
    assert ftp.mkd('a "b"') == f'/{site.home.name}/a "b"'  # RFC 959, appendix II: a quote is doubled, and undone
    assert ftp.mkd("made").endswith("/made")
    ftp.rmd('a "b"')
    assert sorted(path.name for path in site.home.iterdir()) == ["made", "new name"]


def test_it_walks_about(ftp: ftplib.FTP, site: Site) -> None:
    (site.home / "below").mkdir()
    ftp.cwd("below")
    assert ftp.pwd() == f"/{site.home.name}/below"
    ftp.cwd("..")
    assert ftp.pwd() == f"/{site.home.name}"
    for _ in range(3):
        ftp.voidcmd("CDUP")
        assert ftp.pwd() == "/"


def test_a_download_is_aborted(ftp: ftplib.FTP, site: Site) -> None:
    with site.put("endless", b"").open("r+b") as file:
        file.truncate(ENDLESS_BYTES)
    with ftp.transfercmd("RETR endless") as connection:
        assert connection.recv(1_000)
        assert ftp.abort().startswith("426")
    ftp.voidresp()
    site.put("file", LARGE)
    assert fetched(ftp, "file") == LARGE


def test_an_aborted_upload_leaves_the_old_file(ftp: ftplib.FTP, site: Site) -> None:
    site.put("file", b"old")
    with ftp.transfercmd("STOR file") as connection:
        connection.sendall(LARGE)
        assert ftp.abort().startswith("426")
    ftp.voidresp()
    assert site.contents() == {"file": b"old"}
    ftp.storbinary("STOR file", io.BytesIO(b"new"))
    assert site.contents() == {"file": b"new"}


def test_nothing_is_aborted(ftp: ftplib.FTP) -> None:
    assert ftp.abort().startswith("22")
    assert ftp.voidcmd("NOOP").startswith("200")


def test_a_download_that_nobody_wants_any_more(ftp: ftplib.FTP, site: Site) -> None:
    with site.put("endless", b"").open("r+b") as file:
        file.truncate(ENDLESS_BYTES)
    with ftp.transfercmd("RETR endless") as connection:
        assert connection.recv(1_000)
    with pytest.raises(ftplib.error_temp, match=r"^4\d\d "):
        ftp.voidresp()
    assert ftp.voidcmd("NOOP").startswith("200")


def test_a_reset_upload_leaves_the_old_file(ftp: ftplib.FTP, site: Site) -> None:
    site.put("file", b"old")
    with ftp.transfercmd("STOR file") as connection:
        connection.sendall(LARGE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    with pytest.raises(ftplib.error_temp, match=r"^4\d\d "):
        ftp.voidresp()
    assert site.contents() == {"file": b"old"}


def test_many_files_over_one_connection(ftp: ftplib.FTP, site: Site) -> None:
    contents = {f"file-{number}": bytes([number]) * number for number in range(50)}
    for name, content in contents.items():
        ftp.storbinary(f"STOR {name}", io.BytesIO(content))
    assert site.contents() == contents
    assert {name: fetched(ftp, name) for name in sorted(ftp.nlst())} == contents


@pytest.mark.parametrize("command", ["CWD", "DELE", "RMD", "SIZE", "MDTM", "RNFR", "MLST", "SITE CHMOD 644"])
def test_what_is_not_there_is_said_so(ftp: ftplib.FTP, command: str) -> None:
    with pytest.raises(ftplib.error_perm, match=r"^550 "):
        ftp.voidcmd(f"{command} missing")
    with pytest.raises(ftplib.error_perm, match=r"^550 "):
        fetched(ftp, "missing")
    assert ftp.voidcmd("NOOP").startswith("200")


@pytest.mark.parametrize("login", [(NAME, "wrong"), ("nobody", PASSWORD), ("anonymous", "me@here")])
def test_a_wrong_login_is_refused(own_site: Site, login: tuple[str, str]) -> None:
    with ftplib.FTP(timeout=WITHIN_S) as ftp:
        ftp.connect("127.0.0.1", own_site.port)
        with pytest.raises(ftplib.error_perm, match=r"^530 "):
            ftp.login(*login)
        with pytest.raises(ftplib.error_perm, match=r"^530 "):
            ftp.pwd()
        assert ftp.login(NAME, PASSWORD).startswith("230")


@pytest.mark.parametrize("name", ["anonymous", "ftp"])
def test_anybody_may_read_and_nobody_write(public: Site, name: str) -> None:
    public.put("file", LARGE)
    with public.ftplib(login=(name, "me@here")) as ftp:
        assert ftp.nlst() == ["file"]
        assert fetched(ftp, "file") == LARGE
        for command in ("STOR new", "STOR file", "APPE file", "STOU"):
            with pytest.raises(ftplib.error_perm, match=r"^5[35]\d "):
                ftp.storbinary(command, io.BytesIO(b"x"))
        for command in ("DELE file", "RNFR file", "MKD made", "SITE CHMOD 600 file", "MFMT 20010909014640 file"):
            with pytest.raises(ftplib.error_perm, match=r"^5[35]\d "):
                ftp.voidcmd(command)
    assert public.contents() == {"file": LARGE}
