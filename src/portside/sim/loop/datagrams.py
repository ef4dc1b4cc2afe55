"""Datagrams as asyncio has them, over a simulated UDP socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from portside.sim.loop.addrinfo import end_of, sockaddr
from portside.sim.loop.transport import BYTES_LIKE, settle
from portside.sim.seams import End

if TYPE_CHECKING:
    from portside.sim.loop.loop import SimLoop


class DatagramTransport(asyncio.DatagramTransport):
    """A transport on a UDP socket. Nothing of what is sent waits here: a datagram is on its way, or lost."""

    def __init__(  # noqa: PLR0917 -- made in one place
        self,
        loop: SimLoop,
        open_socket: Any,
        protocol: asyncio.DatagramProtocol,
        waiter: asyncio.Future[None],
        family: int,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._family = family
        self._protocol = protocol
        self._is_closing = False
        self._socket = open_socket(self)
        self._extra: dict[str, Any]
        self._extra["sockname"] = sockaddr(self._socket.local, family)
        self._extra["peername"] = sockaddr(self._socket.remote, family) if self._socket.remote else None
        self._extra.setdefault("socket", loop.view(self._socket, family))
        loop.keep(self)
        loop.call_soon(protocol.connection_made, self)
        loop.step(lambda: settle(waiter))

    # ── what the socket tells ────────────────────────────────────────────────────────────────────────────────────────

    def received(self, data: bytes, remote: End, local: End) -> None:
        address = sockaddr(remote, self._family)
        self._loop.step(lambda: self._hand_on(self._protocol.datagram_received, data, address))

    def failed(self, error: OSError) -> None:
        self._loop.step(lambda: self._hand_on(self._protocol.error_received, error))

    def _hand_on(self, tell: Callable[..., None], *what: Any) -> None:
        if not self._is_closing:
            tell(*what)

    # ── what the program asks for ────────────────────────────────────────────────────────────────────────────────────

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not isinstance(data, BYTES_LIKE):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        peer = self._extra["peername"]
        if peer is not None and addr not in {None, peer}:
            raise ValueError(f"Invalid address: must be None or {peer}")
        if self._is_closing:
            return
        try:
            self._socket.send(bytes(data), None if addr is None or peer is not None else end_of(addr, self._family))
        except OSError as error:
            self._protocol.error_received(error)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._socket.close()
            self._loop.call_soon(self._tell_loss)

    def abort(self) -> None:
        self.close()

    def _tell_loss(self) -> None:
        self._loop.let_go(self)
        self._protocol.connection_lost(None)

    def abandon(self) -> None:
        """Be closed without a word: the host is no more."""
        self._is_closing = True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]
