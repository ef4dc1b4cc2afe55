"""Connections over blocking sockets: every call is done when it returns, and no coroutine here ever suspends.

A read is one ``recv`` without any time-out system call around it: overdue connections are ended by a sweeper in another
thread, whose ``end`` shuts the socket down so that the pending call returns. Only an explicit ``timeout_s`` polls.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, BinaryIO, Final

from portside.address import Address, from_sockaddr
from portside.contracts import LINGER_S, Connection, Network
from portside.errors import ConnectionClosed, ConnectionLost
from portside.events import EndReason
from portside.net import piecewise
from portside.net.blocking_bytes import Chunk, WriteTurn, after, drain, gathered, wait_readable
from portside.net.blocking_files import receive_file, send_file, transmit
from portside.net.deadline import Deadline
from portside.net.files import CAN_SPLICE, descriptor_of
from portside.net.sockets import (
    MSG_DONTWAIT,
    SHUT_RDWR,
    SHUT_WR,
    Socket,
    peer_address,
    peer_has_hung_up,
    reset_on_close,
    translate,
    unacknowledged_bytes,
)
from portside.net.stream import PIECE_BYTES, State, Stream

if TYPE_CHECKING:
    import ssl

    from portside.net.blocking_tls import Sealed

TLS_PIECE_BYTES: Final = 262_144  # plain bytes handed to TLS at a time


class BlockingConnection(Stream):
    """A connection of one thread. Others may write, in turn with it, and call ``end``."""

    __slots__ = (
        "_direct",
        "_is_broken",
        "_is_closed",
        "_is_reading",
        "_is_writing",
        "_lifetime",
        "_receive",
        "_sealed",
        "_send",
        "_shut",
        "_socket",
        "_writing",
    )

    def __init__(
        self,
        sock: Socket,
        *,
        network: Network,
        local: Address | None = None,
        peer: Address | None = None,
    ) -> None:
        """Take over a connected socket; from here on it blocks."""
        super().__init__(network, local=local, peer=peer)
        if sock.gettimeout() is not None:
            sock.settimeout(None)
        self._socket = sock
        self._receive = sock.recv
        self._send = sock.send
        self._sealed: Sealed | None = None
        self._lifetime = threading.Lock()  # end() must not reach a descriptor that is another connection's by now
        self._writing = WriteTurn()  # what one call writes stays together, whichever thread calls
        self._direct = True  # plain, unpaced and open both ways: bytes may go straight to the socket
        self._shut = False  # write_eof was called
        self._is_broken = False  # the socket itself failed: there is nobody to close towards
        # Each by itself: one thread may write while another waits for bytes.
        self._is_reading = self._is_writing = self._is_closed = False

    def _find_local(self) -> Address:
        return from_sockaddr(self._socket.getsockname())

    def _find_peer(self) -> Address:
        return peer_address(self._socket)

    def _unacknowledged_bytes(self) -> int:
        return unacknowledged_bytes(self._socket)

    def _peer_has_hung_up(self) -> bool:
        return peer_has_hung_up(self._socket)

    def _waits_for(self) -> State:
        if self._is_closed:
            return "closing"
        if self._is_writing:
            return "writing"
        return "reading" if self._is_reading else "busy"

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __anext__(self) -> bytes:
        # The hot path of every echo; what is special goes through read().
        if self._direct and self._buffer is None:
            self._is_reading = True
            try:
                data = self._receive(PIECE_BYTES)
            except OSError as error:
                raise self._broken(error) from error
            finally:
                self._is_reading = False
            if data:
                self.bytes_in += len(data)
                if self._tap is not None:
                    self._tap.received(data)
                return data
        data = await self.read(PIECE_BYTES)
        if not data:
            raise StopAsyncIteration
        return data

    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        self._check_open()
        if self.at_end:
            return b""
        if self._pace_in is not None:
            limit = await self._allowance(self._pace_in, limit)
        receive = self._receive_some if self._sealed is None else self._sealed.receive
        data = receive(limit, timeout_s)
        self.bytes_in += len(data)
        self.at_end = not data
        if self._pace_in is not None:
            self._pace_in.take(len(data), self.network.now_s())
        return data

    def _receive_some(self, limit: int, timeout_s: float | None) -> bytes:
        """Return what the socket has next, ``b""`` at the end of the peer's stream."""
        self._is_reading = True
        try:
            if timeout_s is not None:
                wait_readable(self._socket, timeout_s)
            data = self._receive(limit)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise  # the caller's own time-out, not the kernel's
            raise self._broken(error) from error
        finally:
            self._is_reading = False
        if not data:
            self._check_open()  # end() shut the socket down: that is not the peer's end of stream
        if self._tap is not None and not (data and self._sealed is not None):
            self._tap.received(data)
        return data

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, *chunks: Chunk) -> None:
        if len(chunks) != 1 or not self._direct:
            with self._writing:
                await self._write_some(chunks)
            return
        # The hot path of every echo: what the kernel takes at once is done in one call, whatever the peer does.
        free = self._writing.free
        try:
            free.pop()
        except IndexError:  # another thread is writing
            self._writing.take()
        try:
            data = chunks[0]
            sent = self._send(data, MSG_DONTWAIT)
            self.bytes_out += sent
            if self._tap is not None:
                self._tap.sent(bytes(memoryview(data).cast("B")[:sent]))
            if sent != len(data):
                self._transmit_rest(sent, chunks)
        except BlockingIOError:
            self._transmit_rest(0, chunks)
        except OSError as error:
            raise self._broken(error) from error
        finally:
            free.append(None)
            if self._writing.waiters:
                self._writing.wake()

    async def _write_some(self, chunks: tuple[Chunk, ...]) -> None:
        if not self._direct:
            await self._write_slowly(chunks)
            return
        chunks = gathered(chunks)
        try:
            sent = self._socket.sendmsg(chunks, (), MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._broken(error) from error
        self.bytes_out += sent
        if self._tap is not None:
            self._tap.sent(b"".join(chunks)[:sent])
        self._transmit_rest(sent, chunks)

    def _transmit_rest(self, sent: int, chunks: tuple[Chunk, ...]) -> None:
        for rest in after(sent, chunks):
            self._transmit(rest, counted=True)

    async def _write_slowly(self, chunks: tuple[Chunk, ...]) -> None:
        """Send sealed or paced."""
        self._check_writable()
        view = memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks)).cast("B")
        while view:
            size = min(len(view), TLS_PIECE_BYTES)
            if self._pace_out is not None:
                size = await self._allowance(self._pace_out, size)
                self._pace_out.take(size, self.network.now_s())
            if self._sealed is None:
                self._transmit(view[:size], counted=True)
            else:
                self._sealed.send(view[:size])
                self.bytes_out += size
            view = view[size:]

    def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        transmit(self, data, counted=counted)

    def _send_nowait(self, data: bytes) -> None:
        """Send what the kernel takes at once of what must not wait: an alert, a farewell."""
        with contextlib.suppress(OSError):
            sent = self._send(data, MSG_DONTWAIT)
            if self._tap is not None and self._sealed is None:
                self._tap.sent(data[:sent])

    def pace(self, bytes_in_per_s: float | None, bytes_out_per_s: float | None) -> None:
        super().pace(bytes_in_per_s, bytes_out_per_s)
        self._direct = self._may_be_direct()

    def _may_be_direct(self) -> bool:
        is_paced = self._pace_in is not None or self._pace_out is not None
        return self._sealed is None and self._failure is None and not self._shut and not is_paced

    def _check_writable(self) -> None:
        self._check_open()
        if self._shut:
            raise ConnectionClosed("write after write_eof")

    async def write_eof(self) -> None:
        with self._writing:
            self._check_open()
            if self._shut:
                return
            self._shut, self._direct = True, False
            if self._sealed is not None:
                self._sealed.send_end()
            try:
                self._socket.shutdown(SHUT_WR)
            except OSError as error:
                raise self._broken(error) from error
            if self._tap is not None:
                self._tap.ended("out")

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        self._check_writable()
        descriptor = descriptor_of(file)
        if descriptor is None or self._sealed is not None or self._pace_out is not None:
            return await piecewise.send_file(self, file, offset, count)
        with self._writing:
            sent_total = send_file(self, descriptor, offset, count)
        piecewise.check_sent(sent_total, count)
        return sent_total

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        descriptor = descriptor_of(file)
        if descriptor is None or not CAN_SPLICE or self._sealed is not None or self._pace_in is not None:
            return await piecewise.receive_file(self, file, count)
        file.flush()
        return await receive_file(self, descriptor, count)

    # ── upgrade ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: Connection | None = None,
    ) -> None:
        self.shake_hands(context, server_side=server_side, server_name=server_name, resume=resume)

    def shake_hands(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: Connection | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """What ``start_tls`` does, with a time-out: TimeoutError leaves the connection unusable."""
        from portside.net.blocking_tls import Sealed, engine_for

        engine = engine_for(self, context, server_side=server_side, server_name=server_name, resume=resume)
        self._direct = False
        self._engine, self._sealed = engine, Sealed(self, engine)
        self._sealed.shake_hands(Deadline(self.network, timeout_s))
        self.tls = engine.state

    async def stop_tls(self) -> None:
        from portside.net.blocking_tls import engine_to_stop

        engine_to_stop(self)
        with self._writing:
            self._check_writable()
            if self._sealed is not None:
                self._sealed.stop()
            self._sealed = None
            self._direct = self._may_be_direct()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _broken(self, error: OSError) -> ConnectionLost | ConnectionClosed:
        """Return what the socket's error means: what ended the connection, once and for every further call."""
        if self._failure is None:
            failure = translate(error)
            if not isinstance(failure, ConnectionLost):
                failure = ConnectionLost(str(failure))
                failure.__cause__ = error
            self._fail(failure)
            self._is_broken = True
            if self._tap is not None:
                self._tap.reset("in")
        assert self._failure is not None
        return self._failure

    def _fail(self, failure: ConnectionLost | ConnectionClosed) -> None:
        self._direct = False
        if self._failure is None:
            self._failure = failure

    def _end(self, reason: EndReason, farewell: bytes) -> None:
        if not self._record_end(reason):
            return
        self._direct = False
        with self._lifetime:
            if self._is_closed:
                return
            if farewell and not self._shut and self._writing.try_take():  # in the middle of a write it is nonsense
                try:
                    (self._send_nowait if self._sealed is None else self._sealed.say_farewell)(farewell)
                finally:
                    self._writing.give_back()
            with contextlib.suppress(OSError):
                self._socket.shutdown(SHUT_RDWR)

    async def close(self, *, linger: bool = True) -> None:
        if self._is_closed:
            return
        try:
            if self._sealed is not None:
                with self._writing:
                    if self._failure is None and not self._shut:
                        self._sealed.send_end()
        except (ConnectionLost, ConnectionClosed):
            pass  # there is nobody to close towards
        finally:
            self._let_go(linger)

    def _let_go(self, linger: bool) -> None:
        """Close the socket, once the peer has ended its stream too.

        A socket closed with bytes to be read answers them with a reset, which may destroy what we sent last (RFC 1122
        section 4.2.2.13, RFC 9112 section 9.6).
        """
        self._fail(ConnectionClosed("the connection is closed"))
        self._is_closed = True
        if linger and not self._is_broken and not (self.at_end and self._sealed is None):
            with contextlib.suppress(OSError):
                self._socket.shutdown(SHUT_WR)
                drain(self._socket, LINGER_S)
        self._close_socket()

    def abort(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(OSError):
                reset_on_close(self._socket)
            self._fail(ConnectionClosed("the connection was aborted"))
            if self._tap is not None:
                self._tap.reset("out")
            self._close_socket()

    def _close_socket(self) -> None:
        with self._lifetime:
            self._socket.close()
        if self._tap is not None:
            self._tap.closed()
