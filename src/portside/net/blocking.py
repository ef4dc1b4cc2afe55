"""Connections over blocking sockets: every call is done when it returns, and no coroutine here ever suspends.

A read is one ``recv`` without any time-out system call around it: overdue connections are ended by a sweeper in another
thread, whose ``end`` shuts the socket down so that the pending call returns. Only an explicit ``timeout_s`` polls.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeVar

from portside.address import Address, Endpoint, InternetAddress, from_sockaddr, parse_endpoint
from portside.contracts import LINGER_S, READ_BYTES, Network
from portside.errors import ConnectionClosed, ConnectionLost, HandlerError, NameNotFound, TlsFailed, UsageError
from portside.events import EndReason
from portside.net.files import CAN_SPLICE, FILE_PIECE_BYTES, Splice, descriptor_of, write_all
from portside.net.sockets import (
    MSG_DONTWAIT,
    SHUT_RDWR,
    SHUT_WR,
    Bound,
    Socket,
    accept_nowait,
    bind,
    peer_address,
    remove_path,
    reset_on_close,
    translate,
)
from portside.net.stream import PIECE_BYTES, Deadline, State, Stream

if TYPE_CHECKING:
    import ssl

    from portside.net.datagrams import BlockingDatagrams
    from portside.net.tls import TlsEngine

Result = TypeVar("Result")
Chunk = bytes | bytearray | memoryview

GATHER_BYTES: Final = 16_384  # up to here joining chunks is cheaper than handing the kernel a list of them
GATHER_CHUNKS_MAX: Final = 1_024  # IOV_MAX: sendmsg(2) takes no more at once
TLS_PIECE_BYTES: Final = 262_144  # plain bytes sealed at a time

# A call that waits for the peer moves no counter until it returns, and whoever moves none is idle to the sweeper.
# So calls that have to wait begin small, and grow while the peer is quick.
SLOW_PIECE_BYTES: Final = 65_536
QUICK_S: Final = 1.0


class BlockingConnection(Stream):
    """A connection of one thread. Only ``end`` may be called from others."""

    __slots__ = (
        "_direct",
        "_engine",
        "_is_broken",
        "_lifetime",
        "_receive",
        "_send",
        "_shut",
        "_socket",
        "_spare",
        "_state",
        "_tls_lock",
    )

    def __init__(
        self,
        sock: Socket,
        *,
        network: Network | None = None,
        local: Address | None = None,
        peer: Address | None = None,
    ) -> None:
        """Take over a connected socket; from here on it blocks."""
        super().__init__(NETWORK if network is None else network, local=local, peer=peer)
        if sock.gettimeout() is not None:
            sock.settimeout(None)
        self._socket = sock
        self._receive = sock.recv
        self._send = sock.send
        self._engine: TlsEngine | None = None
        self._tls_lock: threading.Lock | None = None  # of whoever uses the engine, and sends what it sealed
        self._lifetime = threading.Lock()  # end() must not reach a descriptor that is another connection's by now
        self._direct = True  # plain, unpaced and open both ways: bytes may go straight to the socket
        self._spare = bytearray()  # plain bytes of TLS records beyond what was asked for
        self._shut = False  # write_eof was called
        self._is_broken = False  # the socket itself failed: there is nobody to close towards
        self._state: State = "busy"

    def _find_local(self) -> Address:
        return from_sockaddr(self._socket.getsockname())

    def _find_peer(self) -> Address:
        return peer_address(self._socket)

    @property
    def state(self) -> State:
        return self._state

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __anext__(self) -> bytes:
        # The hot path of every echo; what is special goes through read().
        if self._direct and self._buffer is None:
            self._state = "reading"
            try:
                data = self._receive(PIECE_BYTES)
            except OSError as error:
                raise self._broken(error) from error
            finally:
                self._state = "busy"
            if data:
                self.bytes_in += len(data)
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
            await self._keep_pace(self._pace_in)
            limit = min(limit, max(1, int(self._pace_in.per_s)))
        if self._engine is None:
            data = self._receive_some(limit, timeout_s)
        else:
            data = self._receive_sealed(self._engine, limit, timeout_s)
        self.bytes_in += len(data)
        self.at_end = not data
        if self._pace_in is not None:
            self._pace_in.take(len(data), self.network.now_s())
        return data

    def _receive_some(self, limit: int, timeout_s: float | None) -> bytes:
        """Return what the socket has next, ``b""`` at the end of the peer's stream."""
        self._state = "reading"
        try:
            if timeout_s is not None:
                self._wait_readable(timeout_s)
            data = self._receive(limit)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise  # the caller's own time-out, not the kernel's
            raise self._broken(error) from error
        finally:
            self._state = "busy"
        if not data:
            self._check_open()  # end() shut the socket down: that is not the peer's end of stream
        return data

    def _wait_readable(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(timeout_s * 1_000):
            raise TimeoutError(f"nothing came within {timeout_s:g} s")

    def _receive_sealed(self, engine: TlsEngine, limit: int, timeout_s: float | None) -> bytes:
        """Return the next plain bytes; what is opened beyond the limit is kept for the next call."""
        spare = self._spare
        deadline = Deadline(self.network, timeout_s)
        while not spare and not engine.ended:
            sealed = self._receive_some(READ_BYTES, deadline.left_s())
            if not sealed:
                engine.feed_eof()
                break
            opened = self._open(engine, sealed)
            if len(opened) <= limit and opened:
                return opened
            spare += opened
        data = bytes(spare[:limit])
        del spare[:limit]
        return data

    def _open(self, engine: TlsEngine, sealed: bytes) -> bytes:
        with self._using_engine():
            try:
                opened = engine.receive(sealed)
            except TlsFailed:
                self._send_nowait(engine.pending_output())  # the alert that tells the peer why
                raise
            if answer := engine.pending_output():  # a key update
                self._transmit(answer)
        return opened

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, *chunks: Chunk) -> None:
        if not self._direct:
            await self._write_slowly(chunks)
            return
        # What the kernel takes at once is done in one call, whatever the peer does.
        try:
            if len(chunks) == 1:
                data = chunks[0]
                sent = self._send(data, MSG_DONTWAIT)
                if sent == len(data):
                    self.bytes_out += sent
                    return
            elif len(chunks) > GATHER_CHUNKS_MAX or sum(map(len, chunks)) <= GATHER_BYTES:
                chunks = (b"".join(chunks),)
                sent = self._send(chunks[0], MSG_DONTWAIT)
            else:
                sent = self._socket.sendmsg(chunks, (), MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._broken(error) from error
        self.bytes_out += sent
        for rest in _after(sent, chunks):
            self._transmit(rest, counted=True)

    async def _write_slowly(self, chunks: tuple[Chunk, ...]) -> None:
        """Send sealed or paced."""
        self._check_writable()
        view = memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks)).cast("B")
        while view:
            size = min(len(view), TLS_PIECE_BYTES)
            if self._pace_out is not None:
                await self._keep_pace(self._pace_out)
                size = min(size, max(1, int(self._pace_out.per_s)))
                self._pace_out.take(size, self.network.now_s())
            if self._engine is None:
                self._transmit(view[:size], counted=True)
            else:
                with self._using_engine():
                    self._transmit(self._engine.send(view[:size]))
                self.bytes_out += size
            view = view[size:]

    def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        """Send all of the bytes as they are, waiting for room as long as it takes."""
        view = memoryview(data)
        piece_bytes = SLOW_PIECE_BYTES
        self._state = "writing"
        try:
            while view:
                started_s = time.monotonic()
                try:
                    sent = self._send(view[:piece_bytes])
                except OSError as error:
                    raise self._broken(error) from error
                view = view[sent:]
                if counted:
                    self.bytes_out += sent
                piece_bytes = _next_piece_bytes(piece_bytes, time.monotonic() - started_s)
        finally:
            self._state = "busy"

    def pace(self, bytes_in_per_s: float | None, bytes_out_per_s: float | None) -> None:
        super().pace(bytes_in_per_s, bytes_out_per_s)
        self._direct = self._may_be_direct()

    def _may_be_direct(self) -> bool:
        paced = self._pace_in is not None or self._pace_out is not None
        return self._engine is None and self._failure is None and not self._shut and not paced

    def _check_writable(self) -> None:
        self._check_open()
        if self._shut:
            raise ConnectionClosed("write after write_eof")

    async def write_eof(self) -> None:
        self._check_open()
        if self._shut:
            return
        self._shut = True
        self._direct = False
        if self._engine is not None:
            with self._using_engine():
                self._transmit(self._engine.close())
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
        target = self._socket.fileno()
        sent_total, piece_bytes = 0, SLOW_PIECE_BYTES
        self._state = "writing"
        try:
            while count is None or sent_total < count:
                size = piece_bytes if count is None else min(piece_bytes, count - sent_total)
                started_s = time.monotonic()
                sent = os.sendfile(target, descriptor, offset + sent_total, size)
                if sent == 0:
                    break
                sent_total += sent
                self.bytes_out += sent
                piece_bytes = _next_piece_bytes(piece_bytes, time.monotonic() - started_s)
        except OSError as error:
            raise self._broken(error) from error
        finally:
            self._state = "busy"
        self._check_sent(sent_total, count)
        return sent_total

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        descriptor = descriptor_of(file)
        if descriptor is None or not CAN_SPLICE or self._engine is not None or self._pace_in is not None:
            return await self._receive_file_by_pieces(file, count)
        file.flush()
        # What is buffered, or else the first bytes, comes the plain way: a small file never needs the pipe.
        total = 0
        while total != count and (total == 0 or self._buffer):
            data = await self.read(PIECE_BYTES if count is None else min(PIECE_BYTES, count - total))
            if not data:
                return total
            write_all(descriptor, data)
            total += len(data)
        if total == count:
            return total
        with Splice(self._socket.fileno(), descriptor) as splice:
            while total != count and not self.at_end:
                limit = FILE_PIECE_BYTES if count is None else min(FILE_PIECE_BYTES, count - total)
                total += self._splice(splice, limit)
        return total

    def _splice(self, splice: Splice, limit: int) -> int:
        """Move the next bytes from the socket to the file, 0 at the end of the stream.

        Raises: what the connection says, or the file's own OSError.
        """
        self._check_open()
        self._state = "reading"
        try:
            taken = self._splice_when_ready(splice, limit)
        except OSError as error:
            raise self._broken(error) from error
        finally:
            self._state = "busy"
        if not taken:
            self._check_open()
            self.at_end = True
        self.bytes_in += taken
        splice.put(taken)
        return taken

    def _splice_when_ready(self, splice: Splice, limit: int) -> int:
        while True:
            try:
                return splice.take(limit)
            except BlockingIOError:
                # A TCP socket that blocks does so in splice too; a unix socket does as the pipe does.
                poll = select.poll()
                poll.register(self._socket, select.POLLIN)
                poll.poll()

    # ── upgrade ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool = True, server_name: str | None = None
    ) -> None:
        self.shake_hands(context, server_side=server_side, server_name=server_name)

    def shake_hands(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """What ``start_tls`` does, with a time-out: TimeoutError leaves the connection unusable."""
        from portside.net.tls import TlsEngine

        self._check_open()
        if self._engine is not None:
            raise HandlerError("the connection is under TLS already")
        if self._buffer:
            # Commands put in plain text behind the upgrade would be taken for protected ones (CVE-2011-0411).
            raise TlsFailed(f"{len(self._buffer)} plain bytes stood behind the upgrade to TLS")
        engine = TlsEngine(context, server_side=server_side, server_name=server_name)
        self._direct = False
        self._tls_lock = threading.Lock()
        self._engine = engine
        try:
            self._exchange_handshake(engine, Deadline(self.network, timeout_s))
        except (TlsFailed, TimeoutError) as error:
            self._fail(ConnectionLost(str(error)))
            raise
        self.tls = engine.state

    def _exchange_handshake(self, engine: TlsEngine, deadline: Deadline) -> None:
        try:
            done = engine.handshake()
            while not done:
                self._transmit(engine.pending_output())
                sealed = self._receive_some(READ_BYTES, deadline.left_s())
                if sealed:
                    self._spare += engine.receive(sealed)
                else:
                    engine.feed_eof()
                done = engine.done
        except TlsFailed:
            self._send_nowait(engine.pending_output())
            raise
        self._transmit(engine.pending_output())

    def _send_nowait(self, data: bytes) -> None:
        """Send what the kernel takes at once of what must not wait: an alert, a farewell."""
        with contextlib.suppress(OSError):
            self._send(data, MSG_DONTWAIT)

    @contextlib.contextmanager
    def _using_engine(self) -> Iterator[None]:
        # OpenSSL's connections are not for two threads at once, and sealed records must leave in their order.
        assert self._tls_lock is not None
        with self._tls_lock:
            yield

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
        assert self._failure is not None
        return self._failure

    def _fail(self, failure: ConnectionLost | ConnectionClosed) -> None:
        self._direct = False
        if self._failure is None:
            self._failure = failure

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        state = self._state
        if not self._record_end(reason):
            return
        self._direct = False
        with self._lifetime:
            if self._state == "closing":
                return
            if farewell and state != "writing" and not self._shut:  # in the middle of a write it would be nonsense
                self._say_farewell(farewell)
            with contextlib.suppress(OSError):
                self._socket.shutdown(SHUT_RDWR)

    def _say_farewell(self, farewell: bytes) -> None:
        if self._engine is None:
            self._send_nowait(farewell)
        elif self._engine.done and self._tls_lock is not None and self._tls_lock.acquire(blocking=False):
            try:
                with contextlib.suppress(TlsFailed):
                    self._send_nowait(self._engine.send(farewell) + self._engine.close())
            finally:
                self._tls_lock.release()

    async def close(self) -> None:
        if self._state == "closing":
            return
        try:
            if self._failure is None and self._engine is not None and not self._shut:
                with self._using_engine():
                    self._transmit(self._engine.close())
        except (ConnectionLost, ConnectionClosed):
            pass  # there is nobody to close towards
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Close the socket, once the peer has ended its stream too.

        A socket closed with bytes still to be read, or that come later, answers them with a reset, which may destroy
        what we sent last before the peer's program has read it (RFC 1122 section 4.2.2.13, RFC 9112 section 9.6).
        """
        self._fail(ConnectionClosed("the connection is closed"))
        self._state = "closing"
        if not self._is_broken and not (self.at_end and self._engine is None):
            with contextlib.suppress(OSError):
                self._socket.shutdown(SHUT_WR)
                self._drain()
        self._close_socket()

    def _drain(self) -> None:
        """Throw away what still comes, until the peer's end of stream or for ``LINGER_S``."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        deadline_s = time.monotonic() + LINGER_S
        while (left_s := deadline_s - time.monotonic()) > 0 and poll.poll(left_s * 1_000):
            if not self._receive(PIECE_BYTES, MSG_DONTWAIT):
                return

    def abort(self) -> None:
        if self._state != "closing":
            self._state = "closing"
            with contextlib.suppress(OSError):
                reset_on_close(self._socket)
            self._fail(ConnectionClosed("the connection was aborted"))
            self._close_socket()

    def _close_socket(self) -> None:
        with self._lifetime:
            self._socket.close()


def _after(sent: int, chunks: tuple[Chunk, ...]) -> Iterator[memoryview]:
    """Yield what is left of the chunks behind the first ``sent`` bytes."""
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        if sent < len(view):
            yield view[sent:]
        sent = max(0, sent - len(view))


def _next_piece_bytes(piece_bytes: int, took_s: float) -> int:
    if took_s < QUICK_S:
        return min(piece_bytes * 2, FILE_PIECE_BYTES)
    return max(piece_bytes // 2, SLOW_PIECE_BYTES)


# ── the world of blocking sockets ────────────────────────────────────────────────────────────────────────────────────


class BlockingListener:
    """Waits for connections on the sockets of one endpoint."""

    __slots__ = ("_bounds", "_network", "_poll")

    def __init__(self, bounds: list[Bound], network: Network) -> None:
        self._bounds = bounds
        self._network = network
        self._poll = select.poll()
        for bound in bounds:
            self._poll.register(bound.socket, select.POLLIN)

    @property
    def address(self) -> Address:
        return self._bounds[0].address

    async def accept(self, timeout_s: float | None = None) -> BlockingConnection:
        if not self._bounds:
            raise ConnectionClosed("the listener is closed")
        deadline = Deadline(self._network, timeout_s)
        while True:
            left_s = deadline.left_s()
            ready = {descriptor for descriptor, _ in self._poll.poll(None if left_s is None else left_s * 1_000)}
            for bound in self._bounds:
                if bound.socket.fileno() in ready and (accepted := accept_nowait(bound.socket)):
                    sock, peer = accepted
                    return BlockingConnection(sock, network=self._network, peer=from_sockaddr(peer))
            if deadline.left_s() == 0:
                raise TimeoutError(f"nobody connected within {timeout_s:g} s")

    async def close(self) -> None:
        bounds, self._bounds = self._bounds, []
        for bound in bounds:
            remove_path(bound)
            bound.socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class BlockingNetwork:
    """``contracts.Network`` over blocking sockets. It keeps nothing, so one serves all threads: ``NETWORK``."""

    __slots__ = ()

    async def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> BlockingConnection:
        from portside.net.dial import connect_blocking

        endpoint = _parsed(endpoint)
        deadline = Deadline(self, timeout_s)
        connection = BlockingConnection(connect_blocking(endpoint, timeout_s), network=self)
        if tls is not None or endpoint.scheme == "tls":
            from portside.net.tls import client_context

            try:
                connection.shake_hands(
                    tls if tls is not None else client_context(),
                    server_side=False,
                    server_name=server_name or endpoint.host or None,
                    timeout_s=deadline.left_s(),
                )
            except BaseException:
                connection.abort()
                raise
        return connection

    async def listen(self, endpoint: Endpoint | str) -> BlockingListener:
        endpoint = _parsed(endpoint)
        if endpoint.is_datagram:
            raise UsageError(f"{endpoint} has no connections to listen for: use open_datagrams")
        return BlockingListener(bind(endpoint), self)

    async def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> BlockingDatagrams:
        from portside.net.datagrams import BlockingDatagrams, bind_datagrams, connect_datagrams

        endpoint = _parsed(endpoint)
        if connect:
            sock = connect_datagrams(endpoint, await self.resolve(endpoint.host, endpoint.port))
        else:
            sock = bind_datagrams(endpoint)
        return BlockingDatagrams(sock, self)

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        from portside.net.resolve import addresses_of

        return addresses_of(host, port)

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        from portside.net.resolve import reverse

        found: list[str | None] = []

        def look_up() -> None:
            with contextlib.suppress(NameNotFound):
                found.append(reverse(address))

        # The system's resolver knows no time limit: what takes longer goes on, unheeded, in its own thread.
        thread = threading.Thread(target=look_up, name="portside-name-of", daemon=True)
        thread.start()
        thread.join(timeout_s)
        return found[0] if found else None

    async def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))  # noqa: ASYNC251  (there is no loop to hold up)

    def now_s(self) -> float:
        return time.monotonic()

    async def run_blocking(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return function(*arguments)


def _parsed(endpoint: Endpoint | str) -> Endpoint:
    return parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint


NETWORK: Final = BlockingNetwork()
