"""A handler on a connection of an event loop, and its peer; on a lane or over transports."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Self

from portside.net.event_network import EventNetwork
from portside.net.loop_stream import LoopStream
from portside.net.sockets import Socket, socketpair
from portside.net.transport import TransportConnection
from portside.net.transport_network import TransportNetwork
from portside.net.turns import Turns

Handler = Callable[[Any], Coroutine[Any, Any, None]]
Network = EventNetwork | TransportNetwork


class WatchedTransports(TransportNetwork):
    """Transports whose connections can be ended when a test is over."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[TransportConnection] = []

    def new_connection(self, made: Callable[[TransportConnection], None] | None = None) -> TransportConnection:
        self.made.append(super().new_connection(made))
        return self.made[-1]


def connections_of(network: Network) -> list[LoopStream]:
    """Return the connections that may still be open."""
    if isinstance(network, EventNetwork):
        return list(network.lane._connections.values())
    assert isinstance(network, WatchedTransports)
    return [connection for connection in network.made if not connection.is_detached]


def turns_of(network: Network) -> Turns:
    return network.lane if isinstance(network, EventNetwork) else network.turns


async def adopted(network: Network, sock: Socket) -> LoopStream:
    if isinstance(network, EventNetwork):
        return network.adopt(sock)
    return await network.adopt(sock)


class Peer:
    """The other end of a handler's connection, and how the handler came out."""

    def __init__(self, connection: LoopStream, served: LoopStream, sock: Socket) -> None:
        self.outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.socket = sock
        self.connection = connection
        self.served = served

    @classmethod
    async def of(cls, network: Network, handler: Handler, context: contextvars.Context | None = None) -> Self:
        """Start the handler on a new connection and return its peer."""
        ours, theirs = socketpair()
        peer = cls(await adopted(network, theirs), await adopted(network, ours), theirs)
        # As an accept callback does, outside of any task.
        network.loop.call_soon(lambda: peer.served.start(handler(peer.served), peer._finished, context))
        return peer

    def _finished(self, connection: LoopStream, error: BaseException | None) -> None:
        connection.finish()
        if not self.outcome.done():
            self.outcome.set_result(error)

    async def ended(self) -> BaseException | None:
        return await asyncio.wait_for(self.outcome, 10)


async def echo(visitor: LoopStream) -> None:
    async for data in visitor:
        await visitor.write(data)
