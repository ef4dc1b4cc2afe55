"""Every kind of connection under the one contract: blocking, on a lane, over transports, in memory; plain and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from portside.testing.contract import (
    SERVER_NAME,
    BlockingPairs,
    BlockingWorld,
    ConnectionContract,
    EventPairs,
    EventWorld,
    KernelNetworkContract,
    MemoryPairs,
    MemoryWorld,
    NetworkContract,
    Pairs,
    TlsContexts,
    TransportPairs,
    TransportWorld,
    UpgradeContract,
    World,
)
from support.certificates import Certificates


def uvloop_loop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


KINDS: dict[str, Callable[..., Pairs]] = {
    "blocking": BlockingPairs,
    "blocking-unix": lambda **options: BlockingPairs("unix", **options),
    "event-asyncio": EventPairs,
    "event-uvloop": lambda **options: EventPairs(uvloop_loop, **options),
    "event-client": lambda **options: EventPairs(handler_is_client=True, **options),
    "event-unix": lambda **options: EventPairs(kind="unix", **options),
    "transport-asyncio": TransportPairs,
    "transport-uvloop": lambda **options: TransportPairs(uvloop_loop, **options),
    "transport-client": lambda **options: TransportPairs(handler_is_client=True, **options),
    "transport-unix": lambda **options: TransportPairs(kind="unix", **options),
    "memory": MemoryPairs,
}


@pytest.fixture(scope="module")
def tls_contexts(certificates: Certificates) -> TlsContexts:
    issued = certificates.issue(SERVER_NAME)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.chain, issued.key)
    return server, certificates.client_context()


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Callable[..., Pairs]:
    return KINDS[request.param]


class TestPlain(ConnectionContract, UpgradeContract):
    @pytest.fixture
    def pairs(self, kind: Callable[..., Pairs]) -> Pairs:
        return kind()


class TestTls(ConnectionContract):
    @pytest.fixture
    def pairs(self, kind: Callable[..., Pairs], tls_contexts: Any) -> Pairs:
        return kind(tls=tls_contexts)


WORLDS: dict[str, Callable[[], World]] = {
    "blocking": BlockingWorld,
    "event-asyncio": EventWorld,
    "event-uvloop": lambda: EventWorld(uvloop_loop),
    "transport-asyncio": TransportWorld,
    "transport-uvloop": lambda: TransportWorld(uvloop_loop),
    "memory": MemoryWorld,
}


class TestKernelNetworks(KernelNetworkContract):
    @pytest.fixture(params=[name for name in WORLDS if name != "memory"])
    def world(self, request: pytest.FixtureRequest) -> World:
        return WORLDS[request.param]()


class TestMemoryNetwork(NetworkContract):
    @pytest.fixture(params=["memory"])
    def world(self, request: pytest.FixtureRequest) -> World:
        return WORLDS[request.param]()
