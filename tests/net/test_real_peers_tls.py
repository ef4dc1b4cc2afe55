"""Our TLS against OpenSSL's own programs, on either side of the connection."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portside.contracts import TlsState
from portside.errors import ConnectionLost, TlsFailed
from portside.net.blocking import BlockingConnection, BlockingNetwork
from portside.net.drive import drive
from portside.net.tls import client_context, server_context
from support import peers
from support.certificates import Certificates
from support.waiting import WITHIN_S

VERSIONS = ["tls1_2", "tls1_3"]
NETWORK = BlockingNetwork()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.issue("localhost", to="server")
    made.issue("two.example", to="two")
    made.issue("anna@example.org", to="anna")
    return made


def pair(certificates: Certificates, name: str) -> tuple[str, str]:
    return str(certificates.directory / f"{name}.pem"), str(certificates.directory / f"{name}.key")


@contextmanager
def killed_in_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process afterwards, or when it takes too long: its output then ends, and nobody waits for ever."""
    timer = threading.Timer(WITHIN_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        process.kill()


# ── their server, our client ─────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def s_server(certificates: Certificates, *options: str, directory: Path | None = None) -> Iterator[int]:
    """Run ``openssl s_server`` and give its port; it serves one connection after the other."""
    certificate, key = pair(certificates, "server")
    command = [peers.program("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key]
    with (
        subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=directory,
        ) as process,
        killed_in_the_end(process),
    ):
        assert process.stdout is not None
        told = next(line for line in process.stdout if line.startswith(b"ACCEPT "))
        yield int(told.rpartition(b":")[2])


def connect(port: int, context: ssl.SSLContext) -> BlockingConnection:
    dialing = NETWORK.connect(f"tls://127.0.0.1:{port}", timeout_s=WITHIN_S, tls=context, server_name="localhost")
    return drive(dialing, handler="test", model="thread")


@contextmanager
def closing(connection: BlockingConnection) -> Iterator[BlockingConnection]:
    try:
        yield connection
    finally:
        drive(connection.close(), handler="test", model="thread")


def ask(connection: BlockingConnection, line: bytes) -> bytes | None:
    async def conversation() -> bytes | None:
        await connection.write(line + b"\n")
        return await connection.read_line(timeout_s=WITHIN_S)

    return drive(conversation(), handler="test", model="thread")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_answers_our_client(certificates: Certificates, version: str) -> None:
    context = client_context(str(certificates.ca), alpn=("two", "one"))
    with s_server(certificates, "-rev", f"-{version}", "-alpn", "one") as port, closing(connect(port, context)) as ours:
        assert ask(ours, b"stressed") == b"desserts"
        assert ours.tls is not None
        assert ours.tls.version == {"tls1_2": "TLSv1.2", "tls1_3": "TLSv1.3"}[version]
        assert (ours.tls.alpn, ours.tls.server_name) == ("one", "localhost")


def test_a_server_nobody_vouches_for_is_refused(certificates: Certificates) -> None:
    with (
        s_server(certificates, "-rev") as port,
        pytest.raises(TlsFailed, match="certificate of localhost cannot be verified"),
    ):
        connect(port, client_context())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_wants_our_certificate(certificates: Certificates, version: str) -> None:
    wanting = ("-rev", f"-{version}", "-Verify", "1", "-verify_return_error", "-CAfile", str(certificates.ca))
    with s_server(certificates, *wanting) as port:
        anna = client_context(str(certificates.ca), certificate=pair(certificates, "anna"))
        with closing(connect(port, anna)) as ours:
            assert ask(ours, b"anna1") == b"1anna"
        # With TLS 1.3 a client learns only after its handshake that it was not let in.
        with (
            pytest.raises((TlsFailed, ConnectionLost), match="client certificate"),
            closing(connect(port, client_context(str(certificates.ca)))) as ours,
        ):
            ask(ours, b"nobody")


@pytest.mark.parametrize("version", VERSIONS)
def test_megabytes_come_through_and_their_end_is_told(certificates: Certificates, version: str, tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "data").write_bytes(b"HTTP/1.0 200 OK\r\n\r\n" + data)

    async def fetch(ours: BlockingConnection) -> bytes:
        await ours.write(b"GET /data HTTP/1.0\r\n\r\n")
        return b"".join([piece async for piece in ours])

    context = client_context(str(certificates.ca))
    with (
        s_server(certificates, "-HTTP", f"-{version}", directory=tmp_path) as port,
        closing(connect(port, context)) as ours,
    ):
        assert drive(fetch(ours), handler="test", model="thread").partition(b"\r\n\r\n")[2] == data


# ── their client, our server ─────────────────────────────────────────────────────────────────────────────────────────


class OneVisitor(threading.Thread):
    """Shouts back at one connection under TLS; what was agreed on, and how it ended, is kept."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(daemon=True)
        self.listener = drive(NETWORK.listen("tcp://127.0.0.1:0"), handler="test", model="thread")
        self.address = str(self.listener.address)
        self.context = context
        self.state: TlsState | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        async def serve() -> None:
            async with self.listener:
                connection = await self.listener.accept(WITHIN_S)
            with closing(connection):
                connection.shake_hands(self.context, timeout_s=WITHIN_S)
                self.state = connection.tls
                async for piece in connection:
                    await connection.write(piece.upper())

        try:
            drive(serve(), handler="test", model="thread")
        except Exception as error:
            self.error = error

    def finish(self) -> None:
        self.join(WITHIN_S)
        assert not self.is_alive()


@contextmanager
def s_client(visitor: OneVisitor, certificates: Certificates, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``openssl s_client`` against our server, its own talk left out of what is compared."""
    command = [peers.program("openssl"), "s_client", "-connect", visitor.address, "-CAfile", str(certificates.ca)]
    with (
        subprocess.Popen(
            [*command, "-verify_return_error", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
        killed_in_the_end(process),
    ):
        yield process


def say(client: subprocess.Popen[bytes], line: bytes, until: bytes) -> None:
    """Type a line and read on until ``until`` comes. One at a time: s_client takes commands only then.

    Its own talk goes before, and may stand in front in the same line.
    """
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(line + b"\n")
    client.stdin.flush()
    seen = []
    for answer in client.stdout:
        seen.append(answer)
        if until in answer:
            return
    pytest.fail(f"s_client ended without {until!r}: {b''.join(seen).decode(errors='replace')}")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_is_answered_by_our_server(certificates: Certificates, version: str) -> None:
    tls = server_context([pair(certificates, "server"), pair(certificates, "two")], alpn=("http/1.1",))
    visitor = OneVisitor(tls.context)
    asking = ("-servername", "two.example", "-verify_hostname", "two.example", "-alpn", "http/1.1")
    with s_client(visitor, certificates, f"-{version}", *asking) as client:
        say(client, b"hello", b"HELLO")
        assert client.stdin is not None
        client.stdin.close()  # s_client then says close_notify
        visitor.finish()
    assert visitor.error is None
    assert visitor.state is not None
    assert (visitor.state.server_name, visitor.state.alpn) == ("two.example", "http/1.1")


def test_a_client_s_certificate_is_known(certificates: Certificates) -> None:
    tls = server_context([pair(certificates, "server")], client_ca=str(certificates.ca))
    certificate, key = pair(certificates, "anna")
    visitor = OneVisitor(tls.context)
    with s_client(visitor, certificates, "-cert", certificate, "-key", key) as client:
        say(client, b"hello", b"HELLO")
    visitor.finish()
    assert visitor.state is not None
    assert visitor.state.peer_certificate is not None
    assert ("email", "anna@example.org") in visitor.state.peer_certificate["subjectAltName"]


def test_keys_are_renewed_while_talking(certificates: Certificates) -> None:
    """TLS 1.3 key updates, RFC 8446 section 4.6.3: K asks us to renew ours too, k does not."""
    visitor = OneVisitor(server_context([pair(certificates, "server")]).context)
    with s_client(visitor, certificates, "-tls1_3") as client:
        for word in (b"first", b"second", b"third"):
            say(client, b"K", b"KEYUPDATE")
            say(client, word, word.upper())
            say(client, b"k", b"KEYUPDATE")
            say(client, word * 1_000, word.upper())
        assert client.stdin is not None
        client.stdin.close()
        visitor.finish()
    assert visitor.error is None


def test_renegotiation_is_refused(certificates: Certificates) -> None:
    """A client that may renegotiate makes a server compute for ever; OpenSSL's own client gives up when refused."""
    visitor = OneVisitor(server_context([pair(certificates, "server")]).context)
    with s_client(visitor, certificates, "-tls1_2") as client:
        say(client, b"hello", b"HELLO")
        say(client, b"R", b"RENEGOTIATING")
        assert client.stdout is not None
        assert b"no renegotiation" in client.stdout.read()
    visitor.finish()


def test_a_client_without_a_shared_version_is_told(certificates: Certificates) -> None:
    visitor = OneVisitor(server_context([pair(certificates, "server")]).context)
    with s_client(visitor, certificates, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0") as client:
        assert client.stdout is not None
        assert b"protocol version" in client.stdout.read()
    visitor.finish()
    assert isinstance(visitor.error, TlsFailed)
    assert "no TLS version in common" in str(visitor.error)
