"""What a loop opens: connections, datagrams and unix sockets, with or without TLS."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio import sslproto, staggered
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from portside.sim.addresses import MAPPED
from portside.sim.here import Machine
from portside.sim.loop import addrinfo
from portside.sim.loop.datagrams import DatagramTransport
from portside.sim.loop.reading import Reading
from portside.sim.loop.serving import Secured, Serving, simulated
from portside.sim.loop.transport import StreamTransport

if TYPE_CHECKING:
    from portside.sim.loop.loop import SimLoop


class _Opening:
    """The user of a connection until its handshake is done."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def established(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def failed(self, error: OSError) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    def readable(self) -> None:
        """Hear it later: whoever takes over looks."""

    writable = finished = readable


class Opening(Serving, Reading):
    """The part of ``SimLoop`` that opens things."""

    machine: Machine

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_connection(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: Any = None,
        local_addr: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> Any:
        server_hostname = _server_name(ssl, server_hostname, host, ssl_handshake_timeout)
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            connection = simulated(sock).take_connection()
        elif host is None and port is None:
            raise ValueError("host and port was not specified and no sock specified")
        else:
            infos = await addrinfo.look_up(self.machine, host, port, family, socket.SOCK_STREAM, proto, flags)
            if interleave is None and happy_eyeballs_delay is not None:
                interleave = 1
            infos = _interleaved(infos, interleave) if interleave else infos
            connection = await self._first_of(infos, local_addr, happy_eyeballs_delay, all_errors=all_errors)
        return await self._begin(
            connection,
            protocol_factory,
            ssl,
            server_hostname,
            handshake_timeout=ssl_handshake_timeout,
            shutdown_timeout=ssl_shutdown_timeout,
        )

    async def _first_of(self, infos: list[Any], local_addr: Any, delay: float | None, *, all_errors: bool) -> Any:
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        errors: list[OSError] = []
        if delay is None:
            for info in infos:
                try:
                    return await self._connect(info, local_addr)
                except OSError as error:
                    errors.append(error)
        else:
            loop: Any = self
            attempts = [partial(self._attempt, info, local_addr, errors) for info in infos]
            connection, _, _ = await staggered.staggered_race(attempts, delay, loop=loop)
            if connection is not None:
                return connection
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        if len(errors) == 1 or all(str(error) == str(errors[0]) for error in errors):
            raise errors[0]
        raise OSError(f"Multiple exceptions: {', '.join(str(error) for error in errors)}")

    async def _attempt(self, info: Any, local_addr: Any, errors: list[OSError]) -> Any:
        try:
            return await self._connect(info, local_addr)
        except OSError as error:
            errors.append(error)
            raise

    async def _connect(self, info: Any, local_addr: Any) -> Any:
        """Return a connection to one address, its handshake done. Raises: OSError."""
        family, address = info[0], info[4]
        local = None
        if local_addr is not None:
            (found, *_) = await addrinfo.look_up(self.machine, local_addr[0], local_addr[1], family, socket.SOCK_STREAM)
            local = addrinfo.end_of(found[4], family)
        return await self.connect_to(addrinfo.end_of(address, family), local, address)

    async def connect_to(self, remote: Any, local: Any, address: Any) -> Any:
        """Return a connection to an end. Raises: OSError, with the address in its words as asyncio has it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection: Any = None
        try:
            connection = self.machine.stack.tcp.connect(_Opening(future), remote, local)
            await future
        except OSError as error:
            if local is not None and error.errno in {errno.EADDRNOTAVAIL, errno.EADDRINUSE}:
                told = f"error while attempting to bind on address {addrinfo.sockaddr(local)!r}: {str(error).lower()}"
                raise OSError(error.errno, told) from None
            raise OSError(error.errno, f"Connect call failed {address}") from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        return connection

    async def _begin(
        self,
        connection: Any,
        factory: Callable[[], Any],
        ssl: Any,
        server_hostname: str | None,
        *,
        server_side: bool = False,
        extra: dict[str, Any] | None = None,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """Give a connection a transport and a protocol, and wait until they are one."""
        loop: Any = self
        protocol = factory()
        waiter: asyncio.Future[None] = loop.create_future()
        if ssl is None or ssl is False:
            transport: Any = StreamTransport(loop, connection, protocol, waiter, extra=extra)
        else:
            context = _context_of(ssl, server_side=server_side)
            secured = Secured(
                loop,
                protocol,
                context,
                waiter,
                server_side,
                server_hostname,
                ssl_handshake_timeout=handshake_timeout,
                ssl_shutdown_timeout=shutdown_timeout,
            )
            StreamTransport(loop, connection, secured, extra=extra)
            transport = secured._app_transport
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def connect_accepted_socket(
        self,
        protocol_factory: Any,
        sock: Any,
        *,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        return await self._begin(
            simulated(sock).take_connection(),
            protocol_factory,
            ssl,
            None,
            server_side=True,
            handshake_timeout=ssl_handshake_timeout,
            shutdown_timeout=ssl_shutdown_timeout,
        )

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        if not isinstance(transport, StreamTransport) and not hasattr(transport, "_ssl_protocol"):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        loop: Any = self
        waiter: asyncio.Future[None] = loop.create_future()
        secured = Secured(
            loop,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            call_connection_made=False,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        transport.pause_reading()
        transport.set_protocol(secured)
        made = loop.call_soon(secured.connection_made, transport)
        resumed = loop.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            made.cancel()
            resumed.cancel()
            raise
        return secured._app_transport

    # ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_datagram_endpoint(
        self,
        protocol_factory: Any,
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: Any = None,
    ) -> Any:
        loop: Any = self
        if sock is not None:
            taken = simulated(sock)
            family, open_socket = taken.family, taken.take_datagrams
        else:
            kind = socket.SOCK_DGRAM
            local = remote = None
            if local_addr is not None:
                (found, *_) = await addrinfo.look_up(
                    self.machine, local_addr[0], local_addr[1], family, kind, proto, flags
                )
                family, local = found[0], addrinfo.end_of(found[4], found[0])
            if remote_addr is not None:
                (found, *_) = await addrinfo.look_up(
                    self.machine, remote_addr[0], remote_addr[1], family, kind, proto, flags
                )
                family, remote = found[0], addrinfo.end_of(found[4], found[0])
            if local is None and remote is None and not family:
                raise ValueError("unexpected address family")
            open_socket = partial(
                self._open_datagrams, family, local, remote, bool(reuse_port), broadcast=bool(allow_broadcast)
            )
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = loop.create_future()
        transport = DatagramTransport(loop, open_socket, protocol, waiter, family)
        await waiter
        return transport, protocol

    def _open_datagrams(self, family: int, local: Any, remote: Any, reuse: bool, user: Any, *, broadcast: bool) -> Any:
        local = local or (0 if family == socket.AF_INET6 else MAPPED, 0)
        made = self.machine.stack.udp.open(user, local, reuse=reuse, broadcast=broadcast, only_v6=True)
        if remote is not None:
            made.connect(remote)
        return made

    # ── unix sockets ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_unix_connection(
        self,
        protocol_factory: Any,
        path: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        loop: SimLoop = self  # type: ignore[assignment]
        if sock is not None:
            connection = simulated(sock).take_connection()
        else:
            path = os.fsdecode(path)
            try:
                connection = loop.unix_names.connect(path)
            except OSError as error:
                raise OSError(error.errno, os.strerror(error.errno or 0), path) from None
        return await self._begin(
            connection,
            protocol_factory,
            ssl,
            server_hostname or ("" if ssl else None),
            handshake_timeout=ssl_handshake_timeout,
            shutdown_timeout=ssl_shutdown_timeout,
        )


def _server_name(ssl: Any, server_hostname: str | None, host: Any, handshake_timeout: float | None) -> str | None:
    if not ssl:
        if server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        if handshake_timeout is not None:
            raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
        return None
    if server_hostname is None:
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        return str(host)
    return server_hostname


def _context_of(ssl: Any, *, server_side: bool) -> Any:
    if not isinstance(ssl, bool):
        return ssl
    return sslproto._create_transport_context(server_side, None)


def _interleaved(infos: list[Any], first: int) -> list[Any]:
    """Return addresses with their families in turn: RFC 8305 section 4, as asyncio does."""
    by_family: dict[Any, list[Any]] = {}
    for info in infos:
        by_family.setdefault(info[0], []).append(info)
    families = list(by_family.values())
    ordered = families[0][: first - 1]
    del families[0][: first - 1]
    while any(families):
        ordered += [family.pop(0) for family in families if family]
    return ordered
