"""Connections under an event loop: raw non-blocking sockets on a lane, driven by the handler's own Task.

A connection is three things in one object, so that a byte's way is short and an idle connection small:

- the stream that the handler reads and writes;
- the coroutine that the handler's Task runs (``send``, ``throw``): it passes everything on to the handler;
- the future-like thing that Task waits for while the handler is parked here (``add_done_callback``, ``cancel``).

So a real Task exists, and timeouts, cancellation, context variables and task groups are asyncio's own. But when bytes
come, the lane resumes the handler itself; the Task does not notice, it still waits for the connection. Only when the
handler awaits something foreign (a Future, a sleep) or ends is the Task woken, and takes over from there.

Other tasks may use the connection too: whoever is not the handler's own Task waits on an ordinary Future.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from portside.address import Address, from_sockaddr
from portside.contracts import LINGER_S, Network
from portside.errors import ConnectionClosed, ConnectionLost, HandlerError, TlsFailed
from portside.events import EndReason
from portside.net import tls
from portside.net.files import FILE_PIECE_BYTES, Splice, descriptor_of, write_all
from portside.net.lane import HANGUP, READING, RUNNING, WRITING, Lane
from portside.net.sockets import SHUT_RDWR, SHUT_WR, Socket, reset_on_close, translate
from portside.net.stream import PIECE_BYTES, Deadline, State, Stream

if TYPE_CHECKING:
    import ssl

TURN_BYTES: Final = 1 << 20  # a connection that never has to wait lets the others have a turn after so many bytes
TLS_PIECE_BYTES: Final = 1 << 18  # plain bytes sealed at a time; larger pieces win nothing more

# Values of _parked beside the lane's:
ENDING: Final = 3  # the handler waits, for bytes or room, but will be told that the connection was ended
LINGERING: Final = 4  # closed, waiting for the peer's end of stream
CLOSED: Final = 5
PARKED: Final = frozenset({READING, WRITING, ENDING})

Finished = Callable[["EventConnection", BaseException | None], None]


@types.coroutine
def _let_others_run() -> Generator[None, None, None]:
    yield


class EventConnection(Stream):
    """A connection of an event loop. Give it a handler with ``start``, or use it from any task without one."""

    __slots__ = (
        "__weakref__",
        "_context",
        "_direct",
        "_engine",
        "_finished",
        "_hangup",
        "_lane",
        "_main",
        "_outcome",
        "_parked",
        "_readable",
        "_reader",
        "_receive",
        "_run",
        "_send",
        "_send_main",
        "_shut",
        "_socket",
        "_spare",
        "_take_max",
        "_task",
        "_turn_in_ends",
        "_turn_out_ends",
        "_unsent",
        "_wake_task",
        "_write_lock",
        "_writer",
        "_yielded",
    )

    # Set by start(): a connection without a handler has none of them, and no Task.
    _main: Coroutine[Any, Any, None]
    _send_main: Callable[[Any], object]
    _finished: Finished
    _context: Context
    _run: Callable[..., object]

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
        super().__init__(network, local=local, peer=peer)
        self._socket = sock
        self._lane = lane
        self._receive = sock.recv
        self._send = sock.send
        self._engine: tls.TlsEngine | None = None
        self._direct = True  # plain, unpaced, open and nobody in mid-write: bytes may go straight to the socket
        self._readable = True  # the kernel may have bytes for us; edge-triggered, so only EAGAIN makes it False
        self._hangup = False  # … and after a hang-up not even that: the end or an error is still to be read
        self._spare = b""  # plain bytes of a TLS record beyond what was asked for
        self._shut = False  # write_eof was called
        self._parked = RUNNING  # what the handler waits for here, or LINGERING, CLOSED
        self._take_max = PIECE_BYTES  # how much the parked handler takes
        self._reader: asyncio.Future[None] | None = None  # a task, not the handler's own, waiting to read …
        self._writer: asyncio.Future[None] | None = None  # … or to write
        self._write_lock: asyncio.Lock | None = None
        self._unsent: memoryview | None = None  # accepted for sending, not yet taken by the kernel
        self._turn_in_ends = self._turn_out_ends = TURN_BYTES
        self._task: asyncio.Task[None] | None = None
        self._outcome: BaseException | None = None
        self._yielded: object = self
        self._wake_task: Callable[[object], object] | None = None
        lane.add(sock.fileno(), self)

    def _find_local(self) -> Address:
        return from_sockaddr(self._socket.getsockname())

    def _find_peer(self) -> Address:
        return from_sockaddr(self._socket.getpeername())

    @property
    def state(self) -> State:
        if self._parked >= ENDING:
            return "closing"
        if self._parked == WRITING or self._writer is not None:
            return "writing"
        if self._parked == READING or self._reader is not None:
            return "reading"
        return "busy"

    # ── the handler's Task ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, main: Coroutine[Any, Any, None], finished: Finished, context: Context | None = None) -> None:
        """Run the handler's coroutine on this connection: at once, until it first has to wait, or if another task is
        running, when that lets go of the loop.

        ``finished(connection, error)`` is called when it is over, with what it raised. Nothing it raises goes further,
        except KeyboardInterrupt and SystemExit.
        """
        self._main = main
        self._finished = finished
        self._send_main = main.send
        self._context = copy_context() if context is None else context.copy()
        self._run = self._context.run
        self._task = asyncio.Task(cast("Coroutine[Any, Any, None]", self), loop=self._lane.loop, context=self._context)
        if asyncio.current_task(self._lane.loop) is None:
            self._lane.resume(self, self._send_main, None)

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._task

    # The coroutine that the Task runs.

    def send(self, _: None) -> object:
        """Called by the Task: at its start, and when it was woken for one of the reasons of this object."""
        if self._outcome is not None:
            raise self._over()
        if self._yielded is not self:
            yielded, self._yielded = self._yielded, self
            return yielded  # what the handler awaits is foreign: the Task waits for it
        if self._parked in PARKED:
            return self  # the lane ran it up to here: the Task waits for the connection
        return self._step(self._send_main, None)

    def throw(self, error: BaseException, *_: object) -> object:
        """Called by the Task to cancel the handler, or with the error of something foreign."""
        if self._outcome is not None:
            raise self._over()
        if self._yielded is not self:
            yielded, self._yielded = self._yielded, self
            if isinstance(error, asyncio.CancelledError) and isinstance(yielded, asyncio.Future) and yielded.cancel():
                return yielded  # as a Task does that is cancelled while it waits
        if self._parked in PARKED:
            self._parked = RUNNING
        return self._step(self._main.throw, error)

    def _step(self, step: Callable[[Any], object], argument: object) -> object:
        try:
            return step(argument)
        except BaseException as error:
            self._note_outcome(error)
            raise self._over() from None

    # What the lane calls after it ran the handler.

    def _main_over(self, error: BaseException) -> None:
        self._note_outcome(error)
        if isinstance(error, (Exception, asyncio.CancelledError, GeneratorExit)):
            self._wake()
        else:  # KeyboardInterrupt, SystemExit: the Task lets them through, which would end the lane's turn
            self._lane.loop.call_soon(self._wake)

    def _hand_to_task(self, yielded: object) -> None:
        self._yielded = yielded
        self._wake()

    def _wake(self) -> None:
        """Let the Task take a step. Before its first one it knows of us nothing yet, and will ask."""
        wake, self._wake_task = self._wake_task, None
        if wake is not None:
            self._context.run(wake, self)

    def _note_outcome(self, error: BaseException) -> None:
        self._outcome = error
        try:
            self._finished(self, None if isinstance(error, StopIteration) else error)
        except Exception as failure:  # the conductor's bug must not end the lane's turn
            self._lane.loop.call_exception_handler(
                {"message": "what was to be done after a handler failed", "exception": failure}
            )

    def _over(self) -> BaseException:
        """Return what ends the Task: errors of the handler have been told to ``finished`` and go no further."""
        error = self._outcome
        assert error is not None
        if isinstance(error, Exception):
            return StopIteration()
        return error

    # The future-like thing that the Task waits for.

    @property
    def _asyncio_future_blocking(self) -> bool:
        return True

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, blocking: bool) -> None:
        """The Task marks a future so that it was yielded properly; a connection always was."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._lane.loop

    def add_done_callback(self, wake: Callable[[object], object], *, context: Context | None = None) -> None:
        self._wake_task = wake

    def result(self) -> None:
        """The Task asks after it was woken; what there is to tell, ``send`` does."""

    def cancel(self, msg: object = None) -> bool:
        """Called by ``Task.cancel``. False: the Task shall throw CancelledError at its next step, which we arrange."""
        self._lane.loop.call_soon(self._wake)
        return False

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, mask: int) -> None:
        """Remember what the kernel reported, and move whoever waits for it: all but the lane's hot path."""
        if self._parked == LINGERING:
            self._discard()
            return
        if mask & HANGUP:
            self._hangup = True
        if mask & (HANGUP | select.EPOLLIN):
            self._readable = True
            _wake_future(self._reader)
        if mask & (HANGUP | select.EPOLLOUT):
            if self._parked == WRITING:
                self._lane.resume(self, self._send_main, None)
            else:
                _wake_future(self._writer)

    def _is_owner(self) -> bool:
        """Return whether the code that runs is the handler, in its own Task: it may park here."""
        lane = self._lane
        return lane.running is self or (self._task is not None and asyncio.current_task(lane.loop) is self._task)

    @types.coroutine
    def _park_reading(self, limit: int) -> Generator[Any, Any, bytes]:
        self._take_max = limit
        self._parked = READING
        try:
            return cast("bytes", (yield self))
        finally:
            self._take_max = PIECE_BYTES

    @types.coroutine
    def _park_writing(self) -> Generator[Any, Any, None]:
        self._parked = WRITING
        yield self

    async def _wait_readable(self, timeout_s: float | None) -> None:
        if self._reader is not None:
            raise HandlerError("two tasks read from one connection at once")
        self._reader = self._future(timeout_s)
        try:
            await self._reader
        finally:
            self._reader = None
        self._check_open()

    async def _wait_writable(self) -> None:
        if self._is_owner():
            await self._park_writing()
            return
        self._writer = self._future(None)  # the write lock lets one task in
        try:
            await self._writer
        finally:
            self._writer = None

    def _future(self, timeout_s: float | None) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._lane.loop.create_future()
        if timeout_s is not None:
            timer = self._lane.loop.call_later(timeout_s, _time_out, future)
            future.add_done_callback(lambda _: timer.cancel())
        return future

    async def _end_turn(self) -> None:
        """Let the others run: a connection that never has to wait would keep the loop for itself."""
        self._turn_in_ends = self.bytes_in + TURN_BYTES
        self._turn_out_ends = self.bytes_out + TURN_BYTES
        await _let_others_run()

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
            if self._readable and (data := self._receive_now(PIECE_BYTES)):
                self.bytes_in = total = self.bytes_in + len(data)
                if total > self._turn_in_ends:
                    yield from self._end_turn().__await__()
                return data
        data = yield from self.read(PIECE_BYTES).__await__()
        if not data:
            raise StopAsyncIteration
        return data

    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        self._check_open()
        if self.at_end:
            return b""
        if self._pace_in is not None:
            await self._keep_pace(self._pace_in)
            limit = min(limit, max(1, int(self._pace_in.per_s)))
        if self._engine is None:
            data = await self._receive_some(limit, timeout_s)
        else:
            data = await self._receive_sealed(self._engine, limit, timeout_s)
        self.bytes_in += len(data)
        self.at_end = not data
        if self._pace_in is not None:
            self._pace_in.take(len(data), self.network.now_s())
        if self.bytes_in > self._turn_in_ends:
            await self._end_turn()
        return data

    def _receive_now(self, limit: int) -> bytes | None:
        """Return what the kernel has, ``b""`` at its end, None when it has nothing yet."""
        try:
            data = self._receive(limit)
        except BlockingIOError:
            self._readable = False
            return None
        except OSError as error:
            raise self._broken(error) from error
        if len(data) < limit:
            self._readable = self._hangup  # edge-triggered: a short read emptied the queue, epoll(7)
        return data

    async def _receive_some(self, limit: int, timeout_s: float | None) -> bytes:
        """Return the next bytes of the socket, as soon as there are any."""
        deadline = Deadline(self.network, timeout_s)
        while True:
            if self._readable:
                data = self._receive_now(limit)
                if data is not None:
                    return data
            if timeout_s is None and self._is_owner():
                return await self._park_reading(limit)
            await self._wait_readable(deadline.left_s())

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
                await self._transmit(engine.pending_output())  # alerts, key updates
        data, self._spare = self._spare[:limit], self._spare[limit:]
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

    async def _write_slowly(self, data: bytes | bytearray | memoryview) -> None:
        """Send in turn with other tasks, sealed, paced, or as the peer makes room."""
        self._check_writable()
        view = memoryview(data).cast("B")
        async with self._writing():
            for start in range(0, len(view), TLS_PIECE_BYTES):
                await self._write_piece(view[start : start + TLS_PIECE_BYTES])

    async def _write_piece(self, piece: memoryview) -> None:
        while piece:
            size = len(piece)
            if self._pace_out is not None:
                await self._keep_pace(self._pace_out)
                size = min(size, max(1, int(self._pace_out.per_s)))
                self._pace_out.take(size, self.network.now_s())
            if self._engine is None:
                await self._transmit(piece[:size], counted=True)
            else:
                await self._transmit(self._engine.send(piece[:size]))
                self.bytes_out += size
            piece = piece[size:]

    async def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        """Send the bytes as they are. When cancelled in the middle the rest is kept, and goes out before all else."""
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

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Be the only task that writes; the others, and the direct way, wait behind it."""
        if self._write_lock is None:
            self._write_lock = asyncio.Lock()
        async with self._write_lock:
            self._direct = False
            try:
                yield
            finally:
                self._direct = self._may_be_direct()

    def _may_be_direct(self) -> bool:
        return (
            self._engine is None
            and self._failure is None
            and self._unsent is None
            and not self._shut
            and self._pace_in is None
            and self._pace_out is None
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
        async with self._writing():
            self._shut = True
            if self._engine is not None:
                await self._transmit(self._engine.close())
            try:
                self._socket.shutdown(SHUT_WR)
            except OSError as error:
                raise self._broken(error) from error

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        self._check_writable()
        descriptor = descriptor_of(file)
        if descriptor is None or self._engine is not None or self._pace_out is not None:
            return await self._send_file_by_pieces(file, offset, count)
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
                if self.bytes_out > self._turn_out_ends:
                    await self._end_turn()
        self._check_sent(sent_total, count)
        return sent_total

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        descriptor = descriptor_of(file)
        if descriptor is None or self._engine is not None or self._pace_in is not None:
            return await self._receive_file_by_pieces(file, count)
        file.flush()
        self._check_open()
        total = 0
        if self._buffer:
            total = file.write(self._take(len(self._buffer) if count is None else count))
            file.flush()
        with Splice(self._socket.fileno(), descriptor) as splice:
            while (count is None or total < count) and not self.at_end:
                moved = self._splice_now(splice, None if count is None else count - total)
                if moved is None:
                    # Wait by taking what comes first: the lane hands bytes, not readiness, to a parked handler.
                    limit = PIECE_BYTES if count is None else min(PIECE_BYTES, count - total)
                    data = await self._pull(limit, None)
                    write_all(descriptor, data)
                    moved = len(data)
                elif self.bytes_in > self._turn_in_ends:
                    await self._end_turn()
                total += moved
        return total

    def _splice_now(self, splice: Splice, left: int | None) -> int | None:
        """Move what the kernel has from the socket to the file: None when it has nothing yet, 0 at its end."""
        if not self._readable:
            return None
        try:
            moved = splice.take(FILE_PIECE_BYTES if left is None else min(FILE_PIECE_BYTES, left))
        except BlockingIOError:
            self._readable = self._hangup
            return None
        except OSError as error:
            raise self._broken(error) from error
        self.bytes_in += moved
        self.at_end = moved == 0
        splice.put(moved)
        return moved

    # ── upgrade and end ──────────────────────────────────────────────────────────────────────────────────────────────

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool = True, server_name: str | None = None
    ) -> None:
        self._check_open()
        if self._engine is not None:
            raise HandlerError("the connection is under TLS already")
        if self._buffer:
            # Commands put in plain text behind the upgrade would be taken for protected ones (CVE-2011-0411).
            raise TlsFailed(f"{len(self._buffer)} plain bytes stood behind the upgrade to TLS")
        engine = tls.TlsEngine(context, server_side=server_side, server_name=server_name)
        self._direct = False
        self._engine = engine
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

    def _broken(self, error: OSError) -> ConnectionLost:
        """Translate what the socket said, once; every further call raises the same."""
        failure = translate(error)
        if not isinstance(failure, ConnectionLost):
            failure = ConnectionLost(str(failure))
        failure.__cause__ = error
        self._fail(failure)
        return failure

    def _fail(self, failure: ConnectionLost | ConnectionClosed) -> None:
        self._direct = False
        if self._failure is None:
            self._failure = failure

    def _send_nowait(self, data: bytes) -> None:
        """Send what the kernel takes at once, and keep the rest: for what must not wait, a farewell or an alert."""
        with contextlib.suppress(OSError):
            sent = self._send(data) if data and self._unsent is None else 0
            if sent < len(data) and self._unsent is None:
                self._unsent = memoryview(data)[sent:]

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        if not self._record_end(reason):
            return
        self._direct = False
        if self._unsent is None and not self._shut:
            sealed = farewell if self._engine is None else self._seal(self._engine, farewell)
            self._send_nowait(sealed)
        if self._parked in (READING, WRITING):
            self._parked = ENDING  # whatever comes until then, it does not hear of
        self._lane.loop.call_soon(self._raise_end)

    def _seal(self, engine: tls.TlsEngine, farewell: bytes) -> bytes:
        with contextlib.suppress(TlsFailed):
            return engine.send(farewell) + engine.close()
        return b""

    def _raise_end(self) -> None:
        """Tell whoever waits that the connection was ended; a handler that waits for something else is cancelled."""
        failure = self._failure
        assert failure is not None
        waiting = [future for future in (self._reader, self._writer) if future is not None and not future.done()]
        for future in waiting:
            future.set_exception(failure)
        if self._parked == ENDING:
            self._lane.resume(self, self._main.throw, failure)
        elif not waiting and self._task is not None and self._outcome is None:
            self._task.cancel()
        if self._parked < LINGERING:
            with contextlib.suppress(OSError):
                self._socket.shutdown(SHUT_RDWR)

    async def close(self) -> None:
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
            self._let_go()

    def finish(self) -> None:
        """Close without waiting: for whoever ends a connection whose handler is over."""
        if self._parked < LINGERING:
            if self._failure is None and self._engine is not None and self._engine.done and not self._shut:
                self._send_nowait(self._engine.close())
            self._let_go()

    def abort(self) -> None:
        if self._parked != CLOSED:
            with contextlib.suppress(OSError):
                reset_on_close(self._socket)
            self._fail(ConnectionClosed("the connection was aborted"))
            self._close_socket()

    def _let_go(self) -> None:
        """Close the socket, once the peer has ended its stream too.

        A socket closed with bytes still to be read, or that come later, answers them with a reset, which may destroy
        what we sent last before the peer's program has read it (RFC 1122 section 4.2.2.13, RFC 9112 section 9.6).
        """
        lost = isinstance(self._failure, ConnectionLost) and self.ended_because is None
        self._fail(ConnectionClosed("the connection is closed"))
        if lost or (self.at_end and self._engine is None):
            self._close_socket()
            return
        try:
            self._socket.shutdown(SHUT_WR)
        except OSError:
            self._close_socket()
            return
        self._parked = LINGERING
        if self._lane.linger(self, LINGER_S):
            self._discard()

    def _discard(self) -> None:
        """Throw away what a closed connection still receives; close its socket at the end of the stream."""
        try:
            while self._receive(PIECE_BYTES):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close_socket()

    def _close_socket(self) -> None:
        if self._parked != CLOSED:
            self._parked = CLOSED
            self._lane.forget(self._socket.fileno(), self)
            self._socket.close()
            for future in (self._reader, self._writer):
                _wake_future(future)


# A Task takes what is registered as a coroutine; of its methods it calls only send and throw.
Coroutine.register(EventConnection)


def _wake_future(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _time_out(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
