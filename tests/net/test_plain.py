"""Which handlers are plain, and what becomes of one that is not what it says."""

from __future__ import annotations

import functools
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from portside.address import InternetAddress
from portside.errors import ConnectionEnded, HandlerError
from portside.net.blocking import NETWORK, BlockingConnection
from portside.net.plain import PlainStream, PlainWorld, call_plain, is_plain
from portside.testing.contract import SERVER_NAME, TlsContexts, connected_sockets
from support.certificates import Certificates


@pytest.fixture(scope="module")
def tls_contexts(certificates: Certificates) -> TlsContexts:
    issued = certificates.issue(SERVER_NAME)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.chain, issued.key)
    return server, certificates.client_context()


async def coroutine_function(connection: object) -> None: ...


def plain_function(connection: object) -> None: ...


class AsyncObject:
    async def __call__(self, connection: object) -> None: ...

    async def method(self, connection: object) -> None: ...

    def plain_method(self, connection: object) -> None: ...


class PlainObject:
    def __call__(self, connection: object) -> None: ...


@functools.wraps(coroutine_function)
def decorated(connection: object) -> Awaitable[None]:
    return coroutine_function(connection)


@pytest.mark.parametrize(
    "handler",
    [
        coroutine_function,
        AsyncObject(),
        AsyncObject().method,
        functools.partial(coroutine_function),
        functools.partial(functools.partial(AsyncObject())),
        decorated,
    ],
)
def test_coroutine_handlers_are_not_plain(handler: Callable[..., Any]) -> None:
    assert not is_plain(handler)


@pytest.mark.parametrize(
    "handler",
    [plain_function, PlainObject(), AsyncObject().plain_method, functools.partial(plain_function), PlainObject, print],
)
def test_plain_handlers_are_plain(handler: Callable[..., Any]) -> None:
    assert is_plain(handler)


def test_a_plain_handler_that_returns_an_awaitable_is_told_so() -> None:
    def handler(connection: object) -> Awaitable[None]:
        return coroutine_function(connection)

    with pytest.raises(HandlerError, match="async def"):
        call_plain(handler, None)


def test_a_plain_handlers_result_is_nobodys_business() -> None:
    call_plain(lambda connection: 42, None)


# ── the newer members ────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain_methods_of_tls(tls_contexts: TlsContexts) -> None:
    server_context, client_context = tls_contexts

    def serve(connection: PlainStream) -> None:
        connection.start_tls(server_context)
        connection.write(b"hello\n")
        if connection.read_line() == b"CCC":
            connection.stop_tls()
            connection.write(b"plain\n")
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        (first_server, first), (second_server, second) = [
            [PlainStream(BlockingConnection(sock, network=NETWORK)) for sock in connected_sockets()] for _ in range(2)
        ]
        serving = pool.submit(serve, first_server)
        first.start_tls(client_context, server_side=False, server_name=SERVER_NAME)
        assert first.read_line() == b"hello"
        first.close()
        serving.result()
        assert not first.is_truncated

        serving = pool.submit(serve, second_server)
        second.start_tls(client_context, server_side=False, server_name=SERVER_NAME, resume=first)
        assert second.tls is not None
        assert second.tls.resumed
        assert second.read_line() == b"hello"
        second.write(b"CCC\n")
        second.stop_tls()
        assert second.tls is None
        assert second.read_line() == b"plain"
        second.close()
        serving.result()


def test_a_plain_connection_has_companions_and_is_ended_with_them() -> None:
    (owner, _), (companion, _) = pairs = [
        [PlainStream(BlockingConnection(sock, network=NETWORK)) for sock in connected_sockets()] for _ in range(2)
    ]
    with owner.accompany(companion, idle_s=5.0):
        owner.end("stopped")
        with pytest.raises(ConnectionEnded):
            companion.read()
    with pytest.raises(TypeError):
        owner.accompany(object(), idle_s=5.0)  # type: ignore[arg-type]
    for connection in (connection for pair in pairs for connection in pair):
        connection.abort()


def test_a_plain_network_connects_from_where_it_is_told_and_blocks_in_a_pool() -> None:
    network = PlainWorld(NETWORK)
    with (
        network.listen("tcp://127.0.0.1:0") as listener,
        network.connect(f"tcp://{listener.address}", local=InternetAddress("127.0.0.1", 0)) as client,
    ):
        assert isinstance(client.local, InternetAddress)
        assert client.local.host == "127.0.0.1"
        client.abort()
    with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:
        assert network.run_blocking(threading.current_thread, pool=pool).name.startswith("pool")
