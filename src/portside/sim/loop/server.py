"""Servers as asyncio has them: listeners, and the connections that came by them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from portside.sim.loop.transport import StreamTransport

if TYPE_CHECKING:
    from portside.sim.loop.loop import SimLoop

WAITS_FOR_CONNECTIONS = sys.version_info >= (3, 12, 1)  # what Server.wait_closed does


class Server(asyncio.AbstractServer):
    """See ``asyncio.Server``. ``opens`` are functions that begin to listen: ``(ready) -> listener``."""

    def __init__(
        self,
        loop: SimLoop,
        opens: list[Callable[[Callable[[], object]], Any]],
        factory: Callable[[], asyncio.BaseProtocol],
        make: Callable[[Any, Any, Any], object] | None,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._make = make
        self._is_serving = False
        self._is_closed = False
        self._attached: dict[Any, None] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None
        self._listeners: list[Any] = []
        try:
            for open_one in opens:
                place = len(self._listeners)
                listener = open_one(partial(loop.step, partial(self._accept, place)))
                listener.hears = False  # it is bound; it listens when it is asked to serve
                self._listeners.append(listener)
        except BaseException:
            for listener in self._listeners:
                listener.close()
            raise

    def _accept(self, place: int) -> None:
        if not self._is_serving:
            return
        listener = self._listeners[place]
        while (connection := listener.accept()) is not None:
            protocol = self._factory()
            if self._make is not None:
                self._make(connection, protocol, self)
            else:
                StreamTransport(self._loop, connection, protocol, server=self)

    def attach(self, transport: Any) -> None:
        self._attached[transport] = None

    def detach(self, transport: Any) -> None:
        self._attached.pop(transport, None)
        if not self._attached and self._is_closed:
            self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # ── asyncio.Server ───────────────────────────────────────────────────────────────────────────────────────────────

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._is_serving

    @property
    def sockets(self) -> tuple[Any, ...]:
        return () if self._is_closed else tuple(self._loop.view(listener) for listener in self._listeners)

    def begin(self) -> None:
        """Begin to accept."""
        if self._is_closed:
            raise RuntimeError(f"server {self!r} is closed")
        if not self._is_serving:
            self._is_serving = True
            for place, listener in enumerate(self._listeners):
                listener.hears = True
                self._accept(place)

    async def start_serving(self) -> None:
        self.begin()
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self.begin()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed, self._is_serving = True, False
        for listener in self._listeners:
            listener.close()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        if not self._attached:
            self._wake()

    def close_clients(self) -> None:
        for transport in list(self._attached):
            transport.close()

    def abort_clients(self) -> None:
        for transport in list(self._attached):
            transport.abort()

    async def wait_closed(self) -> None:
        if self._is_closed and not (WAITS_FOR_CONNECTIONS and self._attached):
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()
