"""Datagrams over an event loop's own datagram transport; see ``net.transport_network``.

A transport does not tell which of our addresses a datagram was sent to: on a socket for all of them, ``local`` is that
of the socket, and the answer leaves from where the routing table says.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, cast

from portside.address import Address, Endpoint, InternetAddress, from_sockaddr
from portside.errors import ConnectionClosed, NetworkError
from portside.net.closing import ClosedAtBlockEnd
from portside.net.drive import DONE
from portside.net.failures import translate
from portside.net.sockets import AF_INET, AF_INET6, sockaddr_of

if TYPE_CHECKING:
    from portside.net.transport_network import TransportNetwork

ARRIVED_MAX: Final = 256  # datagrams that nobody has received yet; more are lost, as in a kernel whose buffer is full


class TransportMessage:
    """A datagram with its return address. See ``contracts.Message``."""

    __slots__ = ("_datagrams", "_sockaddr", "data", "local", "peer")

    def __init__(self, data: bytes, sockaddr: Any, datagrams: TransportDatagrams) -> None:
        self.data = data
        self.peer = from_sockaddr(sockaddr)
        self.local = datagrams.address
        self._sockaddr = sockaddr
        self._datagrams = datagrams

    def reply(self, data: bytes) -> Awaitable[None]:
        """Send a datagram back, now; what is returned need not be awaited."""
        self._datagrams.send_nowait(data, self._sockaddr)
        return DONE


class TransportDatagrams(ClosedAtBlockEnd, asyncio.DatagramProtocol):
    """``contracts.Datagrams`` that is the protocol of a transport."""

    __slots__ = ("_address", "_arrived", "_closed", "_connected_to", "_room", "_some", "_transport", "_trouble")

    _transport: asyncio.DatagramTransport  # set by connection_made
    _address: Address

    def __init__(self, connected_to: InternetAddress | None = None) -> None:
        self._connected_to = connected_to
        self._arrived: deque[tuple[bytes, Any]] = deque()
        self._trouble: Exception | None = None  # what the network said of an earlier datagram of ours
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._address = from_sockaddr(transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, sockaddr: Any) -> None:
        if len(self._arrived) < ARRIVED_MAX:
            self._arrived.append((data, sockaddr))
            self._some.set()

    def error_received(self, error: Exception) -> None:
        self._trouble = error
        self._some.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self._some.set()
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    # What its user calls.

    @property
    def address(self) -> Address:
        return self._address

    async def receive(self, timeout_s: float | None = None) -> TransportMessage:
        async with asyncio.timeout(timeout_s):
            while not self._arrived:
                self._check()
                self._some.clear()
                await self._some.wait()
        self._check()
        data, sockaddr = self._arrived.popleft()
        return TransportMessage(data, sockaddr, self)

    async def send(self, data: bytes, peer: InternetAddress | None = None) -> None:
        self._check()
        if peer is None and self._connected_to is None:
            raise ValueError("the socket is not connected: say to whom the datagram goes")
        await self._room.wait()
        self._check()
        self.send_nowait(data, None if peer is None or peer == self._connected_to else self._sockaddr_of(peer))
        self._check()  # a datagram that is too long is told at once

    def send_nowait(self, data: bytes, sockaddr: Any) -> None:
        if not self._closed:
            self._transport.sendto(data, None if self._connected_to is not None else sockaddr)

    def _sockaddr_of(self, peer: InternetAddress) -> Any:
        is_6 = isinstance(self._address, InternetAddress) and ":" in self._address.host
        return sockaddr_of(peer, AF_INET6 if is_6 else AF_INET)

    def _check(self) -> None:
        trouble, self._trouble = self._trouble, None
        if isinstance(trouble, OSError):
            failure = translate(trouble, f"udp://{self._connected_to}" if self._connected_to else "")
            raise failure if isinstance(failure, NetworkError) else NetworkError(str(failure)) from trouble
        if self._closed:
            raise ConnectionClosed("the datagram socket is closed")

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._transport.close()
            self._some.set()
            self._room.set()


async def open_transport(
    network: TransportNetwork, endpoint: Endpoint, addresses: list[InternetAddress], *, connect: bool
) -> TransportDatagrams:
    """Return datagrams bound to the first of the addresses, or with ``connect`` to the first that a route leads to."""
    failure = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for address in addresses if connect else addresses[:1]:
        place = (address.host, address.port)
        try:
            _, datagrams = await network.loop.create_datagram_endpoint(
                lambda peer=address if connect else None: TransportDatagrams(peer),  # type: ignore[misc]
                local_addr=None if connect else place,
                remote_addr=place if connect else None,
            )
        except OSError as error:
            failure = error
        else:
            return datagrams
    raise translate(failure, str(endpoint)) from failure
