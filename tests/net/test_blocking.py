"""What only blocking connections do: ended by other threads, waiting in the kernel, plain handlers over them."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portside.address import InternetAddress, UnixAddress
from portside.contracts import Connection, PlainConnection
from portside.errors import ConnectionClosed, ConnectionEnded, ConnectionLost, NameNotFound, TlsFailed, UsageError
from portside.net import blocking_stream, resolve
from portside.net.blocking import NETWORK, BlockingConnection
from portside.net.drive import drive
from portside.net.plain import PlainStream, call_plain, finish
from portside.net.sockets import socketpair
from portside.testing.contract import SERVER_NAME, connected_sockets, pattern
from support.certificates import Certificates

Ends = tuple[BlockingConnection, BlockingConnection]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The server's and the client's connection."""
    server, client = (BlockingConnection(sock, network=NETWORK) for sock in connected_sockets())
    yield server, client
    server.abort()
    client.abort()


@pytest.fixture
def alongside() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Runs a function in a thread of its own, which must be over, without an error, when the test is."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                function()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=guarded, daemon=True))
        threads[-1].start()

    yield run
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []


def wait_until(fact: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.001)


# ── ended from outside ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_slow_reader_is_seen_to_make_progress(ends: Ends, alongside: Callable[[Callable[[], object]], None]) -> None:
    """The sweeper calls idle whoever moves no counter: one long write has to move it on its way."""
    server, client = ends

    def write() -> None:
        with pytest.raises(ConnectionEnded):
            finish(server.write(pattern(64 << 20)))

    alongside(write)
    seen = [0]
    for _ in range(5):
        finish(client.read_exactly(4 << 20))  # the kernel wakes a writer when a third of its buffer is free
        wait_until(lambda: server.bytes_out > seen[-1])
        seen.append(server.bytes_out)
        assert server.state == "writing"
    assert seen[-1] < 64 << 20
    server.end("stopped")


def test_a_slow_reader_of_a_file_is_seen_to_make_progress(
    ends: Ends, alongside: Callable[[Callable[[], object]], None], tmp_path: Path
) -> None:
    server, client = ends
    path = tmp_path / "large"
    path.write_bytes(pattern(64 << 20))

    def send() -> None:
        with path.open("rb") as file, pytest.raises(ConnectionEnded):
            finish(server.send_file(file))

    alongside(send)
    seen = [0]
    for _ in range(5):
        finish(client.read_exactly(4 << 20))
        wait_until(lambda: server.bytes_out > seen[-1])
        seen.append(server.bytes_out)
    server.end("stopped")


def test_ended_while_it_receives_a_file(
    ends: Ends, alongside: Callable[[Callable[[], object]], None], tmp_path: Path
) -> None:
    server, client = ends
    finish(client.write(pattern(300_000)))

    def receive() -> None:
        with (tmp_path / "part").open("wb") as file, pytest.raises(ConnectionEnded):
            finish(server.receive_file(file))

    alongside(receive)
    wait_until(lambda: server.bytes_in == 300_000 and server.state == "reading")
    server.end("idle")


def test_ended_while_it_shakes_hands(
    ends: Ends, alongside: Callable[[Callable[[], object]], None], certificates: Certificates
) -> None:
    server, client = ends
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = certificates.issue(SERVER_NAME)
    context.load_cert_chain(certificate.chain, certificate.key)

    def shake_hands() -> None:
        with pytest.raises(ConnectionEnded):
            finish(server.start_tls(context))

    alongside(shake_hands)
    wait_until(lambda: server.state == "reading")
    server.end("idle", b"no plain words on a connection that is to be TLS")
    assert finish(client.read()) == b""


def test_ending_never_reaches_the_next_connection_with_the_same_descriptor() -> None:
    """Descriptors are reused at once; many ends race with as many closes."""
    for _ in range(300):
        one, other = socketpair()
        old = BlockingConnection(one, network=NETWORK)
        other.close()
        ending = threading.Thread(target=old.end, args=("idle",))
        ending.start()
        finish(old.close())
        new, peer = socketpair()  # most likely with the descriptor of the old one
        ending.join()
        peer.send(b"still here")
        assert new.recv(100) == b"still here"
        new.close()
        peer.close()


def test_a_peer_that_never_closes_holds_nobody_for_long(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_stream, "LINGER_S", 0.05)
    server, client = ends
    finish(client.write(b"unread"))
    started_s = time.monotonic()
    finish(server.close())
    assert 0.04 < time.monotonic() - started_s < 1.9


def test_a_peer_that_never_stops_talking_holds_nobody_for_long(
    ends: Ends, alongside: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking_stream, "LINGER_S", 0.05)
    server, client = ends

    def talk() -> None:
        with pytest.raises(ConnectionLost):
            finish(client.write(bytes(1 << 30)))

    alongside(talk)
    started_s = time.monotonic()
    finish(server.close())
    assert time.monotonic() - started_s < 1.9


def test_closing_waits_no_longer_than_the_peer(ends: Ends) -> None:
    server, client = ends
    finish(client.write_eof())
    assert finish(server.read()) == b""
    started_s = time.monotonic()
    finish(server.close())
    assert time.monotonic() - started_s < 1.0


def test_many_small_pieces_and_a_socket_that_takes_little_at_a_time(
    alongside: Callable[[Callable[[], object]], None],
) -> None:
    one, other = socketpair()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    server, client = (BlockingConnection(sock, network=NETWORK) for sock in (one, other))
    chunks = [pattern(size) for size in range(700)]

    def write() -> None:
        finish(server.write(*chunks))
        finish(server.close())

    alongside(write)

    async def read() -> bytes:
        return b"".join([data async for data in client])

    assert drive(read(), handler="test", model="thread") == b"".join(chunks)
    finish(client.close())


# ── plain handlers ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_handler_has_the_whole_connection(
    ends: Ends, alongside: Callable[[Callable[[], object]], None], tmp_path: Path
) -> None:
    server, client = ends
    path = tmp_path / "file"

    def handler(visitor: PlainConnection) -> None:
        assert visitor.id == server.id
        assert visitor.started_at == server.started_at
        assert (visitor.local, visitor.peer, visitor.tls) == (client.peer, client.local, None)
        assert visitor.read_line() == b"hello"
        assert visitor.read_exactly(2) == b"ab"
        assert visitor.read_until(b";") == b"cd;"
        with pytest.raises(TimeoutError):
            visitor.read(timeout_s=0.01)
        visitor.write(b"go ", b"on\n")
        with path.open("w+b") as file:
            assert visitor.receive_file(file, 5) == 5
            assert visitor.send_file(file, 1, 3) == 3
        assert list(visitor.lines()) == [b"one", b"two"]
        assert (visitor.bytes_in, visitor.bytes_out) == (24, 9)
        visitor.write_eof()
        with pytest.raises(ConnectionClosed):
            visitor.write(b"late")
        visitor.close()

    alongside(lambda: call_plain(handler, PlainStream(server)))
    with PlainStream(client) as plain:
        plain.write(b"hello\nabcd;")
        assert plain.read_line() == b"go on"
        plain.write(b"12345one\ntwo\n"[:11])
        plain.write(b"wo\n"[1:])
        plain.write_eof()
        assert b"".join(plain) == b"234"
        assert plain.read() == b""
    plain.abort()


def test_a_plain_handler_has_the_network_too(ends: Ends) -> None:
    def handler(visitor: PlainConnection) -> None:
        network = visitor.network
        with (
            network.listen("tcp://127.0.0.1:0") as listener,
            network.connect(f"tcp://{listener.address}") as caller,
            listener.accept(timeout_s=5) as called,
        ):
            caller.write(b"hello\n")
            caller.write_eof()
            assert list(called.lines()) == [b"hello"]
            called.write_eof()
            assert caller.read() == b""
        with (
            network.open_datagrams("udp://127.0.0.1:0") as server,
            network.open_datagrams(f"udp://{server.address}", connect=True) as client,
        ):
            client.send(b"question")
            server.receive(timeout_s=5).reply(b"answer")
            assert client.receive(timeout_s=5).data == b"answer"
        assert network.resolve("127.0.0.1", 7) == [InternetAddress("127.0.0.1", 7)]
        assert network.name_of(UnixAddress("")) is None
        assert network.run_blocking(divmod, 17, 5) == (3, 2)
        started_s = network.now_s()
        network.sleep(0.001)
        assert network.now_s() > started_s

    call_plain(handler, PlainStream(ends[0]))


def test_a_plain_upgrade(
    ends: Ends, alongside: Callable[[Callable[[], object]], None], certificates: Certificates
) -> None:
    server, client = map(PlainStream, ends)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = certificates.issue(SERVER_NAME)
    context.load_cert_chain(certificate.chain, certificate.key)

    def serve() -> None:
        server.start_tls(context)
        server.write(b"hush")
        server.close()

    alongside(serve)
    client.start_tls(certificates.client_context(), server_side=False, server_name=SERVER_NAME)
    assert b"".join(client) == b"hush"
    assert client.tls is not None
    client.close()


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_connecting_over_tls(alongside: Callable[[Callable[[], object]], None], certificates: Certificates) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = certificates.issue("localhost")
    context.load_cert_chain(certificate.chain, certificate.key)
    listener = finish(NETWORK.listen("tcp://127.0.0.1:0"))
    assert isinstance(listener.address, InternetAddress)
    port = listener.address.port

    def serve() -> None:
        async def whole() -> None:
            async with await listener.accept(timeout_s=5) as connection:
                await connection.start_tls(context)
                await connection.write(await connection.read())

        drive(whole(), handler="test", model="thread")

    async def ask(server_name: str | None = None) -> bytes:
        trusting = certificates.client_context()
        async with await NETWORK.connect(f"tls://localhost:{port}", tls=trusting, server_name=server_name) as client:
            assert client.tls is not None
            await client.write(b"hello")
            return await client.read()

    alongside(serve)
    assert drive(ask(), handler="test", model="thread") == b"hello"

    def refused() -> None:
        with pytest.raises((TlsFailed, ConnectionLost)):
            serve()

    alongside(refused)
    with pytest.raises(TlsFailed, match="certificate"):
        drive(ask("another.example"), handler="test", model="thread")
    finish(listener.close())


def test_a_server_that_never_shakes_hands_is_given_up(certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TimeoutError):
            finish(NETWORK.connect(f"tls://127.0.0.1:{port}", timeout_s=0.05, tls=certificates.client_context()))


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()

    def hang(address: object) -> str:
        may_end.wait(20)
        return "too.late.example"

    monkeypatch.setattr(resolve, "reverse", hang)
    assert finish(NETWORK.name_of(InternetAddress("192.0.2.1", 1), timeout_s=0.01)) is None
    may_end.set()
    assert finish(NETWORK.name_of(InternetAddress("192.0.2.1", 1))) == "too.late.example"


def test_an_address_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(address: object) -> str:
        raise NameNotFound("192.0.2.1", "no name is registered for it")

    monkeypatch.setattr(resolve, "reverse", nobody)
    assert finish(NETWORK.name_of(InternetAddress("192.0.2.1", 1))) is None


def test_connecting_to_what_is_no_stream() -> None:
    with pytest.raises(UsageError):
        finish(NETWORK.connect("udp://127.0.0.1:9"))


def test_the_same_handler_runs_over_memory_files_too(ends: Ends) -> None:
    """BytesIO has no descriptor: pieces take the place of sendfile and splice, with the same meaning."""
    server, client = ends

    async def handler(visitor: Connection) -> bytes:
        sent = await visitor.send_file(io.BytesIO(b"0123456789"), 2, 5)
        assert sent == 5
        return await client.read_exactly(5)

    assert drive(handler(server), handler="test", model="thread") == b"23456"
