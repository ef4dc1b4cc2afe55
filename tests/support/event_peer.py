"""A handler on a connection of an event loop, and its peer."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from portside.net.event import EventConnection
from portside.net.event_network import EventNetwork
from portside.net.sockets import Socket, socketpair

Handler = Callable[[EventConnection], Coroutine[Any, Any, None]]


class Peer:
    """The other end of a handler's connection, and how the handler came out."""

    def __init__(self, network: EventNetwork, handler: Handler, context: contextvars.Context | None = None) -> None:
        ours, theirs = socketpair()
        self.outcome: asyncio.Future[BaseException | None] = network.loop.create_future()
        self.socket: Socket = theirs
        self.connection = network.adopt(theirs)
        self.served = network.adopt(ours)
        # As an accept callback does, outside of any task.
        network.loop.call_soon(lambda: self.served.start(handler(self.served), self._finished, context))

    def _finished(self, connection: EventConnection, error: BaseException | None) -> None:
        connection.finish()
        if not self.outcome.done():
            self.outcome.set_result(error)

    async def ended(self) -> BaseException | None:
        return await asyncio.wait_for(self.outcome, 10)


async def echo(visitor: EventConnection) -> None:
    async for data in visitor:
        await visitor.write(data)
