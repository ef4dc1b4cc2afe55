"""``contracts.Network`` under an event loop: connect, listen, resolve and wait without holding up anybody."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from portside.address import Address, Endpoint, InternetAddress, is_ip_literal
from portside.contracts import Network
from portside.errors import NameNotFound
from portside.net.deadline import Deadline
from portside.net.event import EventConnection
from portside.net.event_listener import EventListener
from portside.net.lane import Lane
from portside.net.loop_network import LoopNetwork, parsed, parsed_to_listen, secure
from portside.net.sockets import Socket, bind, listen_at, local_address

if TYPE_CHECKING:
    import ssl

    from portside.net.datagrams import EventDatagrams

Result = TypeVar("Result")

LOOK_UPS_AT_ONCE: Final = 32  # reverse look-ups may hang for as long as a resolver likes: they get threads of their own


class EventNetwork(LoopNetwork):
    """The kernel's sockets under one running event loop, asyncio's own or uvloop's.

    Use it inside the loop; ``close`` it (or leave its ``async with``) when the last connection is over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop)
        self.lane = Lane(self.loop)
        self._look_ups: ThreadPoolExecutor | None = None

    def adopt(self, sock: Socket, *, local: Address | None = None, peer: Address | None = None) -> EventConnection:
        """Return the connection over a connected socket, which is its from now on."""
        sock.setblocking(False)
        return EventConnection(sock, self.lane, self, local=local, peer=peer)

    async def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> EventConnection:
        from portside.net.dial_event import connect_event

        endpoint = parsed(endpoint)
        deadline = Deadline(self, timeout_s)
        connection = self.adopt(await connect_event(self.loop, endpoint, timeout_s, local=local))
        await secure(connection, endpoint, tls, server_name, deadline)
        return connection

    async def listen(self, endpoint: Endpoint | str) -> EventListener:
        endpoint = parsed_to_listen(endpoint)
        if endpoint.host and is_ip_literal(endpoint.host):
            sock = listen_at(endpoint)
            return EventListener(self, [sock], local_address(sock))
        # Only a name has to be looked up, and a thread takes longer than the rest.
        bounds = await self.run_blocking(bind, endpoint) if endpoint.host else bind(endpoint)
        return EventListener(self, [bound.socket for bound in bounds], bounds[0].address, bounds)

    async def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> EventDatagrams:
        from portside.net.datagrams import EventDatagrams, bind_datagrams, connect_datagrams

        endpoint = parsed(endpoint)
        if connect:
            sock = connect_datagrams(endpoint, await self.resolve(endpoint.host, endpoint.port))
        else:
            sock = await self.run_blocking(bind_datagrams, endpoint)
        return EventDatagrams(sock, self, self.loop)

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        from portside.net.resolve import addresses_of

        return await self.run_blocking(addresses_of, host, port)

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        from portside.net.resolve import reverse

        if self._look_ups is None:
            self._look_ups = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, thread_name_prefix="portside-name-of")
        looking = self.loop.run_in_executor(self._look_ups, reverse, address)
        try:
            async with asyncio.timeout(timeout_s):
                return await looking
        except (NameNotFound, TimeoutError):
            return None

    def close(self) -> None:
        self.lane.close()
        if self._look_ups is not None:
            self._look_ups.shutdown(wait=False, cancel_futures=True)


def _is_network(network: EventNetwork) -> Network:
    """Let mypy check that the class keeps the contract."""
    return network
