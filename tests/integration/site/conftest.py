"""Sites for real clients: a server over a folder, and what it says of bugs fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.browser import Browser
from support.certificates import Certificates
from support.server import Server


@dataclass(slots=True)
class Site:
    """A server, and the folder that it serves."""

    server: Server
    root: Path
    ca: Path

    def url(self, path: str = "/", *, scheme: str = "http", login: str = "") -> str:
        port = self.server.at(scheme={"http": "tcp", "https": "tls"}[scheme]).port
        return f"{scheme}://{f'{login}@' if login else ''}localhost:{port}{path}"


Served = Callable[..., Site]


def arguments(root: Path, certificates: Certificates) -> tuple[str, ...]:
    """Return what serves a folder over plain TCP and over TLS."""
    certificate = certificates.issue("localhost", "127.0.0.1", "::1", to="site")
    return (
        *("serve", "http", str(root), "--listen", "tcp://[::]:0", "--listen", "tls://[::]:0"),
        *("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)),
    )


@pytest.fixture
def served(serve: Callable[..., Server], tmp_path: Path, certificates: Certificates) -> Served:
    """Serves a folder: ``served("--allow-upload")``."""

    def start(*options: str, **more: Any) -> Site:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        server = serve(*arguments(root, certificates), *options, listening=2, **more)
        return Site(server, root, certificates.ca)

    return start


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    server = Server((*arguments(root, certificates), "--allow-upload"))
    try:
        server.wait_until_ready(2)
        yield Site(server, root, certificates.ca)
        assert server.stop() == 0, server.said
        server.assert_nothing_left()
    finally:
        server.destroy()


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """A site that takes uploads: one server for all tests of a process, with an empty folder for each."""
    said = len(shared_site.server.lines)
    yield shared_site
    for path in shared_site.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    meanwhile = "\n".join(shared_site.server.lines[said:])
    assert "Traceback" not in meanwhile, meanwhile


@pytest.fixture(scope="session")
def one_browser() -> Iterator[Browser]:
    """One for all tests of a process: it takes a second to start."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """A browser with an empty page, that has nothing to complain about at the end."""
    one_browser.go("about:blank")
    one_browser.look(1_024)
    one_browser.complaints()
    yield one_browser
    assert one_browser.complaints() == []
