"""Listening under an event loop, for handlers that open a connection of their own.

Such a listener often waits for one connection only, which may be there already: so nothing is registered anywhere until
somebody has to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from portside.address import Address, from_sockaddr
from portside.errors import ConnectionClosed
from portside.net.closing import ClosedAtBlockEnd
from portside.net.parking import time_out, wake_future
from portside.net.sockets import Bound, Socket, accept_nowait, remove_path
from portside.net.turns import RUNNING

if TYPE_CHECKING:
    from portside.net.event import EventConnection
    from portside.net.event_network import EventNetwork


class EventListener(ClosedAtBlockEnd):
    """``contracts.Listener`` under an event loop."""

    __slots__ = ("_address", "_bounds", "_network", "_sockets", "_waiters")

    _parked: ClassVar[int] = RUNNING  # no handler parks here: the lane calls _note

    def __init__(
        self, network: EventNetwork, sockets: list[Socket], address: Address, bounds: Sequence[Bound] = ()
    ) -> None:
        """``bounds`` are those of sockets whose path is to be removed in the end."""
        self._network = network
        self._sockets = sockets
        self._address = address
        self._bounds = bounds
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def address(self) -> Address:
        return self._address

    async def accept(self, timeout_s: float | None = None) -> EventConnection:
        connection = self._accept_nowait()
        if connection is None and timeout_s == 0:
            raise TimeoutError("nobody has connected")
        until_s = None if timeout_s is None else self._network.loop.time() + timeout_s
        while connection is None:
            for sock in self._sockets:
                self._network.lane.watch_once(sock.fileno(), self)
            await self._wait(until_s)
            connection = self._accept_nowait()
        return connection

    def _accept_nowait(self) -> EventConnection | None:
        if not self._sockets:
            raise ConnectionClosed("the listener is closed")
        for listening in self._sockets:
            if (accepted := accept_nowait(listening)) is not None:
                sock, sockaddr = accepted
                return self._network.adopt(sock, peer=from_sockaddr(sockaddr))
        return None

    async def _wait(self, until_s: float | None) -> None:
        loop = self._network.loop
        waiter = loop.create_future()
        timer = None if until_s is None else loop.call_at(until_s, time_out, waiter)
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
            if timer is not None:
                timer.cancel()

    def _note(self, _: int) -> None:
        """The lane reports that somebody has come."""
        for waiter in self._waiters:
            wake_future(waiter)

    async def close(self) -> None:
        sockets, self._sockets = self._sockets, []
        if sockets:
            for bound in self._bounds:
                remove_path(bound)
        for sock in sockets:
            self._network.lane.unwatch(sock.fileno())
            sock.close()
        self._note(0)
