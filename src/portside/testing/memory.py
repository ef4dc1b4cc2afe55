"""A network that only lives in memory: pairs of connections, and a world in which handlers find each other.

A read returns at most what one write wrote, so a test decides how the "network" cuts a stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from portside.address import Address, Endpoint, InternetAddress, UnixAddress, is_ip_literal, parse_endpoint
from portside.contracts import Network, Work
from portside.errors import AddressInUse, ConnectFailed, ConnectionClosed, NameNotFound, UsageError
from portside.net.closing import ClosedAtBlockEnd
from portside.net.deadline import Deadline
from portside.net.drive import DONE, drive
from portside.net.work import TaskWork
from portside.testing.pipes import (
    CAPACITY_BYTES,
    CLIENT,
    SERVER,
    UNBOUNDED_BYTES,
    MemoryConnection,
    Pipe,
    Stalled,
)

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Executor

__all__ = [
    "CAPACITY_BYTES",
    "CLIENT",
    "SERVER",
    "UNBOUNDED_BYTES",
    "MemoryConnection",
    "MemoryDatagrams",
    "MemoryListener",
    "MemoryMessage",
    "MemoryNetwork",
    "Pipe",
    "Stalled",
    "pair",
]

Result = TypeVar("Result")


def pair(
    *,
    capacity_bytes: int = CAPACITY_BYTES,
    network: Network | None = None,
    server: Address = SERVER,
    client: Address = CLIENT,
) -> tuple[MemoryConnection, MemoryConnection]:
    """Return the two ends of a connection: the server's, and the client's."""
    network = MemoryNetwork() if network is None else network
    to_server, to_client = Pipe(capacity_bytes), Pipe(capacity_bytes)
    return (
        MemoryConnection(to_server, to_client, network=network, local=server, peer=client),
        MemoryConnection(to_client, to_server, network=network, local=client, peer=server),
    )


class MemoryListener(ClosedAtBlockEnd):
    """Waits for connections of a ``MemoryNetwork``."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self._network = network
        self._address = address
        self._queue = Pipe(1)  # only its waiting is used
        self._waiting: deque[MemoryConnection] = deque()

    @property
    def address(self) -> Address:
        return self._address

    def offer(self, connection: MemoryConnection) -> None:
        self._waiting.append(connection)
        self._queue.wake()

    async def accept(self, timeout_s: float | None = None) -> MemoryConnection:
        deadline = Deadline(self._network, timeout_s)
        while not self._waiting:
            if self._network.listeners.get(self._address) is not self:
                raise ConnectionClosed("the listener is closed")
            await self._queue.change(deadline.left_s(), "somebody to connect")
        return self._waiting.popleft()

    async def close(self) -> None:
        self._network.listeners.pop(self._address, None)
        while self._waiting:
            self._waiting.popleft().abort()
        self._queue.wake()


class MemoryMessage:
    """A datagram in memory. See ``contracts.Message``."""

    __slots__ = ("_answer", "data", "local", "peer")

    def __init__(self, data: bytes, *, peer: Address, local: Address, answer: Callable[[bytes], None]) -> None:
        self.data = data
        self.peer = peer
        self.local = local
        self._answer = answer

    def reply(self, data: bytes) -> Awaitable[None]:
        self._answer(bytes(data))
        return DONE


class MemoryDatagrams(ClosedAtBlockEnd):
    """A datagram socket of a ``MemoryNetwork``. What is sent to where nobody is is lost."""

    def __init__(self, network: MemoryNetwork, address: InternetAddress, peer: InternetAddress | None) -> None:
        self._network = network
        self._address = address
        self._peer = peer
        self._waiting: deque[MemoryMessage] = deque()
        self._arrival = Pipe(1)  # only its waiting is used
        network.mailboxes[address] = self

    @property
    def address(self) -> InternetAddress:
        return self._address

    async def receive(self, timeout_s: float | None = None) -> MemoryMessage:
        deadline = Deadline(self._network, timeout_s)
        while not self._waiting:
            self._check_open()
            await self._arrival.change(deadline.left_s(), "a datagram")
        return self._waiting.popleft()

    async def send(self, data: bytes, peer: InternetAddress | None = None) -> None:
        self._check_open()
        target = self._peer if peer is None else peer
        if target is None:
            raise ValueError("the socket is not connected: say to whom the datagram goes")
        self._send(data, target)

    def _send(self, data: bytes, target: InternetAddress) -> None:
        mailbox = self._network.mailboxes.get(target)
        if mailbox is not None and mailbox._peer in {None, self._address}:
            sender = self._address

            def answer(words: bytes) -> None:
                mailbox._send(words, sender)

            mailbox._waiting.append(MemoryMessage(bytes(data), peer=sender, local=target, answer=answer))
            mailbox._arrival.wake()

    def _check_open(self) -> None:
        if self._network.mailboxes.get(self._address) is not self:
            raise ConnectionClosed("the datagram socket is closed")

    async def close(self) -> None:
        if self._network.mailboxes.get(self._address) is self:
            del self._network.mailboxes[self._address]
        self._arrival.wake()


class DoneWork:
    """Work that was done to its end when it began, because no loop runs that could go on with it."""

    __slots__ = ("_error",)

    done = True

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._error: Exception | None = None
        try:
            drive(coroutine, handler=getattr(coroutine, "__qualname__", "work"), model="memory")
        except Exception as error:
            self._error = error

    async def wait(self) -> None:
        if self._error is not None:
            raise self._error


class MemoryNetwork:
    """A world of one machine: whoever listens can be connected to, under the names in ``names``.

    Time is the running loop's; without a loop it stands still, except that ``sleep`` moves it.
    """

    def __init__(self, names: dict[str, list[InternetAddress]] | None = None) -> None:
        self.names = {} if names is None else names
        self.listeners: dict[Address, MemoryListener] = {}
        self.mailboxes: dict[InternetAddress, MemoryDatagrams] = {}
        self._at_work: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly
        self._slept_s = 0.0
        self._ports = iter(range(49_152, 65_536))  # the dynamic ports, RFC 6335 section 6

    async def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> MemoryConnection:
        endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        client = self._client_address(local)
        attempts = []
        for address in await self._addresses_of(endpoint):
            listener = self.listeners.get(address) or self._listener_of_all(address)
            if listener is not None:
                server_end, client_end = pair(network=self, server=address, client=client)
                listener.offer(server_end)
                if tls is not None:
                    await client_end.start_tls(tls, server_side=False, server_name=server_name or endpoint.host)
                return client_end
            attempts.append((str(address), "connection refused"))
        raise ConnectFailed(str(endpoint), tuple(attempts))

    def _client_address(self, local: InternetAddress | None) -> InternetAddress:
        if local is None:
            return InternetAddress(CLIENT.host, next(self._ports))
        if local in self.listeners:
            raise AddressInUse(f"tcp://{local}")
        return InternetAddress(local.host, local.port or next(self._ports))

    async def _addresses_of(self, endpoint: Endpoint) -> list[Address]:
        if endpoint.scheme == "unix":
            return [UnixAddress(endpoint.path)]
        return list(await self.resolve(endpoint.host, endpoint.port))

    def _listener_of_all(self, address: Address) -> MemoryListener | None:
        if not isinstance(address, InternetAddress):
            return None
        return self.listeners.get(InternetAddress("::", address.port))

    async def listen(self, endpoint: Endpoint | str) -> MemoryListener:
        endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        if endpoint.scheme == "unix":
            address: Address = UnixAddress(endpoint.path)
        elif endpoint.scheme == "tcp":
            address = InternetAddress(endpoint.host, endpoint.port or next(self._ports))
        else:
            raise UsageError(f"nobody listens on {endpoint} in memory")
        if address in self.listeners:
            raise AddressInUse(str(endpoint))
        listener = self.listeners[address] = MemoryListener(self, address)
        return listener

    async def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> MemoryDatagrams:
        endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        if connect:
            peer = (await self.resolve(endpoint.host, endpoint.port))[0]
            return MemoryDatagrams(self, InternetAddress(CLIENT.host, next(self._ports)), peer)
        address = InternetAddress(endpoint.host, endpoint.port or next(self._ports))
        if address in self.mailboxes:
            raise AddressInUse(str(endpoint))
        return MemoryDatagrams(self, address, None)

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        if host in self.names:
            return [InternetAddress(address.host, port or address.port) for address in self.names[host]]
        if is_ip_literal(host):
            return [InternetAddress(host, port)]
        raise NameNotFound(host, "there is no such name in this world")

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        if not isinstance(address, InternetAddress):
            return None
        hosts = ((name, known.host) for name, addresses in self.names.items() for known in addresses)
        return next((name for name, host in hosts if host == address.host), None)

    async def sleep(self, seconds: float) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._slept_s += seconds
        else:
            await asyncio.sleep(seconds)

    def now_s(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return self._slept_s

    async def run_blocking(
        self, function: Callable[..., Result], *arguments: Any, pool: Executor | None = None
    ) -> Result:
        return function(*arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> Work:
        """Without a loop the work is done at once, all of it; one that would have to wait fails with Stalled."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return DoneWork(work)
        task = loop.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return TaskWork(task)
