"""FTP servers for real clients: one serves all tests of a session, and a directory for each keeps these apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.ftp import LOGIN, Desk, Site
from support.server import Server

PLAIN, IMPLICIT_TLS = "tcp://[::]:0", "tls://[::]:0"


@dataclass(slots=True)
class Shared:
    """A server that outlives a test, and the directory it serves."""

    server: Server
    root: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def site(self) -> Iterator[Site]:
        """Yield a site for one test. What the server says of a bug meanwhile fails that test, not the last one."""
        home = self.root / f"home-{next(self._numbers)}"
        home.mkdir()
        said = len(self.server.lines)
        yield Site(self.server, home)
        meanwhile = "\n".join(self.server.lines[said:])
        assert "Traceback" not in meanwhile, meanwhile


def shared(root: Path, *arguments: str, listen: tuple[str, ...]) -> Iterator[Shared]:
    """Yield a server that must end well when the session does, and leave nothing behind."""
    endpoints = [word for url in listen for word in ("--listen", url)]
    server = Server(("serve", "ftp", str(root), *endpoints, *arguments))
    try:
        server.wait_until_ready(len(listen))
        yield Shared(server, root)
        assert server.stop() == 0, server.said
        server.assert_nothing_left()
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def tls_options(certificates: Certificates) -> tuple[str, ...]:
    """The options that give a server its certificate: for localhost, by name and by both addresses."""
    certificate = certificates.issue("localhost", "127.0.0.1", "::1", to="ftp")
    return ("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key))


@pytest.fixture(scope="session")
def shared_with_login(tmp_path_factory: pytest.TempPathFactory, tls_options: tuple[str, ...]) -> Iterator[Shared]:
    yield from shared(tmp_path_factory.mktemp("ftp"), *LOGIN, *tls_options, listen=(PLAIN, IMPLICIT_TLS))


@pytest.fixture(scope="session")
def shared_without_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    yield from shared(tmp_path_factory.mktemp("pub"), listen=(PLAIN,))


@pytest.fixture
def site(shared_with_login: Shared) -> Iterator[Site]:
    """A site where one person logs in and may do everything, with TLS for who wants it."""
    yield from shared_with_login.site()


@pytest.fixture
def public(shared_without_login: Shared) -> Iterator[Site]:
    """A site where everybody may read."""
    yield from shared_without_login.site()


@pytest.fixture
def own_site(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A server of a test's own, for one that spoils the server's patience with this address."""
    home = tmp_path_factory.mktemp("own") / "home"
    home.mkdir()
    return Site(serve("serve", "ftp", str(home.parent), "--listen", PLAIN, *LOGIN), home)


@pytest.fixture
def resuming_site(
    serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory, tls_options: tuple[str, ...]
) -> Site:
    """A server whose data connections must resume the TLS session of their control connection."""
    home = tmp_path_factory.mktemp("resuming") / "home"
    home.mkdir()
    listen = [word for url in (PLAIN, IMPLICIT_TLS) for word in ("--listen", url)]
    must = ("--tls-session-reuse", "required")
    return Site(serve("serve", "ftp", str(home.parent), *listen, *LOGIN, *tls_options, *must, listening=2), home)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
