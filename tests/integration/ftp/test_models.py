"""The same FTP server under all six models: each holds a control connection, and a data connection beside it."""

from __future__ import annotations

import contextlib
import ftplib
import io
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.ftp import LARGE, LOGIN, NAME, PASSWORD, Desk, Site, fetched
from support.server import Server
from support.waiting import WITHIN_S

CONCURRENT = ("fork", "prefork", "thread", "prethread", "event", "event on asyncio")
SESSIONS = 4  # at once
ENDLESS_BYTES = 1 << 28  # more than the sockets of both ends can hold
WITHOUT_UVLOOP = Path(__file__).parents[2] / "support" / "without_uvloop"

Start = Callable[..., Site]


@pytest.fixture
def start(battery: Callable[..., Server], tls_options: tuple[str, ...], desk: Desk) -> Start:
    """Starts a server under a model, with a home of its own."""

    def run(model: str) -> Site:
        home = desk.directory / "root" / "home"
        home.mkdir(parents=True)
        name, _, loop = model.partition(" on ")
        without = {"env": {"PYTHONPATH": str(WITHOUT_UVLOOP)}} if loop else {}
        pool = ("--pool", str(SESSIONS)) if name.startswith("pre") else ()
        arguments = (str(home.parent), "--model", name, *pool, *LOGIN, *tls_options)
        return Site(battery("ftp", *arguments, listen=["tcp://127.0.0.1:0", "tls://127.0.0.1:0"], **without), home)

    return run


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_a_session_does_everything(start: Start, model: str, passive: bool) -> None:
    site = start(model)
    with site.ftplib() as ftp:
        ftp.set_pasv(passive)
        for name, content in {"large": LARGE, "empty": b"", "small": b"x"}.items():
            ftp.storbinary(f"STOR {name}", io.BytesIO(content))
            assert fetched(ftp, name) == content
        assert sorted(ftp.nlst()) == ["empty", "large", "small"]
        assert {name: facts["size"] for name, facts in ftp.mlsd()} == {"large": "5000000", "empty": "0", "small": "1"}
        ftp.mkd("below")
        ftp.rename("small", "below/moved")
        ftp.delete("empty")
        with pytest.raises(ftplib.error_perm, match=r"^550 "):
            ftp.rmd("below")
        ftp.delete("below/moved")
        ftp.rmd("below")
    assert site.contents() == {"large": LARGE}


def test_transfers_are_aborted(start: Start, model: str) -> None:
    site = start(model)
    with site.put("endless", b"").open("r+b") as file:
        file.truncate(ENDLESS_BYTES)
    with site.ftplib() as ftp:
        with ftp.transfercmd("RETR endless") as connection:
            assert connection.recv(1_000)
            assert ftp.abort().startswith("426")
        ftp.voidresp()
        with ftp.transfercmd("STOR endless") as connection:
            connection.sendall(LARGE)
            assert ftp.abort().startswith("426")
        ftp.voidresp()
        assert ftp.voidcmd("NOOP").startswith("200")
    assert (site.home / "endless").stat().st_size == ENDLESS_BYTES


def test_both_ways_to_tls(start: Start, model: str, certificates: Certificates, desk: Desk) -> None:
    site = start(model)
    curl = ("--silent", "--show-error", "--max-time", 25, "--ssl-reqd", "--cacert", certificates.ca)
    for url in (site.url("file"), site.tls_url("file", host="127.0.0.1")):
        desk("curl", *curl, "--upload-file", desk.put("up", LARGE), url)
        assert desk("curl", *curl, url) == LARGE


@pytest.mark.parametrize("who_closes", ["active", "passive"])
def test_tls_is_for_the_login_alone(
    start: Start, model: str, certificates: Certificates, desk: Desk, who_closes: str
) -> None:
    site = start(model)
    site.put("file", LARGE)
    curl = ("--silent", "--max-time", 25, "--ssl-reqd", "--cacert", certificates.ca, "--ftp-ssl-ccc-mode", who_closes)
    assert desk("curl", *curl, site.url("file"), site.url("file")) == LARGE * 2


def test_tls_is_aborted_too(start: Start, model: str, certificates: Certificates) -> None:
    site = start(model)
    site.put("file", LARGE)
    with ftplib.FTP_TLS(context=certificates.client_context(), timeout=WITHIN_S) as ftps:
        ftps.connect("127.0.0.1", site.port)
        ftps.login(NAME, PASSWORD)
        ftps.prot_p()
        connection = ftps.transfercmd("STOR home/file")
        assert isinstance(connection, ssl.SSLSocket)
        with connection:
            connection.sendall(b"half of the new")
            assert ftps.abort().startswith("426")
        ftps.voidresp()
        assert fetched(ftps, "home/file") == LARGE


@pytest.mark.parametrize("model", CONCURRENT)
def test_sessions_are_served_side_by_side(start: Start, model: str) -> None:
    site = start(model)
    site.put("file", LARGE)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(site.ftplib()) for _ in range(SESSIONS)]
        uploads = [client.transfercmd(f"STOR up-{number}") for number, client in enumerate(clients)]
        for upload in uploads:
            stack.callback(upload.close)
            upload.sendall(b"first ")
        for upload, client in reversed(list(zip(uploads, clients, strict=True))):  # nobody waits for those before
            upload.sendall(b"second")
            upload.close()
            client.voidresp()
            assert fetched(client, "file") == LARGE
    assert site.contents() == {"file": LARGE, **{f"up-{number}": b"first second" for number in range(SESSIONS)}}
