"""What a loop serves: servers over TCP and over unix sockets, with or without TLS."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio import sslproto
from functools import partial
from typing import TYPE_CHECKING, Any

from portside.sim.here import Machine
from portside.sim.loop import addrinfo
from portside.sim.loop.server import Server
from portside.sim.loop.transport import StreamTransport
from portside.sim.sockets import SimSocket

if TYPE_CHECKING:
    from portside.sim.loop.loop import SimLoop

Secured: Any = sslproto.SSLProtocol  # whose annotations say less than it takes


class Serving:
    """The part of ``SimLoop`` that listens."""

    machine: Machine

    async def create_server(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Server:
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            opens: list[Any] = [partial(simulated(sock).take_listener, backlog)]
        else:
            ends = await self._ends_to_listen(host, port, family, flags)
            tcp = self.machine.stack.tcp
            opens = [
                lambda ready, end=end, only_v6=only_v6: tcp.listen(end, backlog, ready, only_v6=only_v6)
                for end, only_v6 in ends
            ]
        return await self._serve(
            opens, protocol_factory, ssl, ssl_handshake_timeout, ssl_shutdown_timeout, start_serving=start_serving
        )

    async def _ends_to_listen(self, host: Any, port: Any, family: int, flags: int) -> list[tuple[Any, bool]]:
        """Return the ends to listen at; one of ``::`` is for IPv6 alone, as asyncio sets it."""
        hosts = [None] if host in {"", None} else [host] if isinstance(host, str) else list(host)
        ends: dict[Any, bool] = {}
        for one in hosts:
            for info in await addrinfo.look_up(self.machine, one, port, family, socket.SOCK_STREAM, 0, flags):
                ends[addrinfo.end_of(info[4], info[0])] = info[0] == socket.AF_INET6
        if not ends:
            raise OSError(f"getaddrinfo({host!r}) returned empty list")
        return list(ends.items())

    async def _serve(
        self,
        opens: list[Any],
        factory: Any,
        ssl: Any,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
        *,
        start_serving: bool,
    ) -> Server:
        loop: Any = self
        make = None
        if ssl is not None:
            if isinstance(ssl, bool):
                raise TypeError("ssl argument must be an SSLContext or None")
            context = ssl

            def make_secured(connection: Any, protocol: Any, server: Any) -> None:
                secured = Secured(
                    loop,
                    protocol,
                    context,
                    loop.create_future(),
                    server_side=True,
                    ssl_handshake_timeout=handshake_timeout,
                    ssl_shutdown_timeout=shutdown_timeout,
                )
                secured._waiter.add_done_callback(_forget_error)
                StreamTransport(loop, connection, secured, server=server)

            make = make_secured
        server = Server(loop, opens, factory, make)
        if start_serving:
            await server.start_serving()
        return server

    async def create_unix_server(
        self,
        protocol_factory: Any,
        path: Any = None,
        *,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = True,
    ) -> Server:
        loop: SimLoop = self  # type: ignore[assignment]
        if sock is not None:
            opens: list[Any] = [partial(simulated(sock).take_listener, backlog)]
        else:
            path = os.fsdecode(path)
            opens = [lambda ready: loop.unix_names.listen(path, backlog, ready)]
        return await self._serve(
            opens, protocol_factory, ssl, ssl_handshake_timeout, ssl_shutdown_timeout, start_serving=start_serving
        )


def simulated(sock: Any) -> SimSocket:
    """Return a socket of a simulated host. Raises: TypeError for one of this machine's kernel."""
    if not isinstance(sock, SimSocket):
        raise TypeError(f"{sock!r} is a socket of this machine's kernel: make it while a program of a host runs")
    return sock


def _forget_error(waiter: asyncio.Future[None]) -> None:
    """Look at what a handshake came to: the protocol has told it already."""
    if not waiter.cancelled():
        waiter.exception()
