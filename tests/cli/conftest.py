"""A real FTP server for the commands that carry files, and a directory to carry them from and to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.ftp import LOGIN, Site
from support.server import Server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def ftp_server(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[tuple[Server, Path]]:
    """One server for all tests of a session, with TLS for who wants it."""
    root = tmp_path_factory.mktemp("ftp")
    certificate = certificates.issue("localhost", "127.0.0.1", to="ftp-for-commands")
    tls = ("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key))
    listen = ("--listen", "tcp://localhost:0", "--listen", "tls://localhost:0")
    server = Server(("serve", "ftp", str(root), *LOGIN, *listen, *tls))
    try:
        server.wait_until_ready(2)
        yield server, root
        assert server.stop() == 0, server.said
        assert "Traceback" not in server.said, server.said
    finally:
        server.destroy()


@pytest.fixture
def site(ftp_server: tuple[Server, Path]) -> Site:
    """A directory of that server for one test."""
    server, root = ftp_server
    home = root / f"home-{next(_numbers)}"
    home.mkdir()
    return Site(server, home)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of one test, which is also its home: with no passwords in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    return tmp_path
