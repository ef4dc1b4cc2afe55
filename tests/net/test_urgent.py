"""Bytes sent as urgent stay where they belong in their stream: FTP clients send the end of ABOR so (RFC 959, 4.1.3)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from portside.address import InternetAddress
from portside.contracts import Listener
from portside.net.blocking import NETWORK
from portside.net.drive import drive
from portside.net.event_network import EventNetwork

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

URL = "tcp://127.0.0.1:0"


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.settimeout(20)
        yield sock


def send_urgent_end(client: socket.socket, listener: Listener) -> None:
    """Connect and send a line as Python's ftplib sends ABOR: all of it urgent, of which TCP keeps the last byte so."""
    assert isinstance(listener.address, InternetAddress)
    client.connect((listener.address.host, listener.address.port))
    client.send(b"ABOR\r\n", socket.MSG_OOB)


def test_a_blocking_reader_gets_an_urgent_byte_in_its_place(client: socket.socket) -> None:
    async def main() -> bytes | None:
        async with await NETWORK.listen(URL) as listener:
            send_urgent_end(client, listener)
            async with await listener.accept(20) as served:
                line = await served.read_line(timeout_s=20)
                client.close()
                return line

    assert drive(main(), handler="test", model="blocking") == b"ABOR"


def test_a_task_gets_an_urgent_byte_in_its_place(client: socket.socket, loop_factory: LoopFactory) -> None:
    async def main() -> bytes | None:
        async with EventNetwork() as network, await network.listen(URL) as listener:
            send_urgent_end(client, listener)
            async with await listener.accept(20) as served:
                return await served.read_line(timeout_s=20)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == b"ABOR"


def test_a_handler_that_waits_already_gets_an_urgent_byte_in_its_place(
    client: socket.socket, loop_factory: LoopFactory
) -> None:
    """A read stops before the urgent byte: a short one does not show that nothing more is there."""

    async def main() -> bytes | None:
        async with EventNetwork() as network, await network.listen(URL) as listener:
            assert isinstance(listener.address, InternetAddress)
            client.connect((listener.address.host, listener.address.port))
            served = await listener.accept(20)
            read: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

            async def handler() -> None:
                read.set_result(await served.read_line())

            served.start(handler(), lambda connection, error: None)
            await asyncio.sleep(0)  # the handler is parked now
            client.send(b"ABOR\r\n", socket.MSG_OOB)
            async with asyncio.timeout(20):
                line = await read
            served.abort()
            return line

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == b"ABOR"
