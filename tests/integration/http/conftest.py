"""An ASGI application for real clients: one server serves all tests of a session that do not harm it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.certificates import Certificates
from support.server import Server

APPS = Path(__file__).parent / "apps"
FILE_BYTES = bytes(range(256)) * 8_000  # more than any socket's buffer takes at once
ENDPOINTS = ("tcp://[::]:0", "tls://[::]:0")


@dataclass(slots=True)
class Served:
    """A server over plain TCP and under TLS, and whom its certificate is from."""

    server: Server
    ca: Path
    context: ssl.SSLContext

    def url(self, path: str = "/", *, scheme: str = "http", host: str = "localhost") -> str:
        return f"{scheme}://{host}:{self.port(scheme)}{path}"

    def port(self, scheme: str = "http") -> int:
        return self.server.at(scheme="tls" if scheme in {"https", "wss"} else "tcp").port


Start = Callable[..., Served]


@pytest.fixture(scope="session")
def settings(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, str]]:
    """The options and the environment of every server here."""
    certificate = certificates.issue("localhost", "127.0.0.1", "::1", to="http")
    file = tmp_path_factory.mktemp("file") / "large"
    file.write_bytes(FILE_BYTES)
    listen = [word for url in ENDPOINTS for word in ("--listen", url)]
    options = [*listen, "--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)]
    return options, {"WEBAPP_FILE": str(file)}


@pytest.fixture(scope="session")
def shared(settings: tuple[list[str], dict[str, str]]) -> Iterator[Server]:
    options, env = settings
    server = Server(("serve", "asgi", "webapp:app", *options), cwd=APPS, env=env)
    try:
        server.wait_until_ready(len(ENDPOINTS))
        yield server
        assert server.stop() == 0, server.said
        server.assert_nothing_left()
    finally:
        server.destroy()


@pytest.fixture
def served(shared: Server, certificates: Certificates) -> Iterator[Served]:
    """The server that all share; what it says of a bug meanwhile fails that test, not the last one."""
    said = len(shared.lines)
    yield Served(shared, certificates.ca, certificates.client_context())
    meanwhile = "\n".join(shared.lines[said:])
    assert "Traceback" not in meanwhile, meanwhile


@pytest.fixture
def start(
    serve: Callable[..., Server], certificates: Certificates, settings: tuple[list[str], dict[str, str]]
) -> Start:
    """Starts a server of the test's own: ``start("--workers", "2")``."""

    def begin(*arguments: str, app: str = "webapp:app", cwd: Path = APPS) -> Served:
        options, env = settings
        server = serve("serve", "asgi", app, *options, *arguments, cwd=cwd, env=env, listening=len(ENDPOINTS))
        return Served(server, certificates.ca, certificates.client_context())

    return begin
