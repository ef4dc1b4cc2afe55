"""Connections over an event loop's own transports: for loops without epoll or descriptors, as the simulated internet's.

How a handler waits is told in ``net.parking``; what has nothing to do with transports is in ``net.loop_stream``. A
transport brings bytes when it likes, not when they are asked for: what nobody waits for is kept, up to a limit above
which reading is paused. Its write buffer may hold nothing, so that an awaited write means what it means everywhere:
the kernel, or the simulated host's, has taken the bytes. TLS is our own engine's above the plain transport: it can
half-close, and bytes that came early are sealed ones, whoever put them there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import types
from collections.abc import Callable, Generator
from typing import Any, BinaryIO, ClassVar, Final, cast

from portside.address import Address, from_sockaddr
from portside.contracts import Network
from portside.errors import ConnectionLost, HandlerError
from portside.net import piecewise
from portside.net.deadline import Deadline
from portside.net.loop_stream import UNREAD_ANSWERS, UNSENT_BYTES_MAX, LoopStream
from portside.net.parking import CLOSED, ENDING, LINGERING, wake_future
from portside.net.sockets import reset_on_close, unacknowledged_bytes
from portside.net.stream import PIECE_BYTES
from portside.net.turns import READING, WRITING, Turns

ARRIVED_BYTES_MAX: Final = PIECE_BYTES  # above it reading is paused; one receive of the loop's may come on top
WRITE_PIECE_BYTES: Final = 1 << 16  # counted as sent when all of it is: a slow peer must not look like an idle one


class TransportConnection(LoopStream, asyncio.Protocol):
    """A connection that is the protocol of a transport. It can be used once ``connection_made`` was called."""

    __slots__ = ("_arrived", "_detached", "_loss", "_made", "_paused", "_peer_ended", "_stuck", "_transport")

    _transport: asyncio.Transport  # set by connection_made
    _piece_bytes: ClassVar[int] = WRITE_PIECE_BYTES

    def __init__(
        self, turns: Turns, network: Network, made: Callable[[TransportConnection], None] | None = None
    ) -> None:
        """Wait for a transport; ``made`` is called with the connection as soon as it has one."""
        super().__init__(turns, network, local=None, peer=None)
        self._made = made
        self._arrived: bytes | bytearray | None = None  # bytes that came when nobody waited for them
        self._paused = False  # too many: the transport does not read
        self._peer_ended = False  # the peer's end of stream has come
        self._stuck = False  # the transport holds bytes that the kernel has not taken yet
        self._loss: ConnectionLost | None = None  # the transport broke behind the bytes that arrived
        self._detached = False  # the transport is gone

    def _find_local(self) -> Address:
        raise AssertionError("told when the connection was made")

    _find_peer = _find_local

    def _unacknowledged_bytes(self) -> int:
        if self._transport.is_closing():
            return 0
        sock = self._transport.get_extra_info("socket")
        of_kernel = unacknowledged_bytes(sock) if sock is not None and sock.fileno() >= 0 else 0
        return self._transport.get_write_buffer_size() + of_kernel

    def _peer_has_hung_up(self) -> bool:
        return self._peer_ended or self._loss is not None

    @property
    def is_detached(self) -> bool:
        """Whether the loop has let go of the transport."""
        return self._detached

    # ── what the transport calls ─────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)
        self._local = from_sockaddr(transport.get_extra_info("sockname"))  # later on nobody may know any more
        self._peer = from_sockaddr(transport.get_extra_info("peername"))
        made, self._made = self._made, None
        if made is not None:
            made(self)

    def data_received(self, data: bytes) -> None:
        if self._failure is not None:
            return  # ended or closed: nobody reads any more
        if self._parked == READING and self._arrived is None and len(data) <= self._take_max and self._is_free():
            self._turns.resume(self, self._send_main, data)
            return
        if self._arrived is None:
            self._arrived = data
        else:
            if isinstance(self._arrived, bytes):
                self._arrived = bytearray(self._arrived)
            self._arrived += data
        self._move()
        if self._arrived is not None and len(self._arrived) > ARRIVED_BYTES_MAX and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._peer_ended = True
        self._move()
        return True  # the other way stays open

    def pause_writing(self) -> None:
        self._stuck = True

    def resume_writing(self) -> None:
        self._stuck = False
        self._direct = self._may_be_direct()
        # Not at once: asyncio's transport is in the middle of a write here, and would be lost twice if aborted.
        self._turns.loop.call_soon(self._move)

    def connection_lost(self, error: Exception | None) -> None:
        self._detached = True
        if self._failure is None:
            if not isinstance(error, OSError):
                said = str(error) if error else os.strerror(errno.ECONNABORTED)
                error = ConnectionAbortedError(errno.ECONNABORTED, said)
            if self._arrived is None:
                self._broken(error)
            else:
                self._loss = self._lost(error)  # what came before it is still good
                self._direct = False
        self._move()

    def _move(self) -> None:
        """Let everybody go on who waits for what there now is."""
        if not self._is_free():
            self._turns.loop.call_soon(self._move)
            return
        readable = self._arrived is not None or self._peer_ended or self._failure is not None
        writable = not self._stuck or self._detached
        if self._parked == LINGERING:
            self._discard()
        elif self._parked == READING and readable:
            if self._failure is not None:
                self._turns.resume(self, self._main.throw, self._failure)
            else:
                self._turns.resume(self, self._send_main, self._take_arrived(self._take_max))
        elif self._parked == WRITING and writable:
            self._turns.resume(self, self._send_main, None)
        if readable:
            wake_future(self._reader)
        if writable:
            wake_future(self._writer)

    def _is_free(self) -> bool:
        """Return whether a handler may be resumed here: not in the middle of somebody's task."""
        return asyncio.current_task(self._turns.loop) is None

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @types.coroutine
    def __anext__(self) -> Generator[Any, Any, bytes]:
        # The way of every echo; the rest of the class is behind read().
        nothing_came = self._arrived is None and self._buffer is None and not self._peer_ended
        if nothing_came and self._direct and self._is_owner():
            self._parked = READING
            data = yield self
            if self._tap is not None:
                self._tap.received(cast("bytes", data))
            if data:
                self.bytes_in += len(data)
                return cast("bytes", data)
            self.at_end = True
            raise StopAsyncIteration
        data = yield from self.read(PIECE_BYTES).__await__()
        if not data:
            raise StopAsyncIteration
        return data

    async def _receive_some(self, limit: int, timeout_s: float | None) -> bytes:
        data = await self._take_some(limit, timeout_s)
        if self._tap is not None and not (data and self._engine is not None):
            self._tap.received(data)
        return data

    async def _take_some(self, limit: int, timeout_s: float | None) -> bytes:
        deadline = Deadline(self.network, timeout_s)
        while True:
            if self._arrived is not None:
                return self._take_arrived(limit)
            self._check_open()
            if self._peer_ended:
                return b""
            if timeout_s is None and self._is_owner():
                return await self._park_reading(limit)
            await self._wait_readable(deadline.left_s())

    def _take_arrived(self, limit: int) -> bytes:
        """Return up to ``limit`` of the bytes that came, ``b""`` if there are none; let more come behind them."""
        arrived = self._arrived
        if arrived is None:
            return b""
        if len(arrived) > limit:
            data = bytes(memoryview(arrived)[:limit])
            if isinstance(arrived, bytes):
                self._arrived = bytearray(memoryview(arrived)[limit:])
            else:
                del arrived[:limit]
            return data
        self._arrived = None
        if self._loss is not None:
            self._fail(self._loss)
        self._read_on()
        return bytes(arrived)

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            if not self._detached and not self._transport.is_closing():
                self._transport.resume_reading()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, *chunks: bytes | bytearray | memoryview) -> None:
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        if not self._direct or size > WRITE_PIECE_BYTES:
            await self._write_slowly(data)
            return
        self._transport.write(data)
        if self._stuck or self._transport.is_closing():
            async with self._writing():
                await self._flush()
        self.bytes_out = total = self.bytes_out + size
        if self._tap is not None:
            self._tap.sent(bytes(data))
        if total > self._turn_out_ends:
            await self._end_turn()

    async def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        await self._flush()
        self._transport.write(data)
        await self._flush()
        if counted:
            self.bytes_out += len(data)
            if self._tap is not None:
                self._tap.sent(bytes(data))
            if self.bytes_out > self._turn_out_ends:
                await self._end_turn()

    async def _flush(self) -> None:
        # A transport that broke closes itself at once, swallows what is written, and tells of it later.
        while self._stuck or self._transport.is_closing():
            if self._loss is not None:
                self._fail(self._loss)
            self._check_open()
            await self._wait_writable()

    def _is_flushed(self) -> bool:
        return not self._stuck

    def _send_nowait(self, data: bytes) -> None:
        if not data or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(data) > UNSENT_BYTES_MAX:
            self._fail(ConnectionLost(UNREAD_ANSWERS))
        else:
            self._transport.write(data)
            if self._tap is not None and self._engine is None:
                self._tap.sent(data)

    async def write_eof(self) -> None:
        if not self._transport.can_write_eof():
            raise HandlerError("this transport cannot end its stream and go on reading")
        await super().write_eof()

    # ── files: no kernel to copy them ────────────────────────────────────────────────────────────────────────────────

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        self._check_writable()
        return await piecewise.send_file(self, file, offset, count)

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        return await piecewise.receive_file(self, file, count)

    # ── end ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _shut_down(self, *, reading: bool = False) -> None:
        if self._transport.is_closing():
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        if not self._transport.can_write_eof():
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._transport.write_eof()
        if self._tap is not None:
            self._tap.ended("out")
        if reading:  # data_received throws it away, but the peer's end shall be seen
            self._arrived = None
            self._read_on()

    def _reset_on_close(self) -> None:
        if self._tap is not None:
            self._tap.reset("out")
        # Where there is a socket behind it; of others, abort() alone must be a reset.
        sock = None if self._transport.is_closing() else self._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError, AttributeError, NotImplementedError):
                reset_on_close(sock)

    def _discard(self) -> None:
        self._arrived = None
        if self._detached or (self._peer_ended and not self._stuck):
            self._close_socket()
        else:
            self._read_on()

    def _close_socket(self) -> None:
        if self._parked != CLOSED:
            if self._parked != ENDING:
                self._parked = CLOSED
            self._arrived = None
            self._turns.let_go(self)
            if self._tap is not None:
                self._tap.closed()
            if not self._detached:
                self._transport.abort()
            for future in (self._reader, self._writer):
                wake_future(future)
