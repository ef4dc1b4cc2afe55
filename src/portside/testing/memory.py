"""Connections that only live in memory: what a handler sees of the network, without a network.

``pair`` joins two connections; ``feed`` gives a handler a whole conversation's input, cut as a test likes, and returns
its answer, without an event loop; ``converse`` does the same under a loop, with backpressure; ``MemoryNetwork`` is a
world in which handlers find each other by address.

A read returns at most what one write wrote, so a test decides how the "network" cuts a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeVar, cast

from portside.address import Address, Endpoint, InternetAddress, UnixAddress, parse_endpoint
from portside.contracts import DatagramHandler, Network, StreamHandler
from portside.errors import (
    AddressInUse,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    HandlerError,
    NameNotFound,
    PortsideError,
    TlsFailed,
    UsageError,
)
from portside.events import EndReason
from portside.net.drive import drive
from portside.net.plain import PlainStream, call_plain, is_plain
from portside.net.stream import PIECE_BYTES, Deadline, State, Stream

if TYPE_CHECKING:
    import ssl

    from portside.net.tls import TlsEngine

Result = TypeVar("Result")

CAPACITY_BYTES: Final = 65_536  # what each direction holds before a writer waits
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

    __slots__ = ("_engine", "_incoming", "_outgoing", "_shut", "_spare", "_state")

    def __init__(
        self, incoming: Pipe, outgoing: Pipe, *, network: Network, local: Address = SERVER, peer: Address = CLIENT
    ) -> None:
        super().__init__(network, local=local, peer=peer)
        self._incoming = incoming
        self._outgoing = outgoing
        self._engine: TlsEngine | None = None
        self._spare = bytearray()  # plain bytes of TLS records beyond what was asked for
        self._shut = False
        self._state: State = "busy"

    def _find_local(self) -> Address:
        raise AssertionError("given at birth")

    def _find_peer(self) -> Address:
        raise AssertionError("given at birth")

    @property
    def state(self) -> State:
        return self._state

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _pull(self, limit: int, timeout_s: float | None) -> bytes:
        self._check_open()
        if self.at_end:
            return b""
        if self._pace_in is not None:
            await self._keep_pace(self._pace_in)
            limit = min(limit, max(1, int(self._pace_in.per_s)))
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
        self._state = "reading"
        try:
            while True:
                self._check_alive(self._incoming)
                if self._incoming.chunks:
                    return self._incoming.get(limit)
                if self._incoming.is_ended:
                    return b""
                await self._incoming.change(deadline.left_s(), "bytes of its peer")
        finally:
            self._state = "busy"

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
        view = memoryview(b"".join(chunks))
        while view:
            size = min(len(view), TLS_PIECE_BYTES) if self._engine is not None else len(view)
            if self._pace_out is not None:
                await self._keep_pace(self._pace_out)
                size = min(size, max(1, int(self._pace_out.per_s)))
                self._pace_out.take(size, self.network.now_s())
            if self._engine is None:
                await self._transmit(view[:size], counted=True)
            else:
                await self._transmit(self._engine.send(view[:size]))
                self.bytes_out += size
            view = view[size:]

    async def _transmit(self, data: bytes | memoryview, *, counted: bool = False) -> None:
        view = memoryview(data)
        self._state = "writing"
        try:
            while True:
                self._check_alive(self._outgoing)
                taken = self._outgoing.put(view)
                if counted:
                    self.bytes_out += taken
                view = view[taken:]
                if not view:
                    return
                if not self._outgoing.is_reset:
                    await self._outgoing.change(None, "its peer to read")
        finally:
            self._state = "busy"

    def _check_writable(self) -> None:
        self._check_open()
        if self._shut:
            raise ConnectionClosed("write after write_eof")

    def _check_alive(self, pipe: Pipe) -> None:
        self._check_open()
        if pipe.is_reset:
            self._failure = ConnectionLost("the peer reset the connection")
            self._check_open()

    async def write_eof(self) -> None:
        self._check_open()
        if not self._shut:
            self._shut = True
            if self._engine is not None:
                await self._transmit(self._engine.close())
            self._outgoing.finish()

    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        self._check_writable()
        return await self._send_file_by_pieces(file, offset, count)

    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int:
        return await self._receive_file_by_pieces(file, count)

    # ── upgrade and end ──────────────────────────────────────────────────────────────────────────────────────────────

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool = True, server_name: str | None = None
    ) -> None:
        from portside.net.tls import TlsEngine

        self._check_open()
        if self._engine is not None:
            raise HandlerError("the connection is under TLS already")
        if self._buffer:
            raise TlsFailed(f"{len(self._buffer)} plain bytes stood behind the upgrade to TLS")
        engine = TlsEngine(context, server_side=server_side, server_name=server_name)
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

    async def close(self) -> None:
        if self._state == "closing":
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
        self._state = "closing"
        self._outgoing.finish()
        self._incoming.discard()

    def abort(self) -> None:
        if self._state != "closing":
            if self._failure is None:
                self._failure = ConnectionClosed("the connection was aborted")
            self._outgoing.chunks.clear()
            self._outgoing.reset()
            self._incoming.reset()
            self._let_go()

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        if not self._record_end(reason):
            return
        if farewell and self._state != "writing" and not self._shut:
            self._outgoing.put(farewell if self._engine is None else self._seal(self._engine, farewell))
        self._outgoing.finish()
        self._incoming.discard()

    def _seal(self, engine: TlsEngine, farewell: bytes) -> bytes:
        with contextlib.suppress(TlsFailed):
            return engine.send(farewell) + engine.close()
        return b""


# ── pairs and conversations ──────────────────────────────────────────────────────────────────────────────────────────


def pair(
    *,
    capacity_bytes: int = CAPACITY_BYTES,
    network: Network | None = None,
    server: Address = SERVER,
    client: Address = CLIENT,
) -> tuple[MemoryConnection, MemoryConnection]:
    """Return the two ends of a connection: the server's, and the client's."""
    network = MemoryNetwork() if network is None else network
    to_server, to_client = Pipe(capacity_bytes), Pipe(capacity_bytes)
    return (
        MemoryConnection(to_server, to_client, network=network, local=server, peer=client),
        MemoryConnection(to_client, to_server, network=network, local=client, peer=server),
    )


UNBOUNDED_BYTES: Final = 1 << 40


def feed(handler: StreamHandler, stream: bytes | Iterable[bytes], *, peer: Address = CLIENT) -> bytes:
    """Run the handler over everything its client says, then its end of stream, and return all it answers.

    ``stream`` as a list of pieces arrives cut like that, see ``cuttings``. No event loop is involved: a handler that
    waits for more than it gets fails with Stalled, one that awaits something foreign with ForeignAwait.
    """
    server, client = pair(capacity_bytes=UNBOUNDED_BYTES, client=peer)
    for piece in _pieces(stream):
        client._outgoing.put(piece)
    client._outgoing.finish()
    drive(_serve(handler, server), handler=getattr(handler, "__qualname__", "handler"), model="feed")
    return b"".join(client._incoming.chunks)


async def converse(
    handler: StreamHandler,
    stream: bytes | Iterable[bytes],
    *,
    peer: Address = CLIENT,
    capacity_bytes: int = CAPACITY_BYTES,
) -> bytes:
    """Do what ``feed`` does under the running loop: the client writes and reads at once, and buffers are bounded."""
    server, client = pair(capacity_bytes=capacity_bytes, client=peer)

    async def speak() -> None:
        with contextlib.suppress(ConnectionLost):  # a server may hang up on a client that still speaks
            for piece in _pieces(stream):
                await client.write(piece)
            await client.write_eof()

    speaking = asyncio.ensure_future(speak())
    serving = asyncio.ensure_future(_serve(handler, server))
    answer = bytearray()
    try:
        with contextlib.suppress(ConnectionLost):
            async for data in client:
                answer += data
        await serving
    finally:
        for task in (speaking, serving):
            task.cancel()
        await asyncio.gather(speaking, serving, return_exceptions=True)
        await client.close()
    return bytes(answer)


async def _serve(handler: StreamHandler, server: MemoryConnection) -> None:
    async with server:
        if is_plain(handler):
            call_plain(handler, PlainStream(server))
        else:
            await cast("Any", handler)(server)


def _pieces(stream: bytes | Iterable[bytes]) -> Iterable[bytes]:
    return (stream,) if isinstance(stream, bytes) else stream


def cuttings(stream: bytes, *, count: int = 10, seed: int = 0) -> Iterator[list[bytes]]:
    """Yield the stream whole, byte by byte, and cut at random places ``count`` times, the same at every run."""
    yield [stream] if stream else []
    yield [stream[at : at + 1] for at in range(len(stream))]
    chance = random.Random(seed)
    for _ in range(count):
        places = sorted(chance.sample(range(1, len(stream)), chance.randrange(len(stream)))) if len(stream) > 1 else []
        yield [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


# ── a world in memory ────────────────────────────────────────────────────────────────────────────────────────────────


class MemoryListener:
    """Waits for connections of a ``MemoryNetwork``."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self._network = network
        self._address = address
        self._queue = Pipe(1)  # only its waiting is used
        self._waiting: deque[MemoryConnection] = deque()

    @property
    def address(self) -> Address:
        return self._address

    def offer(self, connection: MemoryConnection) -> None:
        self._waiting.append(connection)
        self._queue.wake()

    async def accept(self, timeout_s: float | None = None) -> MemoryConnection:
        deadline = Deadline(self._network, timeout_s)
        while not self._waiting:
            if self._network.listeners.get(self._address) is not self:
                raise ConnectionClosed("the listener is closed")
            await self._queue.change(deadline.left_s(), "somebody to connect")
        return self._waiting.popleft()

    async def close(self) -> None:
        self._network.listeners.pop(self._address, None)
        while self._waiting:
            self._waiting.popleft().abort()
        self._queue.wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class MemoryMessage:
    """A datagram in memory. See ``contracts.Message``."""

    __slots__ = ("_answer", "data", "local", "peer")

    def __init__(self, data: bytes, *, peer: Address, local: Address, answer: Callable[[bytes], None]) -> None:
        self.data = data
        self.peer = peer
        self.local = local
        self._answer = answer

    def reply(self, data: bytes) -> Awaitable[None]:
        self._answer(bytes(data))
        return _DONE


class _Done:
    """What ``reply`` returns: there is nothing left to wait for, so plain handlers need not await it."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_DONE: Final = _Done()


def answers_to(
    handler: DatagramHandler, data: bytes, *, peer: Address = CLIENT, local: Address = SERVER
) -> list[bytes]:
    """Run a datagram handler on one message, without an event loop, and return its answers."""
    answers: list[bytes] = []
    message = MemoryMessage(data, peer=peer, local=local, answer=answers.append)
    if is_plain(handler):
        call_plain(handler, message)
    else:
        drive(cast("Any", handler)(message), handler=getattr(handler, "__qualname__", "handler"), model="memory")
    return answers


class MemoryDatagrams:
    """A datagram socket of a ``MemoryNetwork``. What is sent to where nobody is is lost."""

    def __init__(self, network: MemoryNetwork, address: InternetAddress, peer: InternetAddress | None) -> None:
        self._network = network
        self._address = address
        self._peer = peer
        self._waiting: deque[MemoryMessage] = deque()
        self._arrival = Pipe(1)  # only its waiting is used
        network.mailboxes[address] = self

    @property
    def address(self) -> InternetAddress:
        return self._address

    async def receive(self, timeout_s: float | None = None) -> MemoryMessage:
        deadline = Deadline(self._network, timeout_s)
        while not self._waiting:
            self._check_open()
            await self._arrival.change(deadline.left_s(), "a datagram")
        return self._waiting.popleft()

    async def send(self, data: bytes, peer: InternetAddress | None = None) -> None:
        self._check_open()
        target = self._peer if peer is None else peer
        if target is None:
            raise ValueError("the socket is not connected: say to whom the datagram goes")
        self._send(data, target)

    def _send(self, data: bytes, target: InternetAddress) -> None:
        mailbox = self._network.mailboxes.get(target)
        if mailbox is not None and mailbox._peer in {None, self._address}:
            sender = self._address

            def answer(words: bytes) -> None:
                mailbox._send(words, sender)

            mailbox._waiting.append(MemoryMessage(bytes(data), peer=sender, local=target, answer=answer))
            mailbox._arrival.wake()

    def _check_open(self) -> None:
        if self._network.mailboxes.get(self._address) is not self:
            raise ConnectionClosed("the datagram socket is closed")

    async def close(self) -> None:
        if self._network.mailboxes.get(self._address) is self:
            del self._network.mailboxes[self._address]
        self._arrival.wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class MemoryNetwork:
    """A world of one machine: whoever listens can be connected to, under the names in ``names``.

    Time is the running loop's; without a loop it stands still, except that ``sleep`` moves it.
    """

    def __init__(self, names: dict[str, list[InternetAddress]] | None = None) -> None:
        self.names = {} if names is None else names
        self.listeners: dict[Address, MemoryListener] = {}
        self.mailboxes: dict[InternetAddress, MemoryDatagrams] = {}
        self._slept_s = 0.0
        self._ports = iter(range(49_152, 65_536))  # the dynamic ports, RFC 6335 section 6

    async def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> MemoryConnection:
        endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        attempts = []
        for address in await self._addresses_of(endpoint):
            listener = self.listeners.get(address) or self._listener_of_all(address)
            if listener is not None:
                client = InternetAddress(CLIENT.host, next(self._ports))
                server_end, client_end = pair(network=self, server=address, client=client)
                listener.offer(server_end)
                if tls is not None:
                    await client_end.start_tls(tls, server_side=False, server_name=server_name or endpoint.host)
                return client_end
            attempts.append((str(address), "connection refused"))
        raise ConnectFailed(str(endpoint), tuple(attempts))

    async def _addresses_of(self, endpoint: Endpoint) -> list[Address]:
        if endpoint.scheme == "unix":
            return [UnixAddress(endpoint.path)]
        return list(await self.resolve(endpoint.host, endpoint.port))

    def _listener_of_all(self, address: Address) -> MemoryListener | None:
        if not isinstance(address, InternetAddress):
            return None
        return self.listeners.get(InternetAddress("::", address.port))

    async def listen(self, endpoint: Endpoint | str) -> MemoryListener:
        endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        if endpoint.scheme == "unix":
            address: Address = UnixAddress(endpoint.path)
        elif endpoint.scheme == "tcp":
            address = InternetAddress(endpoint.host, endpoint.port or next(self._ports))
        else:
            raise UsageError(f"nobody listens on {endpoint} in memory")
        if address in self.listeners:
            raise AddressInUse(str(endpoint))
        listener = self.listeners[address] = MemoryListener(self, address)
        return listener

    async def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> MemoryDatagrams:
        endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        if connect:
            peer = (await self.resolve(endpoint.host, endpoint.port))[0]
            return MemoryDatagrams(self, InternetAddress(CLIENT.host, next(self._ports)), peer)
        address = InternetAddress(endpoint.host, endpoint.port or next(self._ports))
        if address in self.mailboxes:
            raise AddressInUse(str(endpoint))
        return MemoryDatagrams(self, address, None)

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        if host in self.names:
            return [InternetAddress(address.host, port or address.port) for address in self.names[host]]
        if ":" in host or host.replace(".", "").isdigit():
            return [InternetAddress(host, port)]
        raise NameNotFound(host, "there is no such name in this world")

    async def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None:
        if not isinstance(address, InternetAddress):
            return None
        hosts = ((name, known.host) for name, addresses in self.names.items() for known in addresses)
        return next((name for name, host in hosts if host == address.host), None)

    async def sleep(self, seconds: float) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._slept_s += seconds
        else:
            await asyncio.sleep(seconds)

    def now_s(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return self._slept_s

    async def run_blocking(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return function(*arguments)
