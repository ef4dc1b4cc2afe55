"""The same errands on real servers, plain and under TLS, on every kind of network that we have."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from portside.contracts import Network
from portside.net.blocking import BlockingNetwork
from portside.net.drive import drive
from portside.net.event_network import EventNetwork
from portside.protocols.ftp.client import Aborted, FtpClient, Refused, Unavailable
from support.certificates import Certificates
from support.ftp_servers import FtpServer, pyftpdlib, vsftpd
from support.server import Server

LARGE = bytes(range(256)) * 20_000  # 5 MB

Errand = Callable[[Network], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def _ours(directory: Path, certificates: Certificates, scheme: str) -> Iterator[FtpServer]:
    root = directory / "root"
    root.mkdir()
    certificate = certificates.issue("localhost", to="ours")
    tls = () if scheme == "ftp" else ("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key))
    listen = f"{'tls' if scheme == 'ftps' else 'tcp'}://localhost:0"
    server = Server(("serve", "ftp", str(root), "--login", "anna:secret", "--listen", listen, *tls))
    try:
        server.wait_until_ready()
        yield FtpServer(f"{scheme}://anna:secret@localhost:{server.port}/", root)
        assert server.stop() == 0, server.said
        assert "Traceback" not in server.said, server.said
    finally:
        server.destroy()


SERVERS = (
    "vsftpd",
    "vsftpd, TLS",
    "pyftpdlib",
    "pyftpdlib, TLS",
    "portside",
    "portside, TLS",
    "portside, implicit TLS",
)


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[FtpServer]:
    directory = Path(tmp_path_factory.mktemp("ftp"))
    certificate = certificates.issue("localhost", to="theirs")
    match request.param.split(", "):
        case ["vsftpd", *tls]:
            serving = vsftpd(directory, certificate if tls else None)
        case ["pyftpdlib", *tls]:
            serving = pyftpdlib(directory, certificate if tls else None)
        case [_, *tls]:
            serving = _ours(directory, certificates, {"": "ftp", "TLS": "ftpes"}.get("".join(tls), "ftps"))
    with serving as running:
        yield running


@pytest.fixture
def context(certificates: Certificates, server: FtpServer) -> ssl.SSLContext | None:
    return None if server.url.startswith("ftp:") else certificates.client_context()


@pytest.fixture(params=["asyncio", "uvloop", "blocking"])
def run(request: pytest.FixtureRequest) -> Callable[[Errand], None]:
    if request.param == "blocking":
        return lambda errand: drive(errand(BlockingNetwork()), handler="errand", model="blocking")
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop
    else:
        factory = asyncio.new_event_loop

    async def on_events(errand: Errand) -> None:
        async with EventNetwork() as network:
            await errand(network)

    def go(errand: Errand) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(on_events(errand))

    return go


@pytest.mark.parametrize("active", [False, True], ids=["passive", "active"])
def test_errands(
    server: FtpServer,
    context: ssl.SSLContext | None,
    run: Callable[[Errand], None],
    active: bool,
    tmp_path: Path,
) -> None:
    (tmp_path / "source").write_bytes(LARGE)

    async def errands(network: Network) -> None:
        async with await FtpClient.connect(network, server.url, tls=context, active=active) as ftp:
            await ftp.make_directory("a dir")
            with open(tmp_path / "source", "rb") as source, open(tmp_path / "target", "w+b") as target:  # noqa: ASYNC230
                await transfers(ftp, source, target)
            await looks(ftp)
            await changes(ftp)

    run(errands)
    assert (tmp_path / "target").read_bytes() == LARGE
    assert list(server.root.iterdir()) == []


async def transfers(ftp: FtpClient, source: Any, target: Any) -> None:
    whole = await ftp.upload("a dir/x y", source)
    assert whole.moved_bytes == len(LARGE)
    again = await ftp.upload("a dir/x y", source, offset=1_000_000)
    assert (again.moved_bytes, again.size_bytes) == (len(LARGE) - 1_000_000, len(LARGE))
    first = await ftp.download("a dir/x y", target)
    assert first.moved_bytes == len(LARGE)
    target.seek(1_000_000)
    target.truncate()
    rest = await ftp.download("a dir/x y", target, offset=1_000_000)
    assert rest.moved_bytes == len(LARGE) - 1_000_000
    with pytest.raises(Refused):
        await ftp.download("none", target)


async def looks(ftp: FtpClient) -> None:
    (entry,) = [entry async for entry in ftp.list("a dir")]
    assert (entry.name, entry.kind, entry.size_bytes) == ("x y", "file", len(LARGE))
    stat = await ftp.stat("a dir/x y")
    assert (stat.name, stat.kind, stat.size_bytes) == ("x y", "file", len(LARGE))
    assert (await ftp.stat("a dir")).kind == "directory"
    assert await ftp.modified("a dir/x y") == stat.modified_ns
    digest = await ftp.digest("a dir/x y")
    assert (digest is None) == ("HASH" not in ftp.features)
    with pytest.raises(Unavailable):
        await ftp.stat("none")


async def changes(ftp: FtpClient) -> None:
    if await ftp.set_modified("a dir/x y", 1_700_000_000_000_000_000):
        assert await ftp.modified("a dir/x y") == 1_700_000_000_000_000_000
    async for _ in ftp.list("a dir"):
        break  # left in the middle: what follows is not disturbed
    await ftp.rename("a dir/x y", "a dir/z")
    await ftp.delete("a dir/z")
    await ftp.remove_directory("a dir")


@pytest.mark.parametrize("run", ["asyncio"], indirect=True)
def test_a_download_is_aborted_and_the_session_goes_on(
    server: FtpServer, context: ssl.SSLContext | None, run: Callable[[Errand], None]
) -> None:
    with open(server.root / "endless", "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room, and no server is done with it soon

    async def errand(network: Network) -> None:
        async with await FtpClient.connect(network, server.url, tls=context) as ftp:
            begun = asyncio.Event()

            async def take(piece: bytes) -> None:
                begun.set()

            loading = asyncio.ensure_future(ftp.download("endless", take))
            await begun.wait()
            await ftp.abort()
            with pytest.raises(Aborted):
                await loading
            assert (await ftp.stat("endless")).size_bytes == 1 << 40
            loading = asyncio.ensure_future(ftp.download("endless", take))
            begun.clear()
            await begun.wait()
            loading.cancel()
            await asyncio.wait((loading,))
            await ftp.delete("endless")

    run(errand)
