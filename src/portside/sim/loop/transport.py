"""Streams as asyncio has them, over a simulated TCP connection: what ``selector_events`` does over a socket."""

from __future__ import annotations

import asyncio
from asyncio.transports import _FlowControlMixin
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from portside.sim.loop.addrinfo import sockaddr
from portside.sim.seams import TcpConnection

if TYPE_CHECKING:
    from portside.sim.loop.loop import SimLoop

READ_BYTES: Final = 256 * 1024  # asyncio's max_size
BYTES_LIKE: Final = (bytes, bytearray, memoryview)


def settle(waiter: asyncio.Future[None]) -> None:
    """Let go on who waits, if anybody still does."""
    if not waiter.done():
        waiter.set_result(None)


_Base: Any = _FlowControlMixin  # which asyncio's own sendfile wants a transport to be


class StreamTransport(_Base):  # type: ignore[misc]
    """A transport on a connection, whose user it is; the protocol hears of what happens by steps of the loop."""

    def __init__(
        self,
        loop: SimLoop,
        connection: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> None:
        super().__init__(extra, cast("Any", loop))
        self._loop: Any = loop
        self._connection: TcpConnection = connection
        self._extra: dict[str, Any]
        self._server = server
        self._buffer: deque[memoryview] = deque()
        self._buffer_bytes = 0
        self._is_paused = False
        self._is_ended = False  # the protocol has heard of the end of the peer's stream
        self._is_closing = False
        self._eof = False
        self._is_lost = False
        self._reads_on_way = False
        self.set_protocol(protocol)
        self._tell_addresses()
        if server is not None:
            server.attach(self)
        connection.user = self
        loop.keep(self)
        loop.call_soon(protocol.connection_made, self)
        loop.step(self._begin)
        if waiter is not None:
            loop.step(lambda: settle(waiter))

    def _tell_addresses(self) -> None:
        connection = self._connection
        self._extra.setdefault("socket", self._loop.view(connection))
        for name, end in (("sockname", connection.local), ("peername", connection.remote)):
            path_or_end: Any = end
            self._extra.setdefault(name, end if isinstance(path_or_end, str) else sockaddr(end))

    def _begin(self) -> None:
        if self._connection.readable_bytes or self._connection.has_ended:
            self._read()

    # ── what the connection tells ────────────────────────────────────────────────────────────────────────────────────

    def established(self) -> None:
        """Hear nothing new."""

    def readable(self) -> None:
        if not self._reads_on_way:
            self._reads_on_way = True
            self._loop.step(self._read)

    def writable(self) -> None:
        self._loop.step(self._flush)

    def failed(self, error: OSError) -> None:
        self._loop.step(lambda: self._break(error))

    def finished(self) -> None:
        """Hear nothing: what is left of the connection is the stack's business."""

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        self._reads_on_way = False
        if self._is_paused or self._is_closing or self._is_lost:
            return
        if self._is_buffered:
            self._read_into()
        else:
            data = self._connection.receive(READ_BYTES)
            if data:
                try:
                    self._protocol.data_received(data)
                except Exception as error:
                    self._fail_fatally(error, "data_received")
        connection = self._connection
        if self._is_paused or self._is_closing or self._is_lost:
            return
        if connection.readable_bytes:
            self.readable()
        elif connection.has_ended:
            self._end_reading()

    def _read_into(self) -> None:
        """Read as a ``BufferedProtocol`` wants it: into memory of its own."""
        if not self._connection.readable_bytes:
            return
        try:
            buffer = memoryview(self._protocol.get_buffer(-1))
            if not buffer:
                raise RuntimeError("get_buffer() returned an empty buffer")
        except Exception as error:
            self._fail_fatally(error, "get_buffer")
            return
        data = self._connection.receive(len(buffer))
        buffer[: len(data)] = data
        try:
            self._protocol.buffer_updated(len(data))
        except Exception as error:
            self._fail_fatally(error, "buffer_updated")

    def _end_reading(self) -> None:
        self._is_paused = self._is_ended = True
        try:
            keeps_open = self._protocol.eof_received()
        except Exception as error:
            self._fail_fatally(error, "eof_received")
            return
        if not keeps_open:
            self.close()

    def _fail_fatally(self, error: Exception, call: str) -> None:
        """Tell that the protocol has failed, and lose the connection."""
        told = {
            "message": f"Fatal error: protocol.{call}() call failed.",
            "exception": error,
            "transport": self,
            "protocol": self._protocol,
        }
        self._loop.call_exception_handler(told)
        self._lose(error)

    def is_reading(self) -> bool:
        return not self._is_closing and not self._is_paused

    def pause_reading(self) -> None:
        if self.is_reading():
            self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_closing or not self._is_paused or self._is_ended:
            return
        self._is_paused = False
        if self._connection.readable_bytes or self._connection.has_ended:
            self.readable()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, BYTES_LIKE):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_lost or not data:
            return
        if not self._buffer:
            try:
                taken = self._connection.send(data)
            except OSError as error:
                self._fail(error)
                return
            if taken == len(data):
                return
            data = memoryview(data)[taken:]
        self._buffer.append(memoryview(bytes(data)))
        self._buffer_bytes += len(data)
        self._maybe_pause_protocol()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def _flush(self) -> None:
        buffer = self._buffer
        try:
            while buffer:
                taken = self._connection.send(buffer[0])
                self._buffer_bytes -= taken
                if taken < len(buffer[0]):
                    buffer[0] = buffer[0][taken:]
                    break
                buffer.popleft()
        except OSError as error:
            self._fail(error)
            return
        self._maybe_resume_protocol()
        if buffer:
            return
        if self._is_closing:
            self._lose(None)
        elif self._eof:
            self._connection.shutdown()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._is_closing or self._eof:
            return
        self._eof = True
        if not self._buffer:
            self._connection.shutdown()

    def get_write_buffer_size(self) -> int:
        return self._buffer_bytes

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if not self._buffer:
            self._is_lost = True
            self._loop.call_soon(self._tell_loss, None)

    def abort(self) -> None:
        self._lose(None)

    def _break(self, error: OSError) -> None:
        """Hear that the connection is gone; what came before that is still for the protocol."""
        if not self._is_paused and not self._is_closing and self._connection.readable_bytes:
            self._read()
            if self._connection.readable_bytes:
                self._loop.step(lambda: self._break(error))
                return
        self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._buffer.clear()
        self._buffer_bytes = 0
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self._loop.call_soon(self._tell_loss, error)

    def _tell_loss(self, error: OSError | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._loop.let_go(self)
            self._connection.close()
            if self._server is not None:
                self._server.detach(self)
                self._server = None

    def abandon(self) -> None:
        """Be closed without a word: the host is no more, and whoever still holds this shall not stumble over it."""
        self._is_closing = self._is_lost = True
        secured = getattr(self._protocol, "_app_transport", None)
        if secured is not None:
            secured._closed = True  # asyncio's sslproto looks at it when memory is collected

    # ── the protocol ─────────────────────────────────────────────────────────────────────────────────────────────────

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("Any", protocol)
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast("asyncio.BaseProtocol", self._protocol)

    def __repr__(self) -> str:
        state = "closed" if self._is_lost else "closing" if self._is_closing else self._connection.state
        return f"<StreamTransport {self._extra.get('sockname')} - {self._extra.get('peername')} {state}>"
