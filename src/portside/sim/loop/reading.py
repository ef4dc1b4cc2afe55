"""What a loop does with socket objects: waits until they are readable, and the ``sock_`` calls."""

from __future__ import annotations

import asyncio
import socket
from asyncio.base_events import _SendfileFallbackProtocol  # type: ignore[attr-defined]
from collections.abc import Callable
from typing import Any

from portside.sim.clock import MICROSECOND
from portside.sim.loop.transport import settle
from portside.sim.sockets import SimSocket

SENDFILE_BYTES = 256 * 1024
AGAIN_NS = MICROSECOND  # a program that leaves what is ready as it is spins, and time passes while it does


class _Watch:
    """A reader or a writer of a socket: called by steps of the loop as long as the socket is ready, as by epoll."""

    def __init__(self, loop: Any, sock: SimSocket, is_ready: Callable[[], bool], handle: asyncio.Handle) -> None:
        self._loop, self._sock, self._is_ready, self._handle = loop, sock, is_ready, handle
        self._is_asked = False
        sock.watch(self._look)
        self._look()

    def _look(self) -> None:
        if not self._is_asked and self._is_ready():
            self._is_asked = True
            self._loop.step(self._call)

    def _call(self) -> None:
        self._is_asked = False
        if not self._handle.cancelled() and self._is_ready():
            self._handle._run()
            self._loop.scheduler.after(AGAIN_NS, self._look_again)

    def _look_again(self, _: object) -> None:
        if not self._handle.cancelled():
            self._look()

    def end(self) -> None:
        self._sock.unwatch(self._look)
        self._handle.cancel()


class Reading:
    """The part of ``SimLoop`` that works on socket objects."""

    def _watches(self, of: str) -> dict[Any, _Watch]:
        found: dict[Any, _Watch] = self.__dict__.setdefault(of, {})
        return found

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        self._add("_readers", fd, lambda sock: sock.is_readable, callback, args)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> Any:
        self._add("_writers", fd, lambda sock: sock.is_writable, callback, args)

    def _add(self, of: str, fd: Any, ready_of: Callable[[SimSocket], Any], callback: Any, args: Any) -> None:
        if not isinstance(fd, SimSocket):
            raise NotImplementedError(
                f"a simulated loop cannot watch {fd!r}: give it a socket object that was made on a host"
            )
        self._remove(of, fd)
        loop: Any = self
        handle = asyncio.Handle(callback, args, loop)
        self._watches(of)[fd] = _Watch(loop, fd, ready_of(fd), handle)

    def _remove(self, of: str, fd: Any) -> bool:
        found = self._watches(of).pop(fd, None)
        if found is None:
            return False
        found.end()
        return True

    def remove_reader(self, fd: Any) -> bool:
        return self._remove("_readers", fd)

    def remove_writer(self, fd: Any) -> bool:
        return self._remove("_writers", fd)

    # ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _until(self, sock: SimSocket, act: Callable[[], Any]) -> Any:
        """Do something as soon as it does not block."""
        if sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        loop: Any = self
        while True:
            try:
                return act()
            except BlockingIOError:
                changed: asyncio.Future[None] = loop.create_future()

                def wake(changed: asyncio.Future[None] = changed) -> None:
                    loop.step(lambda: settle(changed))

                sock.watch(wake)
                try:
                    await changed
                finally:
                    sock.unwatch(wake)

    async def sock_recv(self, sock: Any, nbytes: int) -> Any:
        return await self._until(sock, lambda: sock.recv(nbytes))

    async def sock_recv_into(self, sock: Any, buf: Any) -> Any:
        return await self._until(sock, lambda: sock.recv_into(buf))

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> Any:
        return await self._until(sock, lambda: sock.recvfrom(bufsize))

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> Any:
        return await self._until(sock, lambda: sock.recvfrom_into(buf, nbytes))

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> Any:
        return await self._until(sock, lambda: sock.sendto(data, address))

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            sent = await self._until(sock, lambda view=view: sock.send(view))  # type: ignore[misc]
            view = view[sent:]

    async def sock_connect(self, sock: Any, address: Any) -> None:
        if sock.family != socket.AF_UNIX:
            loop: Any = self
            (found, *_) = await loop.getaddrinfo(
                address[0], address[1], family=sock.family, type=sock.type, proto=sock.proto
            )
            address = found[4]
        has_begun = False

        def connect() -> None:
            """Begin, and at every later call look what has come of it: a socket connects once (POSIX connect)."""
            nonlocal has_begun
            if has_begun:
                sock.end_connecting()
            else:
                has_begun = True
                sock.connect(address)

        await self._until(sock, connect)

    async def sock_accept(self, sock: Any) -> Any:
        made, address = await self._until(sock, sock.accept)
        made.setblocking(False)
        return made, address

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def sendfile(
        self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        """Send a file through a transport, piece by piece: a simulated host has no sendfile(2)."""
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        if not fallback:
            raise asyncio.SendfileNotAvailableError("sendfile is simulated by reading and writing")
        if hasattr(file, "seek"):
            file.seek(offset)
        protocol: Any = _SendfileFallbackProtocol(transport)
        sent = 0
        try:
            while count is None or sent < count:
                data = file.read(SENDFILE_BYTES if count is None else min(SENDFILE_BYTES, count - sent))
                if not data:
                    break
                await protocol.drain()
                transport.write(data)
                sent += len(data)
        finally:
            if sent and hasattr(file, "seek"):
                file.seek(offset + sent)
            await protocol.restore()
        return sent

    async def sock_sendfile(
        self, sock: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            data = file.read(SENDFILE_BYTES if count is None else min(SENDFILE_BYTES, count - sent))
            if not data:
                break
            await self.sock_sendall(sock, data)
            sent += len(data)
        return sent
