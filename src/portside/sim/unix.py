"""Unix sockets of a host: streams in memory, found by paths that no file system knows, until the host crashes."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from portside.sim.clock import Scheduler

BUFFER_BYTES: Final = 212_992  # net.core.wmem_default


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class _Nobody:
    def established(self) -> None:
        """Hear nothing."""

    readable = writable = finished = established

    def failed(self, error: OSError) -> None:
        """Hear nothing."""


class UnixConnection:
    """One end of a stream, with the calls of ``seams.TcpConnection`` that make sense for it."""

    nodelay = True
    keepalive = False
    send_buffer = BUFFER_BYTES

    def __init__(self, scheduler: Scheduler, local: str, remote: str) -> None:
        self.local, self.remote = local, remote
        self.user: Any = _Nobody()
        self.peer: UnixConnection | None = None
        self.linger_s: int | None = None
        self.state = "ESTABLISHED"
        self._scheduler = scheduler
        self._arrived: deque[bytes] = deque()
        self.readable_bytes = 0
        self._peer_ended = False
        self._ended = False
        self._is_full = False

    @property
    def has_ended(self) -> bool:
        return self._peer_ended and not self.readable_bytes

    @property
    def unsent_bytes(self) -> int:
        return self.peer.readable_bytes if self.peer is not None else 0

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much as the peer has room for. Raises: OSError EPIPE."""
        if self._ended or self.peer is None:
            raise _error(errno.EPIPE)
        peer = self.peer
        taken = min(len(data), BUFFER_BYTES - peer.readable_bytes)
        if taken < len(data):
            self._is_full = True
        if taken:
            peer._arrive(bytes(memoryview(data)[:taken]))
        return taken

    def _arrive(self, data: bytes) -> None:
        was_empty = not self.readable_bytes
        self._arrived.append(data)
        self.readable_bytes += len(data)
        if was_empty:
            self._scheduler.soon(self._tell)

    def _tell(self, _: object) -> None:
        if self.readable_bytes or self._peer_ended:
            self.user.readable()

    def receive(self, limit: int) -> bytes:
        pieces, room = [], limit
        while self._arrived and room:
            piece = self._arrived.popleft()
            if len(piece) > room:
                self._arrived.appendleft(piece[room:])
                piece = piece[:room]
            pieces.append(piece)
            room -= len(piece)
        data = b"".join(pieces)
        self.readable_bytes -= len(data)
        peer = self.peer
        if data and peer is not None and peer._is_full and 2 * self.readable_bytes <= BUFFER_BYTES:
            peer._is_full = False
            self._scheduler.soon(lambda _: peer.user.writable())
        return data

    def shutdown(self) -> None:
        if not self._ended:
            self._ended = True
            if self.peer is not None:
                self.peer._hear_end()

    def _hear_end(self) -> None:
        self._peer_ended = True
        self._scheduler.soon(self._tell)

    def close(self) -> None:
        peer, self.peer = self.peer, None
        self.user = _Nobody()
        if peer is None:
            return
        if self.readable_bytes:
            peer._break()
        elif not self._ended:
            peer._hear_end()
        peer.peer = None
        self.state = "CLOSED"

    abort = close

    def _break(self) -> None:
        self._scheduler.soon(lambda _: self.user.failed(_error(errno.ECONNRESET)))


class UnixListener:
    """A path that is listened at."""

    def __init__(self, names: UnixNames, path: str, backlog: int, ready: Callable[[], object]) -> None:
        self.local = path
        self.hears = True
        self._names = names
        self._backlog = backlog
        self._ready = ready
        self._done: deque[UnixConnection] = deque()

    def offer(self, connection: UnixConnection) -> None:
        """Take a connection that somebody has made. Raises: OSError EAGAIN if too many wait."""
        if len(self._done) > self._backlog:
            raise _error(errno.EAGAIN)
        self._done.append(connection)
        if len(self._done) == 1:
            self._ready()

    def accept(self) -> UnixConnection | None:
        return self._done.popleft() if self._done else None

    @property
    def has_waiting(self) -> bool:
        return bool(self._done)

    def close(self) -> None:
        self._names.forget(self)
        while self._done:
            self._done.popleft().close()


class UnixNames:
    """The paths of one host."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._listeners: dict[str, UnixListener] = {}

    def listen(self, path: str, backlog: int, ready: Callable[[], object]) -> UnixListener:
        """Listen at a path. Raises: OSError EADDRINUSE."""
        if path in self._listeners:
            raise _error(errno.EADDRINUSE)
        self._listeners[path] = listener = UnixListener(self, path, backlog, ready)
        return listener

    def connect(self, path: str) -> UnixConnection:
        """Return one end of a new connection. Raises: OSError ENOENT, EAGAIN."""
        listener = self._listeners.get(path)
        if listener is None:
            raise _error(errno.ENOENT)
        if not listener.hears:
            raise _error(errno.ECONNREFUSED)
        near, far = self.pair(path)
        listener.offer(far)
        return near

    def pair(self, path: str = "") -> tuple[UnixConnection, UnixConnection]:
        """Return both ends of a connection: ``socketpair``."""
        near, far = UnixConnection(self._scheduler, "", path), UnixConnection(self._scheduler, path, "")
        near.peer, far.peer = far, near
        return near, far

    def forget(self, listener: UnixListener) -> None:
        if self._listeners.get(listener.local) is listener:
            del self._listeners[listener.local]
