"""The common language of the rooms: what a connection, a listener, datagrams and a network are.

Everything that may wait is awaited. Under the event loop an await may suspend; under threads and processes it never
does, so one ``send(None)`` drives a handler from its first line to its last without any loop (``net.drive``).
Every implementation passes one contract suite, ``portside.testing.contract``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, Self, TypeAlias, TypeVar

from portside.address import Address, Endpoint, InternetAddress

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Executor

    from portside.events import EndReason

READ_BYTES: Final = 65_536  # what read() takes at most unless told otherwise
LINE_BYTES_MAX: Final = 65_536  # the default of --limit-line
LINGER_S: Final = 2.0  # how long a closed connection waits for the peer's end of stream before it is let go

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TlsState:
    """What a TLS handshake agreed on. ``peer_certificate`` is as ``ssl.SSLSocket.getpeercert`` gives it."""

    version: str
    cipher: str
    alpn: str | None = None
    server_name: str | None = None
    peer_certificate: dict[str, Any] | None = None
    resumed: bool = False  # a session of an earlier connection was resumed, RFC 8446 section 2.2


class TlsIdentity(Protocol):
    """What a service shows of itself in TLS, for batteries that begin TLS within a connection (AUTH TLS, STARTTLS)."""

    @property
    def context(self) -> ssl.SSLContext:
        """The context for the next handshake. Ask again for each: certificates may have been read anew."""

    def new_context(self) -> ssl.SSLContext:
        """Return a context of the same certificates that is nobody else's.

        Sessions made under one context resume under no other: whoever resumes here was here before.
        """


class Connection(Protocol):
    """A stream of bytes each way between two addresses, as its handler sees it.

    Errors: a broken connection raises ConnectionLost, from any call and once for all; ConnectionEnded, a kind of it,
    when a limit, a drain or an operator ended it. Using it after ``close`` raises ConnectionClosed.
    """

    keeps_time: bool
    """Whether waiting for the peer's bytes counts as work: set by a handler that bounds such waits itself, else False.

    While it is True nobody takes the connection for idle, or says goodbye in a drain, because its handler listens:
    HTTP does so while it owes an answer. Waiting for room to write is another matter.
    """

    @property
    def id(self) -> str:
        """A short name, unique among the connections of the machine: what ``ps`` shows and ``stop`` takes."""

    @property
    def local(self) -> Address:
        """Our end; an IPv4-mapped address is shown as IPv4."""

    @property
    def peer(self) -> Address:
        """The other end: the real client where a trusted proxy told of it."""

    @property
    def tls(self) -> TlsState | None:
        """What TLS agreed on, or None on a plain connection."""

    @property
    def started_at(self) -> datetime:
        """When the connection was accepted or made, in UTC."""

    @property
    def bytes_in(self) -> int:
        """Bytes received so far, after TLS."""

    @property
    def bytes_out(self) -> int:
        """Bytes the kernel accepted so far, before TLS."""

    @property
    def is_truncated(self) -> bool:
        """Whether the peer's stream ended without TLS's own end (close_notify): then its end may be an attacker's, and
        who needs to know that all of it came treats it as broken. RFC 8446 section 6.1.
        """

    @property
    def peer_has_ended(self) -> bool:
        """Whether the peer's end of stream, or a reset, has arrived, read or not: it will say no more than it has."""

    @property
    def network(self) -> Network:
        """The world the connection came from: connect, listen, sleep and resolve through it."""

    def read(self, limit: int = READ_BYTES, timeout_s: float | None = None) -> Awaitable[bytes]:
        """Return at least one and at most ``limit`` bytes, as soon as any are there; ``b""`` at the end of the stream.

        Raises: TimeoutError when ``timeout_s`` seconds pass first; nothing read is lost.
        """

    def read_exactly(self, count: int, timeout_s: float | None = None) -> Awaitable[bytes]:
        """Return exactly ``count`` bytes. Raises: EndOfStream with those that came."""

    def read_until(
        self, delimiter: bytes, limit: int | None = None, timeout_s: float | None = None
    ) -> Awaitable[bytes]:
        """Return everything up to and including ``delimiter``.

        ``limit`` bounds the bytes before the delimiter; its default is the service's line limit.
        Raises: LineTooLong, leaving what was read in place; EndOfStream with the bytes that came.
        """

    def read_line(self, limit: int | None = None, timeout_s: float | None = None) -> Awaitable[bytes | None]:
        """Return the next line without its LF or CR LF; a last line without an end as it is; None at the end.

        Raises: LineTooLong, leaving what was read in place.
        """

    def lines(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """Yield what ``read_line`` returns, until the end."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield pieces as they come, until the end; a piece may be longer than ``read`` gives by default."""

    def write(self, *chunks: bytes | bytearray | memoryview) -> Awaitable[None]:
        """Send the chunks in order, as one; done when the bytes are accepted. Awaiting it is the backpressure."""

    def write_eof(self) -> Awaitable[None]:
        """Half-close: the peer reads to its end, and we can go on reading."""

    def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> Awaitable[int]:
        """Send ``count`` bytes of the file from ``offset`` (None: to its end). Returns how many were sent.

        The kernel copies where it can (sendfile(2)); otherwise, as under TLS, pieces are read and written.
        Raises: EndOfStream when the file is shorter than ``count``.
        """

    def receive_file(self, file: BinaryIO, count: int | None = None) -> Awaitable[int]:
        """Append the next ``count`` bytes of the stream (None: to its end) to the file at its position.

        The kernel copies where it can (splice(2)). Returns how many came; fewer than ``count`` at the stream's end.
        """

    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: Connection | None = None,
    ) -> Awaitable[None]:
        """Upgrade to TLS. Plain bytes already received behind the upgrade are an attack and raise TlsFailed.

        A client may ask to ``resume`` the session of another of its connections, made under the same context;
        ``tls.resumed`` says whether the server agreed.
        """

    def stop_tls(self) -> Awaitable[None]:
        """Go back to plain bytes: say close_notify, and wait for the peer's. Raises: TlsFailed, EndOfStream."""

    def accompany(self, companion: Connection, *, idle_s: float) -> AbstractContextManager[None]:
        """Let a connection that the handler opened share the life of this one for the length of a ``with``.

        This one counts as busy meanwhile. The companion is ended as ``idle`` when it has not moved a byte for
        ``idle_s`` seconds, and whatever ends this connection from outside ends the companion too.
        """

    def close(self, *, linger: bool = True) -> Awaitable[None]:
        """End the connection after the last byte written. More than once is harmless.

        It lingers a little for the peer's end: bytes that come for a connection that is gone are answered by a reset,
        and that may destroy what was written last. Where the peer has nothing to send, that is not needed.
        """

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        """End the connection from outside whoever uses it: their pending call, or the next, raises ConnectionEnded.

        The ``farewell`` is sent if that needs no waiting. The first reason counts. Under an event loop it is called
        in the loop's thread, elsewhere in any.
        """

    def abort(self) -> None:
        """Reset the connection: what is unsent is thrown away."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainConnection(Protocol):
    """The same connection for a plain ``def`` handler: the same members, nothing awaited."""

    keeps_time: bool

    @property
    def id(self) -> str: ...
    @property
    def local(self) -> Address: ...
    @property
    def peer(self) -> Address: ...
    @property
    def tls(self) -> TlsState | None: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def is_truncated(self) -> bool: ...
    @property
    def peer_has_ended(self) -> bool: ...
    @property
    def network(self) -> PlainNetwork: ...
    def read(self, limit: int = READ_BYTES, timeout_s: float | None = None) -> bytes: ...
    def read_exactly(self, count: int, timeout_s: float | None = None) -> bytes: ...
    def read_until(self, delimiter: bytes, limit: int | None = None, timeout_s: float | None = None) -> bytes: ...
    def read_line(self, limit: int | None = None, timeout_s: float | None = None) -> bytes | None: ...
    def lines(self, limit: int | None = None) -> Iterator[bytes]: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def write(self, *chunks: bytes | bytearray | memoryview) -> None: ...
    def write_eof(self) -> None: ...
    def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int: ...
    def receive_file(self, file: BinaryIO, count: int | None = None) -> int: ...
    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: PlainConnection | None = None,
    ) -> None: ...
    def stop_tls(self) -> None: ...
    def accompany(self, companion: PlainConnection, *, idle_s: float) -> AbstractContextManager[None]: ...
    def close(self, *, linger: bool = True) -> None: ...
    def end(self, reason: EndReason, farewell: bytes = b"") -> None: ...
    def abort(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Listener(Protocol):
    """A socket that waits for connections, for handlers that open one themselves (FTP's data channel)."""

    @property
    def address(self) -> Address:
        """Where it listens, with the real port."""

    def accept(self, timeout_s: float | None = None) -> Awaitable[Connection]:
        """Return the next connection; with 0 for a timeout, one that has come already. Raises: TimeoutError."""

    def close(self) -> Awaitable[None]:
        """Stop listening. Connections already accepted go on; a pending ``accept`` raises ConnectionClosed."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Message(Protocol):
    """A datagram with its return address: the mailbox model. Plain ``def`` handlers call ``reply`` without await."""

    @property
    def data(self) -> bytes: ...

    @property
    def peer(self) -> Address:
        """Who sent it, as its source address claims."""

    @property
    def local(self) -> Address:
        """The address it was sent to; the reply leaves from it."""

    def reply(self, data: bytes) -> Awaitable[None]:
        """Send a datagram back. Over the amplification rules it is dropped and counted, see docs/behaviour.md."""


class Datagrams(Protocol):
    """A socket for datagrams, for clients and for handlers that open one themselves."""

    @property
    def address(self) -> Address: ...

    def receive(self, timeout_s: float | None = None) -> Awaitable[Message]:
        """Return the next datagram. Raises: TimeoutError; NetworkError when the peer's host refused an earlier one."""

    def send(self, data: bytes, peer: InternetAddress | None = None) -> Awaitable[None]:
        """Send one datagram to ``peer``, or to the address the socket was connected to."""

    def close(self) -> Awaitable[None]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Network(Protocol):
    """Where connections come from: the kernel's sockets under a loop, the same blocking, or a simulated host."""

    def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> Awaitable[Connection]:
        """Connect to a tcp, tls or unix endpoint, trying every address of its host by RFC 8305.

        ``tls`` replaces the verifying default context of ``tls://``. ``local`` is the address to connect from; its
        port may be 0. Raises: ConnectFailed, NameNotFound, TlsFailed, TimeoutError; AddressInUse, NotPermitted and
        AddressNotAvailable for ``local``.
        """

    def listen(self, endpoint: Endpoint | str) -> Awaitable[Listener]:
        """Listen on a tcp or unix endpoint. Raises: AddressInUse, AddressNotAvailable, NotPermitted."""

    def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> Awaitable[Datagrams]:
        """Open a UDP socket bound to the endpoint, or with ``connect`` one whose peer the endpoint names."""

    def resolve(self, host: str, port: int = 0) -> Awaitable[list[InternetAddress]]:
        """Return the host's addresses in the order to try them. Raises: NameNotFound."""

    def name_of(self, address: Address, timeout_s: float | None = 5.0) -> Awaitable[str | None]:
        """Return the host name registered for the address (PTR), or None. Blocks nobody else."""

    def sleep(self, seconds: float) -> Awaitable[None]: ...

    def now_s(self) -> float:
        """Seconds on a clock that only goes forward; virtual in the simulation."""

    def run_blocking(
        self, function: Callable[..., Result], *arguments: Any, pool: Executor | None = None
    ) -> Awaitable[Result]:
        """Call a function that may block (disk, hash, name look-up) without holding up other connections.

        ``pool`` says in whose threads: what is slow and may be asked for by many (a password's hash) has a small one
        of its own, under every model, so that neither memory nor the others' threads are used up.
        """

    def start(self, work: Coroutine[Any, Any, None]) -> Work:
        """Begin something that goes on beside the handler: a task under a loop, a thread elsewhere.

        Whoever starts it waits for it: it must not outlive the handler.
        """


class Work(Protocol):
    """Something that goes on beside the handler that started it."""

    @property
    def done(self) -> bool: ...

    def wait(self) -> Awaitable[None]:
        """Return when it is over. Raises: what it raised."""


class Counters(Protocol):
    """Numbers that all processes of a service share, such as how often an address has failed to log in.

    Every method is quick and may be called from any thread. Where there is no room left, those that would be
    forgotten soonest go first.
    """

    def add(self, key: str, amount: int, *, lasts_s: float) -> int:
        """Add to a number (from 0) and return what it is now; it is forgotten ``lasts_s`` seconds after this."""

    def value(self, key: str) -> int:
        """Return the number, 0 where there is none."""

    def forget(self, key: str) -> None: ...

    def hold(self, key: str, places: int) -> bool:
        """Take one of so many places under the key; False if all are held. Those of a process that died are free."""

    def let_go(self, key: str) -> None:
        """Give back a place that this process holds."""


class PlainNetwork(Protocol):
    """The same network for a plain ``def`` handler: nothing is awaited, and what it gives is plain too."""

    def connect(
        self,
        endpoint: Endpoint | str,
        *,
        timeout_s: float | None = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        local: InternetAddress | None = None,
    ) -> PlainConnection: ...
    def listen(self, endpoint: Endpoint | str) -> PlainListener: ...
    def open_datagrams(self, endpoint: Endpoint | str, *, connect: bool = False) -> PlainDatagrams: ...
    def resolve(self, host: str, port: int = 0) -> list[InternetAddress]: ...
    def name_of(self, address: Address, timeout_s: float | None = 5.0) -> str | None: ...
    def sleep(self, seconds: float) -> None: ...
    def now_s(self) -> float: ...
    def run_blocking(
        self, function: Callable[..., Result], *arguments: Any, pool: Executor | None = None
    ) -> Result: ...


class PlainListener(Protocol):
    """A ``Listener`` with plain methods."""

    @property
    def address(self) -> Address: ...
    def accept(self, timeout_s: float | None = None) -> PlainConnection: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDatagrams(Protocol):
    """``Datagrams`` with plain methods."""

    @property
    def address(self) -> Address: ...
    def receive(self, timeout_s: float | None = None) -> Message: ...
    def send(self, data: bytes, peer: InternetAddress | None = None) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


StreamHandler: TypeAlias = Callable[[Connection], Awaitable[None]] | Callable[[PlainConnection], None]
DatagramHandler: TypeAlias = Callable[[Message], Awaitable[None]] | Callable[[Message], None]
Handler: TypeAlias = StreamHandler | DatagramHandler


class Life(Protocol):
    """What a battery does at the turns of its worker's life, all of it in the worker's event loop."""

    def begin(self) -> Awaitable[None]:
        """Be ready to serve. Raises: LocalError, UsageError when that cannot be; the worker then dies at its birth."""

    def retire(self) -> None:
        """No more connections come: a newer worker has taken over, or the server stops. Those that are there go on."""

    def drain(self) -> None:
        """The server stops: what would go on for long is to end, and what is owed to peers to be done. Comes once."""

    def finish(self) -> Awaitable[None]:
        """Every connection is over; what is left of the drain's time is there to put things in order."""


@dataclass(frozen=True, slots=True)
class Battery:
    """A protocol ready to serve: its handlers and what the runtime should know about it.

    ``refusal`` gives the bytes that tell a peer in the protocol's own words why it is sent away (a full server, an
    idle limit, a drain): ``b"421 Too many connections\\r\\n"``. Without it the connection is closed without a word.
    ``farewell`` replaces it for connections that have been served and wait for their peer: an idle limit, a drain.
    A battery with a ``life`` needs the model event. One that ``speaks`` tells in words what is said over its
    connections, as ``events.Spoke``; of others, whoever watches a conversation is shown the bytes.
    """

    name: str
    stream: StreamHandler | None = None
    datagram: DatagramHandler | None = None
    port: int | None = None  # the RFC's, or None where there is none
    refusal: Callable[[str], bytes] | None = field(default=None)
    farewell: Callable[[str], bytes] | None = field(default=None)
    life: Life | None = None
    speaks: bool = False
