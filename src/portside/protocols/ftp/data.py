"""Data connections: how the next one will come about, and what must be true of it before a byte passes.

Source: RFC 959 section 3.2 and 3.3, RFC 2428, RFC 2577, RFC 4217 section 10.
"""

from __future__ import annotations

from typing import Final, Protocol

from portside.address import Endpoint, InternetAddress
from portside.contracts import Connection, Listener, Network
from portside.errors import AddressInUse, AddressNotAvailable, NetworkError, NotPermitted, PortsideError

CONTROL_PORT: Final = 21
DATA_PORT: Final = 20  # RFC 959 section 8; RFC 1123 section 4.1.2.12: active connections come from L-1


class CannotOpen(PortsideError):
    """The data connection did not come about; the sentence is for the client."""


class Way(Protocol):
    """How the next data connection comes about."""

    async def has_come(self) -> bool:
        """Return whether the connection is there: then ``open`` waits for nobody."""

    async def open(self, timeout_s: float) -> Connection:
        """Return the connection. Raises: CannotOpen."""

    async def close(self) -> None:
        """Do without; a pending ``open`` raises CannotOpen."""


class Passive:
    """The client connects to us, from the address its control connection has."""

    def __init__(self, network: Network, listener: Listener, peer_host: str) -> None:
        self._network = network
        self._listener = listener
        self._peer_host = peer_host
        self._come: Connection | None = None

    @property
    def port(self) -> int:
        address = self._listener.address
        assert isinstance(address, InternetAddress)
        return address.port

    async def has_come(self) -> bool:
        try:
            self._come = self._come or await self._accept(0)
        except (TimeoutError, PortsideError):
            return False
        return self._come is not None

    async def _accept(self, timeout_s: float) -> Connection | None:
        """Return who connects next; None if that is not the client."""
        connection = await self._listener.accept(timeout_s)
        if _host_of(connection) == self._peer_host:
            return connection
        connection.abort()  # whoever guessed the port: RFC 2577 section 4 calls it stealing
        return None

    async def open(self, timeout_s: float) -> Connection:
        come, self._come = self._come, None
        if come is not None:
            return come
        deadline_s = self._network.now_s() + timeout_s
        try:
            while (left_s := deadline_s - self._network.now_s()) >= 0:
                come = await self._accept(left_s)
                if come is not None:
                    return come
        except TimeoutError:
            pass
        except PortsideError as error:
            raise CannotOpen("The data connection was given up.") from error
        raise CannotOpen("Nobody connected to the port in time.")

    async def close(self) -> None:
        if self._come is not None:
            self._come.abort()
        await self._listener.close()


class Active:
    """We connect to where the client said."""

    def __init__(self, network: Network, address: InternetAddress, local: InternetAddress) -> None:
        self._network = network
        self._address = address
        self._local = local

    async def has_come(self) -> bool:
        return False

    async def open(self, timeout_s: float) -> Connection:
        target = Endpoint("tcp", host=self._address.host, port=self._address.port)
        try:
            if self._local.port == CONTROL_PORT:
                try:
                    return await self._connect(target, DATA_PORT, timeout_s)
                except (AddressInUse, AddressNotAvailable, NotPermitted):
                    pass  # low ports are for root, and the last connection of that pair may linger: any port then
            return await self._connect(target, 0, timeout_s)
        except (PortsideError, TimeoutError) as error:
            why = str(error) if isinstance(error, NetworkError) else "no answer in time"
            raise CannotOpen(f"{why[:1].upper()}{why[1:]}.") from error

    async def _connect(self, target: Endpoint, port: int, timeout_s: float) -> Connection:
        # From the address that the client knows us by: anything else is a stranger to its firewall.
        local = InternetAddress(self._local.host, port)
        return await self._network.connect(target, timeout_s=timeout_s, local=local)

    async def close(self) -> None:
        """There is nothing yet to close."""


def _host_of(connection: Connection) -> str:
    try:
        peer = connection.peer
    except PortsideError:  # gone already
        return ""
    return peer.host if isinstance(peer, InternetAddress) else ""
