"""What a network promises, and stories to be told on each kind of network."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from portside.address import InternetAddress, UnixAddress
from portside.contracts import Network
from portside.errors import (
    AddressInUse,
    AddressNotAvailable,
    ConnectFailed,
    ConnectionClosed,
    UsageError,
)
from portside.net.blocking import NETWORK
from portside.net.drive import drive
from portside.testing.contract.pairs import (
    PATIENCE_S,
)
from portside.testing.memory import MemoryNetwork

Story: TypeAlias = Callable[[Network], Coroutine[Any, Any, None]]


class World(ABC):
    """Runs a story on one kind of network."""

    keeps_pools = True  # what may block runs where it is told to
    reuses_ports = True  # a local port is free again while connections from it are in TIME-WAIT

    @abstractmethod
    def run(self, story: Story) -> None: ...


class BlockingWorld(World):
    def run(self, story: Story) -> None:
        drive(story(NETWORK), handler="contract", model="thread")


class LoopWorld(World):
    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._loop_factory = loop_factory

    def run(self, story: Story) -> None:
        async def whole() -> None:
            async with asyncio.timeout(PATIENCE_S), self._network() as network:
                await story(network)

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.run(whole())

    @abstractmethod
    def _network(self) -> Any: ...


class EventWorld(LoopWorld):
    def _network(self) -> Any:
        from portside.net.event_network import EventNetwork

        return EventNetwork()


class TransportWorld(LoopWorld):
    reuses_ports = False

    def _network(self) -> Any:
        from portside.net.transport_network import TransportNetwork

        return TransportNetwork()


class MemoryWorld(World):
    keeps_pools = False

    def run(self, story: Story) -> None:
        async def whole() -> None:
            async with asyncio.timeout(PATIENCE_S):
                await story(MemoryNetwork(names={"localhost": [InternetAddress("127.0.0.1", 0)]}))

        asyncio.run(whole())


class NetworkContract:
    """What a network promises; ``world`` is a fixture that gives a World."""

    def test_who_connects_is_accepted(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                assert isinstance(listener.address, InternetAddress)
                assert listener.address.port
                async with await network.connect(f"tcp://{listener.address}", timeout_s=5) as client:
                    async with await listener.accept(timeout_s=5) as server:
                        assert (server.local, server.peer) == (client.peer, client.local)
                        assert server.network is network
                        assert client.network is network
                        await client.write(b"hello\n")
                        assert await server.read_line() == b"hello"
                    assert await client.read() == b""

        world.run(story)

    def test_several_wait_and_are_accepted_in_order(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                clients = [await network.connect(f"tcp://{listener.address}") for _ in range(5)]
                servers = [await listener.accept() for _ in clients]
                assert [server.peer for server in servers] == [client.local for client in clients]
                for connection in (*servers, *clients):
                    connection.abort()

        world.run(story)

    def test_a_name_leads_to_its_addresses(self, world: World) -> None:
        async def story(network: Network) -> None:
            addresses = await network.resolve("localhost", 80)
            assert InternetAddress("127.0.0.1", 80) in addresses
            assert await network.resolve("192.0.2.1", 7) == [InternetAddress("192.0.2.1", 7)]
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                assert isinstance(listener.address, InternetAddress)
                client = await network.connect(f"tcp://localhost:{listener.address.port}")
                client.abort()

        world.run(story)

    def test_nobody_listens(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                address = listener.address
            with pytest.raises(ConnectFailed) as caught:
                await network.connect(f"tcp://{address}")
            assert [where for where, _ in caught.value.attempts] == [str(address)]
            assert "refused" in str(caught.value)

        world.run(story)

    def test_an_address_is_listened_on_once(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                address = listener.address
                with pytest.raises(AddressInUse):
                    await network.listen(f"tcp://{address}")
            async with await network.listen(f"tcp://{address}") as again:
                assert again.address == address

        world.run(story)

    def test_accepting_has_its_timeout_and_its_end(self, world: World) -> None:
        async def story(network: Network) -> None:
            listener = await network.listen("tcp://127.0.0.1:0")
            with pytest.raises(TimeoutError):
                await listener.accept(timeout_s=0.01)
            with pytest.raises(TimeoutError):
                await listener.accept(timeout_s=0)
            await listener.close()
            await listener.close()
            with pytest.raises(ConnectionClosed):
                await listener.accept()

        world.run(story)

    def test_only_streams_are_listened_for(self, world: World) -> None:
        async def story(network: Network) -> None:
            with pytest.raises(UsageError):
                await network.listen("udp://127.0.0.1:0")

        world.run(story)

    def test_unix(self, world: World, tmp_path: Path) -> None:
        async def story(network: Network) -> None:
            path = str(tmp_path / "socket")
            async with await network.listen(f"unix:{path}") as listener:
                assert listener.address == UnixAddress(path)
                async with await network.connect(f"unix:{path}") as client, await listener.accept() as server:
                    assert client.peer == server.local == UnixAddress(path)
                    await client.write(b"hello")
                    assert await server.read() == b"hello"
                    await client.write_eof()
                    await server.write_eof()
                    assert await server.read() == await client.read() == b""
            with pytest.raises(ConnectFailed):
                await network.connect(f"unix:{path}")

        world.run(story)

    def test_datagrams(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with (
                await network.open_datagrams("udp://127.0.0.1:0") as server,
                await network.open_datagrams(f"udp://{server.address}", connect=True) as client,
            ):
                await client.send(b"question")
                message = await server.receive(timeout_s=5)
                assert (message.data, message.peer, message.local) == (b"question", client.address, server.address)
                await message.reply(b"answer")
                assert (await client.receive(timeout_s=5)).data == b"answer"
                with pytest.raises(TimeoutError):
                    await server.receive(timeout_s=0.01)

        world.run(story)

    def test_names_of_addresses(self, world: World) -> None:
        async def story(network: Network) -> None:
            # 192.0.2.0/24 is for documentation: nobody can register a name there, but a resolver may not answer.
            assert await network.name_of(InternetAddress("192.0.2.1", 0), timeout_s=0.05) is None
            assert await network.name_of(UnixAddress("/run/x")) is None

        world.run(story)

    def test_time_passes_forward(self, world: World) -> None:
        async def story(network: Network) -> None:
            started_s = network.now_s()
            await network.sleep(0.01)
            assert network.now_s() - started_s > 0.009
            await network.sleep(0)

        world.run(story)

    def test_blocking_calls_come_back_with_their_result(self, world: World) -> None:
        async def story(network: Network) -> None:
            assert await network.run_blocking(divmod, 17, 5) == (3, 2)
            with pytest.raises(ZeroDivisionError):
                await network.run_blocking(divmod, 1, 0)

        world.run(story)

    def test_blocking_calls_run_in_the_pool_that_is_given(self, world: World) -> None:
        async def story(network: Network) -> None:
            with ThreadPoolExecutor(1, thread_name_prefix="pool-of-one") as pool:
                names = [await network.run_blocking(current_thread_name, pool=pool) for _ in range(3)]
                with pytest.raises(ZeroDivisionError):
                    await network.run_blocking(divmod, 1, 0, pool=pool)
            assert world.keeps_pools is all(name.startswith("pool-of-one") for name in names)

        world.run(story)

    def test_work_goes_on_beside_who_started_it(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:

                async def answer() -> None:
                    async with await listener.accept(timeout_s=5) as server:
                        await server.write(b"I heard ", await server.read())

                work = network.start(answer())
                async with await network.connect(f"tcp://{listener.address}") as client:
                    assert not work.done
                    await client.write(b"you")
                    assert await client.read_exactly(11) == b"I heard you"
                await work.wait()
                assert work.done
                await work.wait()

        world.run(story)

    def test_what_work_raises_is_told_to_who_waits_for_it(self, world: World) -> None:
        async def fail() -> None:
            await network_of_work[0].sleep(0)
            raise KeyError("a bug")

        network_of_work: list[Network] = []

        async def story(network: Network) -> None:
            network_of_work.append(network)
            work = network.start(fail())
            with pytest.raises(KeyError):
                await work.wait()
            with pytest.raises(KeyError):
                await work.wait()

        world.run(story)

    def test_closing_a_listener_ends_the_waiting_for_somebody(self, world: World) -> None:
        async def story(network: Network) -> None:
            listener = await network.listen("tcp://127.0.0.1:0")
            address = listener.address
            waits = threading.Event()

            async def accept() -> None:
                waits.set()
                with pytest.raises(ConnectionClosed):
                    await listener.accept()

            work = network.start(accept())
            while not waits.is_set():
                await network.sleep(0.001)
            await listener.close()
            await work.wait()
            with pytest.raises(ConnectFailed):
                await network.connect(f"tcp://{address}")

        world.run(story)

    def test_a_connection_may_come_from_a_chosen_address(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                chosen = InternetAddress("127.0.0.1", 0)
                async with (
                    await network.connect(f"tcp://{listener.address}", local=chosen) as client,
                    await listener.accept() as server,
                ):
                    assert isinstance(client.local, InternetAddress)
                    assert client.local.host == "127.0.0.1"
                    assert client.local.port
                    assert server.peer == client.local

        world.run(story)

    def test_an_address_of_somebody_else_is_no_address_to_come_from(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                assert isinstance(listener.address, InternetAddress)
                with pytest.raises(AddressInUse):
                    await network.connect(f"tcp://{listener.address}", local=listener.address)

        world.run(story)


class KernelNetworkContract(NetworkContract):
    """What only a network of the kernel's sockets can promise."""

    def test_a_chosen_port_is_free_again_at_once(self, world: World) -> None:
        async def story(network: Network) -> None:
            chosen = InternetAddress("127.0.0.1", 0)
            for _ in range(3):
                async with (
                    await network.listen("tcp://127.0.0.1:0") as listener,
                    await network.connect(f"tcp://{listener.address}", local=chosen) as client,
                    await listener.accept() as server,
                ):
                    # Whoever closes first keeps the pair of addresses in TIME-WAIT: here that is our client.
                    assert isinstance(client.local, InternetAddress)
                    chosen = client.local
                    await client.write_eof()
                    assert await server.read() == b""
            assert chosen.port

        if not world.reuses_ports:
            pytest.skip("the loop binds without SO_REUSEADDR")
        world.run(story)

    def test_an_address_this_machine_does_not_have(self, world: World) -> None:
        async def story(network: Network) -> None:
            async with await network.listen("tcp://127.0.0.1:0") as listener:
                with pytest.raises(AddressNotAvailable):
                    await network.connect(f"tcp://{listener.address}", local=InternetAddress("192.0.2.1", 0))
                with pytest.raises(ConnectFailed, match="family"):
                    await network.connect(f"tcp://{listener.address}", local=InternetAddress("::1", 0))

        world.run(story)


def current_thread_name() -> str:
    return threading.current_thread().name
