"""Joining two programs, one at each end of a connection, on every kind of connection there is."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

from portside.address import InternetAddress, parse_endpoint
from portside.net.blocking import NETWORK, BlockingConnection
from portside.net.drive import drive
from portside.net.sockets import SHUT_WR, Socket, accept_nowait, bind, open_stream, sockaddr_of, socketpair
from portside.net.stream import Stream
from portside.testing.memory import MemoryNetwork, pair

Program: TypeAlias = Callable[[Stream], Coroutine[Any, Any, None]]
TlsContexts: TypeAlias = tuple[ssl.SSLContext, ssl.SSLContext]
"""The server's, and that of a client which trusts it under the name SERVER_NAME."""

SERVER_NAME: Final = "server.example"
PATIENCE_S: Final = 20.0  # a test that takes longer hangs
BIG_BYTES: Final = 6 << 20  # more than any socket buffer holds


# ── joining two programs ─────────────────────────────────────────────────────────────────────────────────────────────


class Pairs(ABC):
    """Makes pairs of connected connections. With ``tls`` each program starts when the handshake is done."""

    can_reset = True  # unix sockets know no reset: an abort there is a close

    def __init__(self, *, tls: TlsContexts | None = None) -> None:
        self.tls = tls

    def run(self, server: Program, client: Program) -> None:
        """Run the programs to their ends, each on its end of one connection, close both, raise what they raised."""
        errors = self._run(self._whole(server, is_server=True), self._whole(client, is_server=False))
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("both ends failed", errors)

    def _whole(self, program: Program, *, is_server: bool) -> Program:
        async def whole(connection: Stream) -> None:
            async with connection:
                if self.tls is not None:
                    server_context, client_context = self.tls
                    context = server_context if is_server else client_context
                    name = None if is_server else SERVER_NAME
                    await connection.start_tls(context, server_side=is_server, server_name=name)
                await program(connection)

        return whole

    @abstractmethod
    def _run(self, server: Program, client: Program) -> list[BaseException]: ...

    @abstractmethod
    def cut(self, connection: Any) -> None:
        """End our stream as an attacker on the way would: beneath TLS, which says nothing of it."""


def connected_sockets(kind: str = "tcp") -> tuple[Socket, Socket]:
    """Return a server's and a client's end: ``unix``, or ``tcp``, over IPv4 through a dual-stack listener."""
    if kind == "unix":
        server, client = socketpair()
        return server, client
    (bound,) = bind(parse_endpoint("tcp://[::]:0"))
    with bound.socket:
        address = InternetAddress("127.0.0.1", bound.endpoint.port)
        client = open_stream(address)
        client.setblocking(True)
        client.connect(sockaddr_of(address))
        accepted = accept_nowait(bound.socket)  # over loopback the connection stands when connect() returns
        assert accepted is not None
        return accepted[0], client


class BlockingPairs(Pairs):
    """Blocking sockets, each end in a thread of its own, driven without a loop."""

    def __init__(self, kind: str = "tcp", *, tls: TlsContexts | None = None) -> None:
        super().__init__(tls=tls)
        self._kind = kind
        self.can_reset = kind != "unix"

    def cut(self, connection: Any) -> None:
        connection._socket.shutdown(SHUT_WR)

    def _run(self, server: Program, client: Program) -> list[BaseException]:
        ends = [BlockingConnection(sock, network=NETWORK) for sock in connected_sockets(self._kind)]
        errors: list[BaseException] = []

        def serve(program: Program, connection: BlockingConnection) -> None:
            try:
                drive(program(connection), handler="contract", model="thread")
            except BaseException as error:
                errors.append(error)

        def give_up() -> None:
            for end in ends:
                end.end("stopped")

        watchdog = threading.Timer(PATIENCE_S, give_up)
        watchdog.daemon = True
        watchdog.start()
        thread = threading.Thread(target=serve, args=(server, ends[0]), daemon=True)
        thread.start()
        serve(client, ends[1])
        thread.join()
        watchdog.cancel()
        return errors


class LoopPairs(Pairs):
    """Both ends as tasks of one event loop."""

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        *,
        tls: TlsContexts | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self._loop_factory = loop_factory

    def _run(self, server: Program, client: Program) -> list[BaseException]:
        async def both() -> list[BaseException]:
            async with asyncio.timeout(PATIENCE_S), self._connected(server, client) as ends:
                results = await asyncio.gather(*ends, return_exceptions=True)
            return [result for result in results if result is not None]

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            return runner.run(both())

    @abstractmethod
    def _connected(
        self, server: Program, client: Program
    ) -> contextlib.AbstractAsyncContextManager[Sequence[asyncio.Future[None]]]:
        """Connect, start both programs, and return what tells of their ends."""


class MemoryPairs(LoopPairs):
    """Connections that only live in memory."""

    def cut(self, connection: Any) -> None:
        connection._outgoing.finish()

    @contextlib.asynccontextmanager
    async def _connected(self, server: Program, client: Program):  # type: ignore[no-untyped-def]
        server_end, client_end = pair(network=MemoryNetwork())
        yield [asyncio.ensure_future(server(server_end)), asyncio.ensure_future(client(client_end))]


class HandlerPairs(LoopPairs):
    """One end run as a handler that parks on its connection, as a service does, the other used by an ordinary task."""

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        *,
        kind: str = "tcp",
        handler_is_client: bool = False,
        tls: TlsContexts | None = None,
    ) -> None:
        super().__init__(loop_factory, tls=tls)
        self._kind = kind
        self.can_reset = kind != "unix"
        self._handler_is_client = handler_is_client

    def cut(self, connection: Any) -> None:
        connection._shut_down()
        connection._shut = True  # nothing more can be said

    @contextlib.asynccontextmanager
    async def _connected(self, server: Program, client: Program):  # type: ignore[no-untyped-def]
        network = self._network()
        server_end, client_end = [await self._adopted(network, sock) for sock in connected_sockets(self._kind)]
        by_handler, by_task = ((client_end, client), (server_end, server))[:: 1 if self._handler_is_client else -1]
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def finished(connection: Stream, error: BaseException | None) -> None:
            if error is None:
                over.set_result(None)
            else:
                over.set_exception(error)

        by_handler[0].start(by_handler[1](by_handler[0]), finished)
        try:
            yield [over, asyncio.ensure_future(by_task[1](by_task[0]))]
            await until(network, lambda: self._is_gone(server_end) and self._is_gone(client_end))
        finally:
            network.close()

    @abstractmethod
    def _network(self) -> Any: ...

    @abstractmethod
    async def _adopted(self, network: Any, sock: Socket) -> Any:
        """Return the network's connection over the socket."""

    @abstractmethod
    def _is_gone(self, connection: Any) -> bool: ...


class EventPairs(HandlerPairs):
    """Connections on an epoll lane."""

    def _network(self) -> Any:
        from portside.net.event_network import EventNetwork

        return EventNetwork()

    async def _adopted(self, network: Any, sock: Socket) -> Any:
        return network.adopt(sock)

    def _is_gone(self, connection: Any) -> bool:
        return connection._socket.fileno() < 0  # type: ignore[no-any-return]


class TransportPairs(HandlerPairs):
    """Connections over the loop's transports."""

    def _network(self) -> Any:
        from portside.net.transport_network import TransportNetwork

        return TransportNetwork()

    async def _adopted(self, network: Any, sock: Socket) -> Any:
        return await network.adopt(sock)

    def _is_gone(self, connection: Any) -> bool:
        return connection.is_detached  # type: ignore[no-any-return]


async def until(network: Any, fact: Callable[[], object]) -> None:
    """Wait until the fact holds, on whatever network this is."""
    started_s = network.now_s()
    while not fact():
        assert network.now_s() < started_s + PATIENCE_S, "it never came true"
        await network.sleep(0.001)


async def nothing(connection: Stream) -> None:
    """Close at once."""


async def read_all(connection: Stream) -> bytes:
    return b"".join([data async for data in connection])


def says(*pieces: bytes) -> Program:
    """Return a program that writes the pieces, half-closes, and waits for the other end to close."""

    async def program(connection: Stream) -> None:
        for piece in pieces:
            await connection.write(piece)
        await connection.write_eof()
        await read_all(connection)

    return program


def pattern(size: int, step: int = 251) -> bytes:
    """Return bytes in which no two places look alike for long: a prime step never falls in with a power of two."""
    return (bytes(range(step)) * (size // step + 1))[:size]
