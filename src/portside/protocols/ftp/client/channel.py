"""The data connection: who connects to whom, and that it is nobody else.

Passive, the client connects to a port that the server names: EPSV (RFC 2428), or PASV where the server has no EPSV. Of
a PASV reply only the port is used. Its address is the server's own anyway, or that of a network behind NAT that nobody
can reach, or that of a third machine, which a server could make us talk to. Active, the server connects to a port of
ours: PORT, or EPRT over IPv6. Whoever else connects there is turned away.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.address import Endpoint, InternetAddress
from portside.contracts import Connection, Listener
from portside.errors import ConnectionClosed, PortsideError, UsageError
from portside.protocols.ftp.client.control import Control
from portside.protocols.ftp.client.errors import Refused
from portside.protocols.ftp.ports import build_eprt, build_port, parse_epsv_reply, parse_pasv_reply

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Protection:
    """How data connections are protected (PROT P). Their sessions resume the control connection's: many servers let
    nobody in otherwise, because it proves that both are the same client's.
    """

    context: ssl.SSLContext
    server_name: str


class Channel(ABC):
    """One data connection, from the moment it is agreed on. ``connection`` is None until it stands."""

    def __init__(self, control: Control, protection: Protection | None) -> None:
        self._control = control
        self._protection = protection
        self.connection: Connection | None = None

    @property
    def moved_bytes(self) -> int:
        """How many bytes have moved on it, either way."""
        return 0 if self.connection is None else self.connection.bytes_in + self.connection.bytes_out

    async def connected(self) -> Connection:
        """Return the connection, protected where that was agreed on; once the server has announced the transfer.

        Raises: ConnectionLost, TlsFailed, TimeoutError; ConnectionClosed when ``stop`` came first.
        """
        self.connection = connection = await self._stand()
        if self._protection is not None:
            await connection.start_tls(
                self._protection.context,
                server_side=False,
                server_name=self._protection.server_name,
                resume=self._control.connection,
            )
        return connection

    @abstractmethod
    async def _stand(self) -> Connection:
        """Return the connection as it is once somebody has connected."""

    async def stop(self) -> None:
        """Give it up at once: what is under way on it fails, and the server sees a reset."""
        if self.connection is not None:
            self.connection.end("stopped")
            self.connection.abort()


class PassiveChannel(Channel):
    """We have connected to the server."""

    def __init__(self, control: Control, protection: Protection | None, connection: Connection) -> None:
        super().__init__(control, protection)
        self.connection = connection

    async def _stand(self) -> Connection:
        assert self.connection is not None
        return self.connection


class ActiveChannel(Channel):
    """We wait for the server, on a port of our own."""

    def __init__(self, control: Control, protection: Protection | None, listener: Listener) -> None:
        super().__init__(control, protection)
        self._listener = listener

    async def _stand(self) -> Connection:
        network = self._control.network
        deadline_s = network.now_s() + self._control.timeout_s
        server = _host_of(self._control.connection.peer)
        try:
            while True:
                connection = await self._listener.accept(max(0.0, deadline_s - network.now_s()))
                if _host_of(connection.peer) == server:
                    return connection
                connection.abort()
        except TimeoutError as error:
            wait_s = self._control.timeout_s
            raise TimeoutError(f"the server did not open its data connection within {wait_s:g} s") from error
        finally:
            await self._listener.close()

    async def stop(self) -> None:
        await self._listener.close()
        await super().stop()


class Channels:
    """Agrees with the server on data connections, and remembers which ways it knows."""

    def __init__(self, control: Control, *, active: bool, protection: Protection | None = None) -> None:
        self._control = control
        self._active = active
        self._has_epsv = True
        self.protection = protection

    async def open(self) -> Channel:
        """Return a channel for the transfer that is asked for next.

        Raises: Refused when the server offers no way; ConnectFailed, TimeoutError.
        """
        return await (self._open_active() if self._active else self._open_passive())

    # ── passive ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _open_passive(self) -> Channel:
        port = await self._ask_for_port()
        control = self._control
        server = Endpoint("tcp", host=_host_of(control.connection.peer), port=port)
        try:
            connection = await control.network.connect(server, timeout_s=control.timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"no data connection to {server} within {control.timeout_s:g} s") from error
        return PassiveChannel(control, self.protection, connection)

    async def _ask_for_port(self) -> int:
        if self._has_epsv:
            try:
                return parse_epsv_reply((await self._control.ask("EPSV")).text)
            except Refused as refused:
                # IPv6 has no other way; and what may go well later is no reason to forget this one.
                if refused.is_temporary or ":" in _host_of(self._control.connection.peer):
                    raise
                self._has_epsv = False
        return parse_pasv_reply((await self._control.ask("PASV")).text).port

    # ── active ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _open_active(self) -> Channel:
        control = self._control
        host = _host_of(control.connection.local)
        listener = await control.network.listen(Endpoint("tcp", host=host, port=0))
        try:
            address = InternetAddress(host.partition("%")[0], _port_of(listener))  # a zone means nothing to others
            if ":" in host:
                await control.ask("EPRT", build_eprt(address))
            else:
                await control.ask("PORT", build_port(address))
        except BaseException:
            await listener.close()
            raise
        return ActiveChannel(control, self.protection, listener)


def _host_of(address: object) -> str:
    if not isinstance(address, InternetAddress):
        raise UsageError(f"FTP needs a host for its data connections, and {address} is none")
    return address.host


def _port_of(listener: Listener) -> int:
    address = listener.address
    assert isinstance(address, InternetAddress)
    return address.port


async def stop_quietly(channel: Channel) -> None:
    """Stop the channel where nobody is left to hear that it went wrong."""
    with contextlib.suppress(PortsideError, ConnectionClosed, OSError):
        await channel.stop()
