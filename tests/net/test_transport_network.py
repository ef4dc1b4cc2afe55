"""A network of nothing but what every event loop offers by itself."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from portside.address import InternetAddress, parse_endpoint
from portside.errors import (
    AddressInUse,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    NameNotFound,
    NetworkError,
    UsageError,
)
from portside.net import sockets, transport_listener, transport_network
from portside.net.dial import Race
from portside.net.sockets import bind
from portside.net.transport_network import TransportNetwork
from portside.testing.contract import NetworkContract, TransportWorld, World

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Run = Callable[[Callable[[TransportNetwork], Coroutine[Any, Any, None]]], None]


def refused(*_: object, **__: object) -> Any:
    raise AssertionError("only what every event loop offers")


class BareLoop(asyncio.SelectorEventLoop):
    """A loop that watches no descriptors of others."""

    add_reader = add_writer = remove_reader = remove_writer = refused
    sock_recv = sock_sendall = sock_accept = refused


@pytest.fixture
def run(loop_factory: LoopFactory) -> Run:
    def run(main: Callable[[TransportNetwork], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(20), TransportNetwork() as network:
                await main(network)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(whole())

    return run


class TestOnABareLoop(NetworkContract):
    @pytest.fixture
    def world(self, monkeypatch: pytest.MonkeyPatch) -> World:
        monkeypatch.setattr(sockets, "_open", refused)
        monkeypatch.setattr("select.epoll", refused)
        return TransportWorld(BareLoop)


def test_the_any_address_is_both_families_at_one_port(run: Run) -> None:
    async def main(network: TransportNetwork) -> None:
        async with await network.listen("tcp://[::]:0") as listener:
            assert isinstance(listener.address, InternetAddress)
            for host in ("127.0.0.1", "[::1]"):
                client = await network.connect(f"tcp://{host}:{listener.address.port}")
                served = await listener.accept()
                assert served.peer == client.local
                assert served.local == client.peer
                client.abort()
                served.abort()

    run(main)


def test_a_port_that_is_taken_in_one_family_is_taken(run: Run) -> None:
    (taken,) = bind(parse_endpoint("tcp://127.0.0.1:0"))

    async def main(network: TransportNetwork) -> None:
        with pytest.raises(AddressInUse, match=str(taken.endpoint.port)):
            await network.listen(f"tcp://[::]:{taken.endpoint.port}")
        async with await network.listen(f"tcp://[::1]:{taken.endpoint.port}"):
            pass  # nothing of the attempt is left

    with taken.socket:
        run(main)


def test_a_unix_path_is_taken_from_the_dead_only_and_given_back(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main(network: TransportNetwork) -> None:
        async with await network.listen(f"unix:{path}?mode=600") as alive:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(AddressInUse):
                await network.listen(f"unix:{path}")
            (await alive.accept()).abort()  # who asked whether it is alive
        assert not path.exists()
        (left_behind,) = bind(parse_endpoint(f"unix:{path}"))
        left_behind.socket.close()
        assert path.exists()
        async with await network.listen(f"unix:{path}") as listener:
            client = await network.connect(f"unix:{path}")
            (await listener.accept()).abort()
            client.abort()
            os.unlink(path)
            path.touch()
        assert path.exists()  # somebody else's by now

    run(main)


def test_sockets_of_the_kernels_are_for_other_networks(run: Run) -> None:
    async def main(network: TransportNetwork) -> None:
        with pytest.raises(UsageError):
            await network.listen("fd://3")
        with pytest.raises(UsageError):
            await network.open_datagrams("unix:/run/x")

    run(main)


def test_connections_that_nobody_accepts_are_turned_away_some_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_listener, "WAITING_MAX", 1)

    async def main(network: TransportNetwork) -> None:
        async with await network.listen("tcp://127.0.0.1:0") as listener:
            first = await network.connect(str(listener.address))
            second = await network.connect(str(listener.address))
            with pytest.raises(ConnectionLost):
                await second.read_exactly(1)
            served = await listener.accept()
            assert served.peer == first.local
            for connection in (served, first, second):
                connection.abort()

    run(main)


def test_closing_a_listener_wakes_who_accepts_and_lets_go_of_who_waits(run: Run) -> None:
    async def main(network: TransportNetwork) -> None:
        listener = await network.listen("tcp://127.0.0.1:0")
        accepting = [asyncio.create_task(listener.accept()) for _ in range(2)]
        await asyncio.sleep(0)
        await listener.close()
        for task in accepting:
            with pytest.raises(ConnectionClosed):
                await task

    run(main)


# ── whom to try, and when ────────────────────────────────────────────────────────────────────────────────────────────


class Silent(asyncio.SelectorEventLoop):
    """Connecting to 192.0.2.1 gets no answer, and ``two`` has that address before one that does."""

    given_up = 0

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:  # type: ignore[override]
        if host != "two":
            return await super().getaddrinfo(host, port, **options)
        numbers = (sockets.AF_INET, sockets.SOCK_STREAM, 6, "")
        return [(*numbers, ("192.0.2.1", port)), (*numbers, ("127.0.0.1", port))]

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:  # type: ignore[override]
        if host == "192.0.2.1":
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up += 1
        return await super().create_connection(factory, host, port, **options)


def on_silent(main: Callable[[TransportNetwork, Silent], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Silent)
        async with asyncio.timeout(20), TransportNetwork() as network:
            await main(network, loop)

    with asyncio.Runner(loop_factory=Silent) as runner:
        runner.run(whole())


def test_a_silent_address_does_not_keep_one_from_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_network, "Race", lambda targets, now_s: Race(targets, now_s, 0.01))

    async def main(network: TransportNetwork, loop: Silent) -> None:
        async with await network.listen("tcp://127.0.0.1:0") as listener:
            assert isinstance(listener.address, InternetAddress)
            client = await network.connect(f"tcp://two:{listener.address.port}")
            assert client.peer == listener.address
            await asyncio.sleep(0)
            assert loop.given_up == 1
            client.abort()

    on_silent(main)


def test_who_was_tried_is_told() -> None:
    async def main(network: TransportNetwork, loop: Silent) -> None:
        async with await network.listen("tcp://127.0.0.1:0") as listener:
            assert isinstance(listener.address, InternetAddress)
            port = listener.address.port
        with pytest.raises(TimeoutError, match=rf"192.0.2.1:{port}: no answer"):
            await network.connect(f"tcp://two:{port}", timeout_s=0.01)
        with pytest.raises(ConnectFailed, match="refused"):
            await network.connect(f"tcp://localhost:{port}")

    on_silent(main)


def test_a_name_without_an_address_is_not_found(run: Run) -> None:
    async def main(network: TransportNetwork) -> None:
        for name in ("no.such.name.invalid", "a" * 300):
            with pytest.raises(NameNotFound):
                await network.resolve(name)

    run(main)


def test_name_servers_that_are_silent_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def main(network: TransportNetwork, loop: Silent) -> None:
        monkeypatch.setattr(Silent, "getaddrinfo", never)
        with pytest.raises(TimeoutError, match="name servers have not answered"):
            await network.connect("tcp://example:1", timeout_s=0.01)

    on_silent(main)


# ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_datagram_is_told_to_who_asked(run: Run) -> None:
    async def main(network: TransportNetwork) -> None:
        async with await network.open_datagrams("udp://127.0.0.1:0") as gone:
            address = gone.address
        async with await network.open_datagrams(f"udp://{address}", connect=True) as client:
            await client.send(b"anybody?")
            with pytest.raises(NetworkError, match="refused"):
                await client.receive(timeout_s=5)

    run(main)


def test_datagrams_go_to_whom_one_says_in_either_family(run: Run) -> None:
    async def main(network: TransportNetwork) -> None:
        async with (
            await network.open_datagrams("udp://[::]:0") as everywhere,
            await network.open_datagrams("udp://127.0.0.1:0") as here,
        ):
            assert isinstance(everywhere.address, InternetAddress)
            assert isinstance(here.address, InternetAddress)
            with pytest.raises(ValueError, match="to whom"):
                await here.send(b"x")
            await here.send(b"question", InternetAddress("127.0.0.1", everywhere.address.port))
            message = await everywhere.receive(timeout_s=5)
            assert message.peer == here.address
            await everywhere.send(b"another", here.address)
            assert (await here.receive(timeout_s=5)).data == b"another"
            with pytest.raises(NetworkError, match="too long"):
                await here.send(bytes(70_000), InternetAddress("127.0.0.1", everywhere.address.port))
        with pytest.raises(ConnectionClosed):
            await here.receive()

    run(main)
