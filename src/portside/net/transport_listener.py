"""Listening through an event loop's own servers; see ``net.transport_network``."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from portside.address import ANY_HOST, Address, Endpoint, UnixAddress, from_sockaddr
from portside.errors import AddressInUse, AddressNotAvailable, ConnectionClosed
from portside.net.closing import ClosedAtBlockEnd
from portside.net.failures import translate
from portside.net.sockets import IPPROTO_IPV6, IPV6_V6ONLY

if TYPE_CHECKING:
    from portside.net.transport import TransportConnection
    from portside.net.transport_network import TransportNetwork

WAITING_MAX: Final = 1_024  # connections that nobody has accepted yet; more are turned away, as by a full backlog
ANY_HOST_4: Final = "0.0.0.0"
TRIES: Final = 8  # for a free port: the one that suits a family may be taken in the other


class TransportListener(ClosedAtBlockEnd):
    """``contracts.Listener`` over one server of the loop's or several. ``open`` it before use."""

    __slots__ = ("_address", "_closed", "_file", "_network", "_servers", "_some", "_waiting")

    _address: Address  # set by open

    def __init__(self, network: TransportNetwork) -> None:
        self._network = network
        self._servers: list[Any] = []
        self._waiting: deque[TransportConnection] = deque()
        self._some = asyncio.Event()
        self._closed = False
        self._file: tuple[int, int] | None = None  # the unix path's file, where there is one

    @property
    def address(self) -> Address:
        return self._address

    async def accept(self, timeout_s: float | None = None) -> TransportConnection:
        async with asyncio.timeout(timeout_s):
            while not self._waiting:
                if self._closed:
                    raise ConnectionClosed("the listener is closed")
                self._some.clear()
                await self._some.wait()
        return self._waiting.popleft()

    def _new_connection(self) -> TransportConnection:
        return self._network.new_connection(self._accepted)

    def _accepted(self, connection: TransportConnection) -> None:
        if self._closed or len(self._waiting) >= WAITING_MAX:
            connection.abort()
        else:
            self._waiting.append(connection)
            self._some.set()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._file is not None and isinstance(self._address, UnixAddress):
            _remove(self._address.path, self._file)
        self._close_servers()
        while self._waiting:
            self._waiting.popleft().abort()
        self._some.set()

    def _close_servers(self) -> None:
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, endpoint: Endpoint) -> None:
        """Begin to listen on a tcp, tls or unix endpoint. Raises: as ``contracts.Network.listen``."""
        if endpoint.scheme == "unix":
            await self._open_unix(endpoint)
            return
        hosts = [ANY_HOST]
        if endpoint.host != ANY_HOST:
            hosts = [address.host for address in await self._network.resolve(endpoint.host)]
        for left in reversed(range(1 if endpoint.port else TRIES)):
            try:
                await self._open_all(endpoint, hosts)
                return
            except BaseException as error:
                self._close_servers()
                if not left or not isinstance(error, AddressInUse):
                    raise

    async def _open_all(self, endpoint: Endpoint, hosts: list[str]) -> None:
        """Listen on every host at one port, and on both families where the one host is all of both."""
        port = endpoint.port
        for host in hosts:
            try:
                port = await self._open_one(endpoint, host, port)
            except AddressNotAvailable:
                if host != ANY_HOST:
                    raise
                await self._open_one(endpoint, ANY_HOST_4, port)  # a machine without IPv6
                return
            if host == ANY_HOST and _is_ipv6_only(self._servers[-1]):
                await self._open_one(endpoint, ANY_HOST_4, port)

    async def _open_one(self, endpoint: Endpoint, host: str, port: int) -> int:
        """Listen on one host and return the real port."""
        try:
            server: Any = await self._network.loop.create_server(
                self._new_connection, host, port, backlog=endpoint.options.backlog
            )
        except OSError as error:
            raise translate(error, str(endpoint.with_port(port))) from error
        sockname = server.sockets[0].getsockname()
        if not self._servers:
            self._address = from_sockaddr(sockname)
        self._servers.append(server)
        return int(sockname[1])

    async def _open_unix(self, endpoint: Endpoint) -> None:
        address = UnixAddress(endpoint.path)
        path = "\0" + address.path[1:] if address.is_abstract else address.path
        loop = self._network.loop
        if not address.is_abstract and await _is_alive(loop, path):
            raise AddressInUse(str(endpoint))  # the loop would put its own file in its place
        try:
            server = await loop.create_unix_server(self._new_connection, path, backlog=endpoint.options.backlog)
        except OSError as error:
            raise translate(error, str(endpoint)) from error
        self._address = address
        self._servers.append(server)
        self._file = None if address.is_abstract else _identity(path)
        if endpoint.mode is not None and self._file is not None:
            os.chmod(path, endpoint.mode)


async def _is_alive(loop: asyncio.AbstractEventLoop, path: str) -> bool:
    try:
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, path)
    except OSError:
        return False
    transport.abort()
    return True


def _is_ipv6_only(server: Any) -> bool:
    try:
        return bool(server.sockets[0].getsockopt(IPPROTO_IPV6, IPV6_V6ONLY))
    except (OSError, AttributeError, NotImplementedError):
        return False  # a loop that does not know the option does not make the difference


def _remove(path: str, file: tuple[int, int]) -> None:
    """Remove the path if it still is that file: as long as its server is open the inode's number is nobody else's."""
    if _identity(path) == file:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None  # the loop's paths are not those of this machine's files
    return found.st_dev, found.st_ino
