"""Python's ftplib over TLS: begun by AUTH or from the first byte, for the data too or for the login alone."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Certificates
from support.client import read_exactly
from support.ftp import CONTENTS, LARGE, LOGIN, NAME, PASSWORD, Site, fetched
from support.server import Server
from support.waiting import WITHIN_S


class Implicit(ftplib.FTP_TLS):
    """A client that begins with TLS, which ftplib's own does not."""

    def connect(self, host: str = "", port: int = 0, *_: Any) -> str:
        plain = socket.create_connection((host, port), WITHIN_S)
        self.host, self.af = host, plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome


class Resuming(ftplib.FTP_TLS):
    """A client whose data connections resume the TLS session of its control connection, which ftplib's own do not."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        plain, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self.context.wrap_socket(plain, server_hostname=self.host, session=self.sock.session), size


def connected(
    client: type[ftplib.FTP_TLS], context: ssl.SSLContext, port: int, directory: str, *, host: str = "127.0.0.1"
) -> ftplib.FTP_TLS:
    """Return a client that is logged in and hides its data."""
    ftp = client(context=context, timeout=WITHIN_S)
    try:
        ftp.connect(host, port)
        ftp.login(NAME, PASSWORD)
        ftp.prot_p()
        ftp.cwd(directory)
    except (OSError, ftplib.Error):
        ftp.close()
        raise
    return ftp


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def context(request: pytest.FixtureRequest, certificates: Certificates) -> ssl.SSLContext:
    """What speaks one version of TLS, and only with whom our authority knows."""
    made = certificates.client_context()
    made.minimum_version = made.maximum_version = ssl.TLSVersion[request.param]
    return made


@pytest.fixture(params=["explicit", "explicit over IPv6", "implicit"])
def ftps(request: pytest.FixtureRequest, site: Site, context: ssl.SSLContext) -> Iterator[ftplib.FTP_TLS]:
    """A client that is in the site's directory."""
    if request.param == "implicit":
        client = connected(Implicit, context, site.tls_port, site.home.name)
    else:
        host = "::1" if "IPv6" in request.param else "127.0.0.1"
        client = connected(ftplib.FTP_TLS, context, site.port, site.home.name, host=host)
    yield client
    client.close()


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
@pytest.mark.parametrize("size", CONTENTS)
def test_bytes_survive_both_ways(ftps: ftplib.FTP_TLS, site: Site, size: str, passive: bool) -> None:
    ftps.set_pasv(passive)
    assert ftps.storbinary("STOR file", io.BytesIO(CONTENTS[size])).startswith("226 ")
    assert site.contents() == {"file": CONTENTS[size]}
    assert fetched(ftps, "file") == CONTENTS[size]
    assert ftps.nlst() == ["file"]


def test_uploads_and_downloads_are_resumed(ftps: ftplib.FTP_TLS, site: Site) -> None:
    site.put("file", LARGE[:1_234_567])
    ftps.storbinary("STOR file", io.BytesIO(LARGE[1_234_567:]), rest=1_234_567)
    assert site.contents() == {"file": LARGE}
    assert fetched(ftps, "file", rest=1_234_567) == LARGE[1_234_567:]


def test_many_files_over_one_connection(ftps: ftplib.FTP_TLS, site: Site) -> None:
    contents = {f"file-{number}": bytes([number]) * number for number in range(20)}
    for name, content in contents.items():
        ftps.storbinary(f"STOR {name}", io.BytesIO(content))
    assert site.contents() == contents
    assert {name: fetched(ftps, name) for name in sorted(ftps.nlst())} == contents


def test_an_upload_whose_end_is_not_said_is_torn(ftps: ftplib.FTP_TLS, site: Site) -> None:
    """An end of stream that TLS does not vouch for may be anybody's (RFC 8446, 6.1), so the old file stays."""
    site.put("file", b"old")
    connection = ftps.transfercmd("STOR file")
    connection.sendall(b"half of the new")
    connection.close()  # no close_notify
    with pytest.raises(ftplib.error_temp, match=r"^4\d\d "):
        ftps.voidresp()
    assert site.contents() == {"file": b"old"}
    assert ftps.voidcmd("NOOP").startswith("200")


@pytest.mark.parametrize("size_bytes", [0, 12_000])
def test_who_knows_the_size_need_not_wait_for_the_end(ftps: ftplib.FTP_TLS, site: Site, size_bytes: int) -> None:
    """curl and lftp close as soon as everything has come, and TLS's own end meets nobody."""
    site.put("file", LARGE[:size_bytes])
    ftps.voidcmd("TYPE I")
    for _ in range(10):
        connection = ftps.transfercmd("RETR file")
        assert read_exactly(connection, size_bytes) == LARGE[:size_bytes]
        connection.close()
        assert ftps.voidresp().startswith("226")


def test_data_in_clear_where_only_the_login_is_hidden(ftps: ftplib.FTP_TLS, site: Site) -> None:
    ftps.prot_c()
    ftps.storbinary("STOR file", io.BytesIO(LARGE))
    assert fetched(ftps, "file") == LARGE


def test_the_control_connection_is_cleared_after_the_login(site: Site, context: ssl.SSLContext) -> None:
    site.put("file", LARGE)
    with connected(ftplib.FTP_TLS, context, site.port, site.home.name) as ftps:
        assert ftps.ccc().startswith("200")
        assert isinstance(ftps.sock, ssl.SSLSocket)
        assert ftps.sock.version() is None  # what it was is left: a socket
        assert ftps.voidcmd("NOOP").startswith("200")
        assert fetched(ftps, "file") == LARGE  # still hidden: CCC is about the control connection


def test_a_stranger_s_certificate_is_not_trusted(site: Site) -> None:
    with ftplib.FTP_TLS(context=ssl.create_default_context(), timeout=WITHIN_S) as ftps:
        ftps.connect("127.0.0.1", site.port)
        with pytest.raises(ssl.SSLCertVerificationError):
            ftps.login(NAME, PASSWORD)


# ── what the operator may demand ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def demanding(serve: Callable[..., Server], tls_options: tuple[str, ...], tmp_path: Path) -> Callable[..., int]:
    """Starts a server with more options; returns the port of its plain endpoint."""

    def start(*options: str) -> int:
        (tmp_path / "home").mkdir()
        server = serve("serve", "ftp", str(tmp_path), "--listen", "tcp://127.0.0.1:0", *LOGIN, *tls_options, *options)
        return server.port

    return start


def test_data_must_resume_the_session_of_the_control_connection(
    demanding: Callable[..., int], context: ssl.SSLContext
) -> None:
    port = demanding("--tls-session-reuse", "required")
    with connected(Resuming, context, port, "home") as ftps:
        for _ in range(3):
            ftps.storbinary("STOR file", io.BytesIO(LARGE))
            assert fetched(ftps, "file") == LARGE
    with connected(ftplib.FTP_TLS, context, port, "home") as ftps:
        ftps.transfercmd("RETR file").close()
        with pytest.raises(ftplib.error_perm, match=r"^522 "):  # RFC 4217, 10.2
            ftps.voidresp()


@pytest.mark.parametrize("policy", ["login", "data"])
def test_nobody_logs_in_unhidden(demanding: Callable[..., int], context: ssl.SSLContext, policy: str) -> None:
    port = demanding("--tls-policy", policy)
    with ftplib.FTP(timeout=WITHIN_S) as ftp:
        ftp.connect("127.0.0.1", port)
        with pytest.raises(ftplib.error_perm, match=r"^5\d\d "):
            ftp.login(NAME, PASSWORD)
    with connected(ftplib.FTP_TLS, context, port, "home") as ftps:
        ftps.storbinary("STOR file", io.BytesIO(LARGE))
        if policy == "login":
            ftps.prot_c()
            assert fetched(ftps, "file") == LARGE
        else:
            with pytest.raises(ftplib.error_perm, match=r"^5\d\d "):
                fetched_in_clear(ftps)


def fetched_in_clear(ftps: ftplib.FTP_TLS) -> bytes:
    ftps.prot_c()
    return fetched(ftps, "file")


def test_tls_is_switched_off(demanding: Callable[..., int], context: ssl.SSLContext) -> None:
    port = demanding("--tls-policy", "off")
    with pytest.raises(ftplib.error_perm, match=r"^5\d\d "):
        connected(ftplib.FTP_TLS, context, port, "home")
