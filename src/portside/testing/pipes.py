"""A connection that only lives in memory: two pipes, and what a handler sees of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, Final

from portside.address import Address, InternetAddress
from portside.contracts import Connection, Network
from portside.errors import ConnectionClosed, ConnectionLost, EndOfStream, PortsideError, TlsFailed
from portside.events import EndReason
from portside.net import piecewise
from portside.net.deadline import Deadline
from portside.net.stream import PIECE_BYTES, State, Stream

if TYPE_CHECKING:
    import ssl

    from portside.net.tls_engine import TlsEngine

CAPACITY_BYTES: Final = 65_536  # what each direction holds before a writer waits
UNBOUNDED_BYTES: Final = 1 << 40  # for peers that never wait
DISCARD_BYTES: Final = 65_536  # what a closed end still swallows before the writer learns that nobody reads
TLS_PIECE_BYTES: Final = 16_384

# From the blocks set aside for documentation, RFC 5737.
SERVER: Final = InternetAddress("192.0.2.1", 9000)
CLIENT: Final = InternetAddress("198.51.100.7", 50_000)


class Stalled(PortsideError, AssertionError):
    """A test's connection would wait for ever: no event loop runs in which anybody else could act."""


class Pipe:
    """One direction: chunks on their way, and who waits for a change."""

    __slots__ = ("_waiting", "capacity_bytes", "chunks", "discarding", "held_bytes", "is_ended", "is_reset")

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.chunks: deque[bytes] = deque()
        self.held_bytes = 0
        self.is_ended = False  # the writer has said its end of stream
        self.is_reset = False
        self.discarding: int | None = None  # nobody reads any more: bytes still swallowed until that shows
        self._waiting: list[asyncio.Future[None]] = []

    def put(self, data: bytes | memoryview) -> int:
        """Take as much of the data as there is room for."""
        if self.discarding is not None:
            swallowed = min(len(data), self.discarding)
            self.discarding -= swallowed
            self.is_reset = self.is_reset or swallowed < len(data)
            return swallowed
        taken = bytes(data[: self.capacity_bytes - self.held_bytes])
        if taken:
            self.chunks.append(taken)
            self.held_bytes += len(taken)
            self.wake()
        return len(taken)

    def get(self, limit: int) -> bytes:
        """Return the next chunk, or its first ``limit`` bytes."""
        chunk = self.chunks.popleft()
        if len(chunk) > limit:
            self.chunks.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self.held_bytes -= len(chunk)
        self.wake()
        return chunk

    def finish(self) -> None:
        self.is_ended = True
        self.wake()

    def reset(self) -> None:
        self.is_reset = True
        self.wake()

    def discard(self) -> None:
        """Nobody will read: what is held goes, what comes is swallowed for a while."""
        self.chunks.clear()
        self.held_bytes = 0
        if self.discarding is None:
            self.discarding = DISCARD_BYTES
        self.wake()

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def change(self, timeout_s: float | None, waits_for: str) -> None:
        """Wait until something is different. Without a loop nothing ever will be: a timeout then passes at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if timeout_s is not None:
                raise TimeoutError(f"nothing came within {timeout_s:g} s") from None
            raise Stalled(f"the connection waits for {waits_for}, and no event loop runs that could bring it") from None
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        timer = None if timeout_s is None else loop.call_later(timeout_s, _time_out, future, timeout_s)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()


def _time_out(future: asyncio.Future[None], timeout_s: float) -> None:
    if not future.done():
        future.set_exception(TimeoutError(f"nothing came within {timeout_s:g} s"))


class MemoryConnection(Stream):
    """One end of a pair."""

    __slots__ = (
        "_incoming",
        "_is_closed",
        "_is_reading",
        "_is_writing",
        "_outgoing",
        "_shut",
        "_spare",
        "_write_lock",
    )

    def __init__(
        self, incoming: Pipe, outgoing: Pipe, *, network: Network, local: Address = SERVER, peer: Address = CLIENT
    ) -> None:
        super().__init__(network, local=local, peer=peer)
        self._incoming = incoming
        self._outgoing = outgoing
        self._spare = bytearray()  # plain bytes of TLS records beyond what was asked for
        self._shut = False
        self._write_lock = asyncio.Lock()  # what one call writes stays together, whichever task calls
        # What tasks do here, each by itself: one may write while another waits for bytes.
        self._is_reading = self._is_writing = self._is_closed = False

    def _find_local(self) -> Address:
        raise AssertionError("given at birth")

    def _find_peer(self) -> Address:
        raise AssertionError("given at birth")

    def _peer_has_hung_up(self) -> bool:
        return self._incoming.is_ended or self._incoming.is_reset

    def _waits_for(self) -> State:
        if self._is_closed:
            return "closing"
        if self._is_writing:
            return "writing"
        return "reading" if self._is_reading else "busy"

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        self._check_open()
        if self.at_end:
            return b""
        if self._pace_in is not None:
            limit = await self._allowance(self._pace_in, limit)
        deadline = Deadline(self.network, timeout_s)
        if self._engine is None:
            data = await self._receive(limit, deadline)
        else:
            data = await self._receive_sealed(self._engine, limit, deadline)
        self.bytes_in += len(data)
        self.at_end = not data
        if self._pace_in is not None:
            self._pace_in.take(len(data), self.network.now_s())
        return data

    async def _receive(self, limit: int, deadline: Deadline) -> bytes:
        self._is_reading = True
        try:
            while True:
                self._check_alive(self._incoming)
                if self._incoming.chunks:
                    data = self._incoming.get(limit)
                    if self._tap is not None and self._engine is None:
                        self._tap.received(data)
                    return data
                if self._incoming.is_ended:
                    if self._tap is not None:
                        self._tap.ended("in")
                    return b""
                await self._incoming.change(deadline.left_s(), "bytes of its peer")
        finally:
            self._is_reading = False

    async def _receive_sealed(self, engine: TlsEngine, limit: int, deadline: Deadline) -> bytes:
        while not self._spare and not engine.ended:
            sealed = await self._receive(PIECE_BYTES, deadline)
            if not sealed:
                engine.feed_eof()
                break
            try:
                self._spare += engine.receive(sealed)
            finally:
                if answer := engine.pending_output():
                    await self._transmit(answer)
        data = bytes(self._spare[:limit])
        del self._spare[:limit]
        return data

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, *chunks: bytes | bytearray | memoryview) -> None:
        self._check_writable()
        async with self._write_lock:
            self._check_writable()
            await self._write(memoryview(b"".join(chunks)))

    async def _write(self, view: memoryview) -> None:
        while view:
            size = min(len(view), TLS_PIECE_BYTES) if self._engine is not None else len(view)
            if self._pace_out is not None:
                size = await self._allowance(self._pace_out, size)
                self._pace_out.take(size, self.network.now_s())
            if self._engine is None:
                await self._transmit(view[:size], counted=True)
            else:
                await self._transmit(self._engine.send(view[:size]))
                self.bytes_out += size
            view = view[size:]

    async def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        view = memoryview(data)
        self._is_writing = True
        try:
            while True:
                self._check_alive(self._outgoing)
                taken = self._outgoing.put(view)
                if counted:
                    self.bytes_out += taken
                    if self._tap is not None:
                        self._tap.sent(bytes(view[:taken]))
                view = view[taken:]
                if not view:
                    return
                if not self._outgoing.is_reset:
                    await self._outgoing.change(None, "its peer to read")
        finally:
            self._is_writing = False

    def _check_writable(self) -> None:
        self._check_open()
        if self._shut:
            raise ConnectionClosed("write after write_eof")

    def _check_alive(self, pipe: Pipe) -> None:
        self._check_open()
        if pipe.is_reset:
            self._failure = ConnectionLost("the peer reset the connection")
            if self._tap is not None:
                self._tap.reset("in")
            self._check_open()

    async def write_eof(self) -> None:
        self._check_open()
        if not self._shut:
            async with self._write_lock:
                self._shut = True
                if self._engine is not None:
                    await self._transmit(self._engine.close())
                self._outgoing.finish()
                if self._tap is not None:
                    self._tap.ended("out")

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        self._check_writable()
        return await piecewise.send_file(self, file, offset, count)

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        return await piecewise.receive_file(self, file, count)

    # ── upgrade and end ──────────────────────────────────────────────────────────────────────────────────────────────

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: Connection | None = None,
    ) -> None:
        from portside.net.upgrade import engine_for

        engine = engine_for(self, context, server_side=server_side, server_name=server_name, resume=resume)
        self._engine = engine
        try:
            await self._shake_hands(engine)
        except TlsFailed as error:
            self._failure = ConnectionLost(str(error))
            raise
        finally:
            self._outgoing.put(engine.pending_output())
        self.tls = engine.state

    async def _shake_hands(self, engine: TlsEngine) -> None:
        no_deadline = Deadline(self.network, None)
        done = engine.handshake()
        while not done:
            await self._transmit(engine.pending_output())
            sealed = await self._receive(PIECE_BYTES, no_deadline)
            if sealed:
                self._spare += engine.receive(sealed)
            else:
                engine.feed_eof()
            done = engine.done

    async def stop_tls(self) -> None:
        from portside.net.upgrade import LastWords, engine_to_stop

        engine = engine_to_stop(self)
        self._check_writable()
        words = LastWords(engine)
        no_deadline = Deadline(self.network, None)
        try:
            await self._transmit(engine.close())
            while not words.are_over:
                words.take(await self._receive(PIECE_BYTES, no_deadline))
        except (TlsFailed, EndOfStream) as error:
            self._failure = ConnectionLost(str(error))
            raise
        words.plain(self, self._spare)
        self._spare = bytearray()

    async def close(self, *, linger: bool = True) -> None:
        if self._is_closed:
            return
        try:
            if self._failure is None and self._engine is not None and self._engine.done and not self._shut:
                await self._transmit(self._engine.close())
        except ConnectionLost:
            pass
        finally:
            if self._failure is None:
                self._failure = ConnectionClosed("the connection is closed")
            self._let_go()

    def _let_go(self) -> None:
        self._is_closed = True
        self._outgoing.finish()
        self._incoming.discard()
        if self._tap is not None:
            self._tap.closed()

    def abort(self) -> None:
        if not self._is_closed:
            if self._failure is None:
                self._failure = ConnectionClosed("the connection was aborted")
            self._outgoing.chunks.clear()
            self._outgoing.reset()
            self._incoming.reset()
            if self._tap is not None:
                self._tap.reset("out")
            self._let_go()

    def _end(self, reason: EndReason, farewell: bytes) -> None:
        if not self._record_end(reason):
            return
        if farewell and not self._is_writing and not self._shut:
            if self._tap is not None and self._engine is None:
                self._tap.sent(farewell)
            self._outgoing.put(farewell if self._engine is None else self._seal(self._engine, farewell))
        self._outgoing.finish()
        self._incoming.discard()

    def _seal(self, engine: TlsEngine, farewell: bytes) -> bytes:
        with contextlib.suppress(TlsFailed):
            return engine.send(farewell) + engine.close()
        return b""
