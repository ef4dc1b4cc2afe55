"""What all connections of an event loop do alike, whoever moves their bytes: TLS, turns to write, pace, their end.

How a handler waits is told in ``net.parking``. A socket of its own on the lane (``net.event``) or a transport of the
loop's (``net.transport``) brings and takes the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from abc import abstractmethod
from collections.abc import Generator
from typing import TYPE_CHECKING, ClassVar, Final

from portside.address import Address
from portside.contracts import LINGER_S, Connection, Network
from portside.errors import ConnectionClosed, ConnectionLost, EndOfStream, TlsFailed
from portside.events import EndReason
from portside.net import tls
from portside.net.deadline import Deadline
from portside.net.failures import translate
from portside.net.parking import CLOSED, ENDING, LINGERING, ParkingStream
from portside.net.stream import PIECE_BYTES
from portside.net.tls_engine import RECORD_BYTES
from portside.net.turns import READING, WRITING, Turns
from portside.net.upgrade import LastWords, engine_for, engine_to_stop
from portside.net.writing import Writing

if TYPE_CHECKING:
    import ssl

UNSENT_BYTES_MAX: Final = 1 << 20  # our own piece under way, and what TLS answers behind it to a peer that never reads
UNREAD_ANSWERS: Final = "the peer asks for answers, key updates perhaps, and takes none"
TURN_BYTES: Final = 1 << 20  # a connection that never has to wait lets the others have a turn after so many bytes
TLS_PIECE_BYTES: Final = 1 << 18  # plain bytes sealed at a time; larger pieces win nothing more


@types.coroutine
def _let_others_run() -> Generator[None, None, None]:
    yield


class LoopStream(ParkingStream):
    """A connection of an event loop. Give it a handler with ``start``, or use it from any task without one."""

    __slots__ = (
        "_direct",
        "_shut",
        "_spare",
        "_turn_in_ends",
        "_turn_out_ends",
        "_write_lock",
        "_writers",
    )

    _piece_bytes: ClassVar[int] = TLS_PIECE_BYTES  # sent, and counted, at a time

    def __init__(self, turns: Turns, network: Network, *, local: Address | None, peer: Address | None) -> None:
        super().__init__(turns, network, local=local, peer=peer)
        self._direct = True  # plain, unpaced, open and nobody in mid-write: bytes may go straight to the socket
        self._spare = b""  # plain bytes of a TLS record beyond what was asked for
        self._shut = False  # write_eof was called
        self._write_lock: asyncio.Lock | None = None
        self._writers = 0  # tasks that hold the lock or wait for it
        self._turn_in_ends = self._turn_out_ends = TURN_BYTES

    # What moves the bytes is the derived class' own.

    @abstractmethod
    async def _receive_some(self, limit: int, timeout_s: float | None) -> bytes:
        """Return the next bytes as they come, sealed under TLS, as soon as there are any; ``b""`` at the end."""

    @abstractmethod
    async def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        """Send the bytes as they are. When cancelled in the middle the rest is kept, and goes out before all else."""

    @abstractmethod
    async def _flush(self) -> None:
        """Return when the kernel has taken everything that was accepted for sending."""

    @abstractmethod
    def _is_flushed(self) -> bool: ...

    @abstractmethod
    def _send_nowait(self, data: bytes) -> None:
        """Send what the kernel takes at once, and keep the rest in its order: for what must not wait."""

    @abstractmethod
    def _shut_down(self, *, reading: bool = False) -> None:
        """End our stream behind what was sent, and with ``reading`` take nothing more. Raises: OSError."""

    @abstractmethod
    def _reset_on_close(self) -> None:
        """Make the socket's closing, which is next, a reset."""

    @abstractmethod
    def _discard(self) -> None:
        """Throw away what a lingering connection still receives; close its socket at the end of the stream."""

    async def _end_turn(self) -> None:
        """Let the others run: a connection that never has to wait would keep the loop for itself."""
        self._turn_in_ends = self.bytes_in + TURN_BYTES
        self._turn_out_ends = self.bytes_out + TURN_BYTES
        await _let_others_run()

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        self._check_open()
        if self.at_end:
            return b""
        if self.bytes_in > self._turn_in_ends:
            await self._end_turn()  # now, and not with bytes in hand: a cancellation would lose them
            self._check_open()
        if self._pace_in is not None:
            limit = await self._allowance(self._pace_in, limit)
        if self._engine is None:
            data = await self._receive_some(limit, timeout_s)
        else:
            data = await self._receive_sealed(self._engine, limit, timeout_s)
        self.bytes_in += len(data)
        self.at_end = not data
        if self._pace_in is not None:
            self._pace_in.take(len(data), self.network.now_s())
        return data

    async def _receive_sealed(self, engine: tls.TlsEngine, limit: int, timeout_s: float | None) -> bytes:
        """Return the next plain bytes; what a record holds beyond the limit is kept for the next call."""
        deadline = Deadline(self.network, timeout_s)
        while not self._spare and not engine.ended:
            sealed = await self._receive_some(limit, deadline.left_s())
            if not sealed:
                engine.feed_eof()
                break
            try:
                self._spare = engine.receive(sealed)
            finally:
                self._send_nowait(engine.pending_output())  # alerts, key updates: reading must not wait for room
        data, self._spare = self._spare[:limit], self._spare[limit:]
        return data

    async def _pull_into(self, view: memoryview) -> int:
        engine = self._engine
        if engine is None or self._buffer or self._spare or self._pace_in is not None or len(view) <= 2 * RECORD_BYTES:
            return await super()._pull_into(view)
        self._check_open()
        if self.bytes_in > self._turn_in_ends:
            await self._end_turn()
            self._check_open()
        received = 0
        while not received and not engine.ended:
            sealed = await self._receive_some(min(PIECE_BYTES, len(view) - RECORD_BYTES), None)
            if not sealed:
                engine.feed_eof()
                break
            try:
                received = engine.receive_into(sealed, view)
            finally:
                self._send_nowait(engine.pending_output())
        self.bytes_in += received
        self.at_end = not received
        return received

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _write_slowly(self, data: bytes | bytearray | memoryview) -> None:
        """Send in turn with other tasks, sealed, paced, or as the peer makes room."""
        self._check_writable()
        view = memoryview(data).cast("B")
        async with self._writing():
            for start in range(0, len(view), self._piece_bytes):
                await self._write_piece(view[start : start + self._piece_bytes])
        if self.bytes_out > self._turn_out_ends:
            await self._end_turn()

    async def _write_piece(self, piece: memoryview) -> None:
        while piece:
            size = len(piece)
            if self._pace_out is not None:
                size = await self._allowance(self._pace_out, size)
                self._pace_out.take(size, self.network.now_s())
            if self._engine is None:
                await self._transmit(piece[:size], counted=True)
            else:
                await self._flush()  # a record that is sealed has its number, and must be sent: no waiting behind it
                await self._transmit(self._engine.send(piece[:size]))
                self.bytes_out += size
            piece = piece[size:]

    def _writing(self) -> Writing:
        """Be the only task that writes. The direct way is closed as long as anybody is in it or waits for it: whoever
        went past them could leave half a message in front of theirs.
        """
        return Writing(self)

    def _may_be_direct(self) -> bool:
        return (
            not self._writers
            and self._engine is None
            and self._failure is None
            and self._is_flushed()
            and not self._shut
            and self._pace_in is self._pace_out is None
        )

    def pace(self, bytes_in_per_s: float | None, bytes_out_per_s: float | None) -> None:
        super().pace(bytes_in_per_s, bytes_out_per_s)
        self._direct = self._may_be_direct()

    def _check_writable(self) -> None:
        self._check_open()
        if self._shut:
            raise ConnectionClosed("write after write_eof")

    async def write_eof(self) -> None:
        self._check_open()
        if self._shut:
            return
        if self._direct:
            self._direct, self._shut = False, True
            self._end_stream()
            return
        async with self._writing():
            self._shut = True
            if self._engine is not None:
                await self._flush()
                await self._transmit(self._engine.close())
            self._end_stream()

    def _end_stream(self) -> None:
        try:
            self._shut_down()
        except OSError as error:
            raise self._broken(error) from error

    # ── upgrade and end ───────────────────────────────────────────────────────────────────────────────────────────────

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: Connection | None = None,
    ) -> None:
        engine = engine_for(self, context, server_side=server_side, server_name=server_name, resume=resume)
        self._direct, self._engine = False, engine
        await self._shake_hands(engine)
        self.tls = engine.state

    async def _shake_hands(self, engine: tls.TlsEngine) -> None:
        try:
            done = engine.handshake()
            while not done:
                await self._transmit(engine.pending_output())
                sealed = await self._receive_some(PIECE_BYTES, None)
                if sealed:
                    self._spare = engine.receive(sealed)
                else:
                    engine.feed_eof()
                done = engine.done
        except TlsFailed as error:
            self._fail(ConnectionLost(str(error)))
            raise
        finally:
            self._send_nowait(engine.pending_output())

    async def stop_tls(self) -> None:
        engine = engine_to_stop(self)
        self._check_writable()
        words = LastWords(engine)
        async with self._writing():
            try:
                await self._flush()
                await self._transmit(engine.close())
                while not words.are_over:
                    words.take(await self._receive_some(PIECE_BYTES, None))
            except (TlsFailed, EndOfStream) as error:
                self._fail(ConnectionLost(str(error)))
                raise
            words.plain(self, self._spare)
            self._spare = b""

    def _broken(self, error: OSError) -> ConnectionLost:
        """Translate what the socket said, once; every further call raises the same."""
        failure = self._lost(error)
        self._fail(failure)
        if self._tap is not None:
            self._tap.reset("in")
        return failure

    @staticmethod
    def _lost(error: OSError) -> ConnectionLost:
        failure = translate(error)
        if not isinstance(failure, ConnectionLost):
            failure = ConnectionLost(str(failure))
        failure.__cause__ = error
        return failure

    def _fail(self, failure: ConnectionLost | ConnectionClosed) -> None:
        self._direct = False
        if self._failure is None:
            self._failure = failure

    def _end(self, reason: EndReason, farewell: bytes) -> None:
        is_told_elsewhere = any(companion._is_waited_for() for companion in self._parking_companions())
        if not self._record_end(reason):
            return
        self._direct = False
        if self._is_flushed() and not self._writers and not self._shut:
            sealed = farewell if self._engine is None else self._seal(self._engine, farewell)
            self._send_nowait(sealed)
        if not self._tell_who_is_parked():
            self._turns.loop.call_soon(self._raise_end, is_told_elsewhere)

    def _parking_companions(self) -> list[ParkingStream]:
        return [companion for companion, _ in self.companions() if isinstance(companion, ParkingStream)]

    def _seal(self, engine: tls.TlsEngine, farewell: bytes) -> bytes:
        with contextlib.suppress(TlsFailed):
            return engine.send(farewell) + engine.close()
        return b""

    def _raise_end(self, is_told_elsewhere: bool = False) -> None:
        """Tell whoever waits that the connection was ended; a handler that waits for something else is cancelled,
        unless that is a companion, which tells it.
        """
        failure = self._failure
        assert failure is not None
        waiting = [future for future in (self._reader, self._writer) if future is not None and not future.done()]
        for future in waiting:
            future.set_exception(failure)
        if self._parked == ENDING:
            self._turns.resume(self, self._main.throw, failure)
        elif not (waiting or is_told_elsewhere) and self._task is not None and self._outcome is None:
            self._task.cancel()
        if self._parked < LINGERING:
            with contextlib.suppress(OSError):
                self._shut_down(reading=True)

    async def close(self, *, linger: bool = True) -> None:
        if self._parked >= LINGERING:
            return
        try:
            if self._failure is None and not self._shut:
                async with self._writing():
                    await self._flush()
                    if self._engine is not None and self._engine.done:
                        await self._transmit(self._engine.close())
        except ConnectionLost:
            pass  # there is nobody to close towards
        finally:
            self._let_go(linger)

    def finish(self) -> None:
        """Close without waiting: for whoever ends a connection whose handler is over."""
        if self._parked < LINGERING:
            if self._failure is None and self._engine is not None and self._engine.done and not self._shut:
                self._send_nowait(self._engine.close())
            self._let_go()

    def abort(self) -> None:
        if self._parked != CLOSED:
            self._reset_on_close()
            self._fail(ConnectionClosed("the connection was aborted"))
            self._tell_who_is_parked()
            self._close_socket()

    def _tell_who_is_parked(self) -> bool:
        """See that a handler that waits here hears of the end that others make; return whether there is one."""
        if self._parked not in (READING, WRITING):
            return False
        self._parked = ENDING  # whatever comes until then, it does not hear of
        self._turns.loop.call_soon(self._raise_end)
        return True

    def _let_go(self, linger: bool = True) -> None:
        """Close the socket, once the peer has ended its stream too.

        A socket closed with bytes still to be read, or that come later, answers them with a reset, which may destroy
        what we sent last before the peer's program has read it (RFC 1122 section 4.2.2.13, RFC 9112 section 9.6).
        """
        lost = isinstance(self._failure, ConnectionLost) and self.ended_because is None
        self._fail(ConnectionClosed("the connection is closed"))
        if self._tell_who_is_parked():
            return  # the handler's end closes it
        if lost or not linger or (self.at_end and self._engine is None):
            self._close_socket()
            return
        try:
            if not self._shut:
                self._shut_down()
        except OSError:
            self._close_socket()
            return
        self._parked = LINGERING
        self._discard()
        if self._parked == LINGERING:
            self._turns.linger(self, LINGER_S)
