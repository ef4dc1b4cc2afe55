"""Connections under an event loop: raw non-blocking sockets on a lane, driven by the handler's own Task.

How a handler waits here is told in ``net.parking``; when it is resumed, in ``net.lane``; what has nothing to do with
sockets is in ``net.loop_stream``.
"""

from __future__ import annotations

import contextlib
import os
import select
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, BinaryIO, cast

from portside.address import Address, from_sockaddr
from portside.contracts import Network
from portside.errors import ConnectionLost
from portside.net import piecewise
from portside.net.deadline import Deadline
from portside.net.files import FILE_PIECE_BYTES, Splice, descriptor_of, write_all
from portside.net.lane import HANGUP, MORE_BEHIND, WATCHED, WATCHED_FOR_END, Lane
from portside.net.loop_stream import TURN_BYTES, UNREAD_ANSWERS, UNSENT_BYTES_MAX, LoopStream
from portside.net.parking import CLOSED, ENDING, LINGERING, wake_future
from portside.net.sockets import SHUT_RDWR, SHUT_WR, Socket, peer_has_hung_up, reset_on_close, unacknowledged_bytes
from portside.net.stream import PIECE_BYTES
from portside.net.tap import Tap
from portside.net.turns import READING, WRITING


class EventConnection(LoopStream):
    """A connection that is a socket on the lane. Start a handler on it, or use it from any task without one."""

    __slots__ = (
        "_hangup",
        "_is_watched",
        "_lane",
        "_readable",
        "_receive",
        "_send",
        "_socket",
        "_unsent",
    )

    def __init__(
        self,
        sock: Socket,
        lane: Lane,
        network: Network,
        *,
        local: Address | None = None,
        peer: Address | None = None,
    ) -> None:
        """Take over a connected non-blocking socket."""
        super().__init__(lane, network, local=local, peer=peer)
        self._lane = lane
        self._socket = sock
        self._receive: Callable[[int], bytes] = sock.recv
        self._send: Callable[[bytes | bytearray | memoryview], int] = sock.send
        self._readable = True  # the kernel may have bytes for us; edge-triggered, so only EAGAIN makes it False
        self._hangup = True  # … and after a hang-up, or while nobody watches, a short read is no sign of the end
        self._is_watched = False  # by the lane, from the first wait on: many a data connection never waits
        self._unsent: memoryview | None = None  # accepted for sending, not yet taken by the kernel
        lane.add(sock.fileno(), self)

    def _watch(self, events: int = WATCHED) -> None:
        """Have the lane told what the kernel reports; what is there already it reports as well. Raises: OSError."""
        if not self._is_watched:
            self._lane.watch(self._socket.fileno(), events)
            self._is_watched = True
            self._hangup = False

    def _set_tap(self, tap: Tap | None) -> None:
        super()._set_tap(tap)
        self._receive = self._socket.recv if tap is None else self._receive_told
        self._send = self._socket.send if tap is None else self._send_told

    def _receive_told(self, limit: int) -> bytes:
        data = self._socket.recv(limit)
        tap = self._tap
        # What is sealed its engine tells; what comes when all is closed nobody receives.
        if tap is not None and not (data and (self._engine is not None or self._parked == LINGERING)):
            tap.received(data)
        return data

    def _send_told(self, data: bytes | bytearray | memoryview) -> int:
        sent = self._socket.send(data)
        if self._tap is not None and self._engine is None:
            self._tap.sent(bytes(memoryview(data).cast("B")[:sent]))
        return sent

    def _find_local(self) -> Address:
        return from_sockaddr(self._socket.getsockname())

    def _find_peer(self) -> Address:
        return from_sockaddr(self._socket.getpeername())

    def _unacknowledged_bytes(self) -> int:
        return unacknowledged_bytes(self._socket)

    def _peer_has_hung_up(self) -> bool:
        return peer_has_hung_up(self._socket)

    def _note(self, mask: int) -> None:
        """Remember what the kernel reported, and move whoever waits for it: all but the lane's hot path."""
        if self._parked == LINGERING:
            if not self._readable:
                self._discard()
            return
        if mask & MORE_BEHIND:
            self._hangup = True
        if mask & (HANGUP | select.EPOLLIN):
            self._readable = True
            if self._parked == READING:  # while another task waits for room to write
                self._resume_reading()
            else:
                wake_future(self._reader)
        if mask & (HANGUP | select.EPOLLOUT):
            if self._parked == WRITING:
                self._lane.resume(self, self._send_main, None)
            else:
                wake_future(self._writer)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @types.coroutine
    def __anext__(self) -> Generator[Any, Any, bytes]:
        # The hot path of every echo; the rest of the class is behind read().
        if self._direct and self._buffer is None:
            if not self._readable and self._lane.running is self:
                self._parked = READING
                data = yield self
                if data:
                    self.bytes_in += len(data)
                    return cast("bytes", data)
                self.at_end = True
                raise StopAsyncIteration
            # With the turn used up, read() ends it first: nothing may be awaited with bytes in hand, a cancellation
            # would lose them.
            if self._readable and self.bytes_in <= self._turn_in_ends and (data := self._receive_now(PIECE_BYTES)):
                self.bytes_in += len(data)
                return data
        data = yield from self.read(PIECE_BYTES).__await__()
        if not data:
            raise StopAsyncIteration
        return data

    def _receive_now(self, limit: int) -> bytes | None:
        """Return what the kernel has, ``b""`` at its end, None when it has nothing yet."""
        try:
            data = self._receive(limit)
        except BlockingIOError:
            self._readable = False
            self._watch()
            return None
        except OSError as error:
            raise self._broken(error) from error
        if len(data) < limit:
            self._readable = self._hangup  # edge-triggered: a short read emptied the queue, epoll(7)
        return data

    def _resume_reading(self) -> None:
        try:
            data = self._receive_now(self._take_max)
        except ConnectionLost as error:
            self._lane.resume(self, self._main.throw, error)
        else:
            if data is not None:
                self._lane.resume(self, self._send_main, data)

    async def _receive_some(self, limit: int, timeout_s: float | None) -> bytes:
        """Return the next bytes of the socket, as soon as there are any."""
        if self._readable and (data := self._receive_now(limit)) is not None:
            return data
        if timeout_s is None and self._is_owner():
            return await self._park_reading(limit)
        deadline = Deadline(self.network, timeout_s)
        while True:
            await self._wait_readable(deadline.left_s())
            if self._readable and (data := self._receive_now(limit)) is not None:
                return data

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, *chunks: bytes | bytearray | memoryview) -> None:
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if not self._direct:
            await self._write_slowly(data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._broken(error) from error
        self.bytes_out = total = self.bytes_out + sent
        if sent != len(data):
            await self._write_slowly(memoryview(data).cast("B")[sent:])
        elif total > self._turn_out_ends:
            await self._end_turn()

    def _wait_writable(self) -> Coroutine[Any, Any, None]:
        self._watch()
        return super()._wait_writable()

    async def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        await self._flush()
        self._unsent = memoryview(data)
        await self._flush(counted=counted)

    async def _flush(self, *, counted: bool = False) -> None:
        while self._unsent:
            self._check_open()
            try:
                sent = self._send(self._unsent)
            except BlockingIOError:
                await self._wait_writable()
                continue
            except OSError as error:
                raise self._broken(error) from error
            self._unsent = self._unsent[sent:]
            if counted:
                self.bytes_out += sent
        self._unsent = None

    def _is_flushed(self) -> bool:
        return self._unsent is None

    def _send_nowait(self, data: bytes) -> None:
        if self._unsent and len(self._unsent) + len(data) > UNSENT_BYTES_MAX:
            self._fail(ConnectionLost(UNREAD_ANSWERS))
        elif self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
        elif data:
            sent = 0
            with contextlib.suppress(OSError):
                sent = self._send(data)
            self._unsent = memoryview(data)[sent:] if sent < len(data) else None

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        self._check_writable()
        descriptor = descriptor_of(file)
        if descriptor is None or self._engine is not None or self._pace_out is not None:
            return await piecewise.send_file(self, file, offset, count)
        sent_total = 0
        async with self._writing():
            await self._flush()
            while count is None or sent_total < count:
                size = FILE_PIECE_BYTES if count is None else min(FILE_PIECE_BYTES, count - sent_total)
                try:
                    sent = os.sendfile(self._socket.fileno(), descriptor, offset + sent_total, size)
                except BlockingIOError:
                    await self._wait_writable()
                    self._check_open()
                    continue
                except OSError as error:
                    raise self._broken(error) from error
                if sent == 0:
                    break
                sent_total += sent
                self.bytes_out += sent
                if self._tap is not None:
                    self._tap.sent_file(descriptor, offset + sent_total - sent, sent)
                if self.bytes_out > self._turn_out_ends:
                    await self._end_turn()
        piecewise.check_sent(sent_total, count)
        return sent_total

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        descriptor = descriptor_of(file)
        if descriptor is None or self._engine is not None or self._pace_in is not None:
            return await piecewise.receive_file(self, file, count)
        file.flush()
        self._check_open()
        # What is buffered, or else the first bytes, comes the plain way: a small file never needs the pipe.
        total = 0
        while total != count and (total < PIECE_BYTES or self._buffer):
            data = await self.read(PIECE_BYTES if count is None else min(PIECE_BYTES, count - total))
            if not data:
                return total
            write_all(descriptor, data)
            total += len(data)
        if total == count:
            return total
        with Splice(self._socket.fileno(), descriptor) as splice:
            return total + await self._splice(splice, None if count is None else count - total)

    async def _splice(self, splice: Splice, count: int | None) -> int:
        total = 0
        while total != count and not self.at_end:
            moved = self._splice_now(splice, None if count is None else count - total)
            if moved is None:
                await self._wait_readable(None)
            elif self.bytes_in > self._turn_in_ends:
                await self._end_turn()
            total += moved or 0
        return total

    def _splice_now(self, splice: Splice, left: int | None) -> int | None:
        """Move what the kernel has from the socket to the file: None when it has nothing yet, 0 at its end."""
        self._check_open()  # after a close by another task the descriptor may be another connection's
        if not self._readable:
            return None
        try:
            moved = splice.take(FILE_PIECE_BYTES if left is None else min(FILE_PIECE_BYTES, left))
        except BlockingIOError:
            self._readable = self._hangup and self._is_watched
            self._watch()
            return None
        except OSError as error:
            raise self._broken(error) from error
        self.bytes_in += moved
        self.at_end = moved == 0
        if self._tap is not None:
            self._tap.received(splice.look(moved))
        splice.put(moved)
        return moved

    # ── end ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _shut_down(self, *, reading: bool = False) -> None:
        self._socket.shutdown(SHUT_RDWR if reading else SHUT_WR)
        if self._tap is not None:
            self._tap.ended("out")

    def _reset_on_close(self) -> None:
        with contextlib.suppress(OSError):
            reset_on_close(self._socket)
        if self._tap is not None:
            self._tap.reset("out")

    def _discard(self) -> None:
        try:
            for _ in range(TURN_BYTES // PIECE_BYTES):
                if not self._receive(PIECE_BYTES):
                    break
            else:  # the others have a turn; no edge meanwhile begins a round beside this one
                self._readable = True
                self._lane.loop.call_soon(self._discard)
                return
        except BlockingIOError:
            self._readable = False
            with contextlib.suppress(OSError):
                self._watch(WATCHED_FOR_END)
            return
        except OSError:
            pass
        self._close_socket()

    def _close_socket(self) -> None:
        if self._parked != CLOSED:
            if self._parked != ENDING:  # who still is to be told closes it again
                self._parked = CLOSED
            self._lane.forget(self._socket.fileno(), self)
            self._socket.close()
            if self._tap is not None:
                self._tap.closed()
                self._set_tap(None)
            for future in (self._reader, self._writer):
                wake_future(future)
