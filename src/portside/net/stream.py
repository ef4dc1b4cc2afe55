"""What every connection is made of: framing over a buffer, counters, pacing, and how it is ended from outside.

An implementation (``net.blocking``, ``net.event``, ``net.transport``, ``testing.memory``) derives from ``Stream`` and
provides ``_pull`` (one read from its source) and the members of ``contracts.Connection`` that are left abstract here.
Under blocking sockets ``_pull`` never suspends, so nothing here does either: all awaiting goes through it and
``network``.
"""

from __future__ import annotations

import itertools
import os
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, time, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Self, TypeAlias, cast

from portside.address import Address
from portside.contracts import LINE_BYTES_MAX, Connection, Network, TlsState
from portside.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from portside.events import EndReason
from portside.net.company import Accompanied, Company
from portside.net.framing import Framing
from portside.net.pace import TokenBucket
from portside.net.tap import Listener, Tap, changing

if TYPE_CHECKING:
    import ssl

    from portside.net.tls_engine import TlsEngine

State: TypeAlias = Literal["reading", "writing", "busy", "closing"]
"""What a connection waits for: bytes of its peer, room to send, its own handler, or its end."""

PIECE_BYTES: Final = 131_072  # what iterating takes at most: one system call for a 100 KiB message, docs/behaviour.md
PAUSE_S_MIN: Final = 0.001  # rounding must not make a pause of nothing, again and again
PAUSE_S_MAX: Final = 1.0  # a paced connection looks this often whether it was ended meanwhile

_serials = itertools.count(1)


class Stream(Framing):
    """A connection's common half. See ``contracts.Connection`` for what each member promises.

    The conductor's side of it: ``state`` and the counters are read by the sweeper, which calls ``end``; ``pace`` and
    ``line_limit`` are set before the handler starts; ``ended_because`` says afterwards how it was ended, if it was.
    """

    __slots__ = (
        "_company",
        "_engine",
        "_failure",
        "_local",
        "_pace_in",
        "_pace_out",
        "_peer",
        "_process",
        "_serial",
        "_since_s",
        "_started_s",
        "_tap",
        "at_end",
        "bytes_in",
        "bytes_out",
        "counted_bytes",
        "ended_because",
        "keeps_time",
        "swept_bytes",
        "swept_s",
        "tls",
    )

    _shut: bool  # each implementation's own: our stream has ended

    def __init__(self, network: Network, *, local: Address | None = None, peer: Address | None = None) -> None:
        self.network = network
        self._local = local
        self._peer = peer
        self._process = os.getpid()
        self._serial = next(_serials)
        self._started_s = time()
        self._since_s = monotonic()  # its age must not jump with the clock on the wall
        self._buffer = None
        self._failure: ConnectionLost | ConnectionClosed | None = None  # raised by every further call
        self._engine: TlsEngine | None = None
        self._company: Company | None = None  # made for the first companion
        self._tap: Tap | None = None  # as long as anybody listens
        self._pace_in: TokenBucket | None = None
        self._pace_out: TokenBucket | None = None
        self.at_end = False  # the peer's end of stream has been read
        self.bytes_in = 0
        self.bytes_out = 0
        self.ended_because: EndReason | None = None
        self.keeps_time = False
        self.line_limit = LINE_BYTES_MAX
        self.tls: TlsState | None = None
        self.counted_bytes = (0, 0)  # the conductor's: what it has counted of all bytes in and out
        self.swept_bytes = -1  # the sweeper's: bytes_in + bytes_out when it last looked …
        self.swept_s = 0.0  # … and since when they have not moved

    # ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        return f"{self._process}-{self._serial}"

    @property
    def serial(self) -> int:
        """The number of this connection among those of its process, in the order in which they came about."""
        return self._serial

    @property
    def descriptor(self) -> int | None:
        """The number of its socket in this process; None for one that has no socket, or none any more."""
        sock = getattr(self, "_socket", None)
        number: int = -1 if sock is None else sock.fileno()
        return number if number >= 0 else None

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(self._started_s, UTC)

    @property
    def age_s(self) -> float:
        return monotonic() - self._since_s

    @property
    def local(self) -> Address:
        if self._local is None:
            self._local = self._find_local()
        return self._local

    @property
    def peer(self) -> Address:
        if self._peer is None:
            self._peer = self._find_peer()
        return self._peer

    @peer.setter
    def peer(self, address: Address) -> None:
        """Told by a trusted proxy: the real client."""
        self._peer = address

    @abstractmethod
    def _find_local(self) -> Address: ...

    @abstractmethod
    def _find_peer(self) -> Address: ...

    @abstractmethod
    def _waits_for(self) -> State:
        """Return the state of this connection by itself."""

    @property
    def state(self) -> State:
        state = self._waits_for()
        if (self._company and state != "closing") or (self.keeps_time and state == "reading"):
            return "busy"
        return state

    @property
    def is_truncated(self) -> bool:
        return self._engine is not None and self._engine.truncated

    @property
    def peer_has_ended(self) -> bool:
        is_lost = isinstance(self._failure, ConnectionLost) and self.ended_because is None
        return self.at_end or is_lost or (self._failure is None and self._peer_has_hung_up())

    def _peer_has_hung_up(self) -> bool:
        """Return whether the peer's end of stream, or a reset, is there to be read, perhaps behind other bytes."""
        return False

    @property
    def moved_bytes(self) -> int:
        """What has moved so far, for whoever looks whether anything does.

        A writer waits until a good part of the kernel's buffer is free; meanwhile a slow peer takes bytes out of it
        that the counters do not show. So while it waits, what the peer's side has not acknowledged is not counted.
        """
        queued = self._unacknowledged_bytes() if self._waits_for() == "writing" else 0
        return self.bytes_in + self.bytes_out - queued

    def _unacknowledged_bytes(self) -> int:
        """Return how many bytes the kernel holds for the peer; 0 where there is no kernel."""
        return 0

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _pull_into(self, view: memoryview) -> int:
        """Read what comes next into the view, what is buffered first. Returns how many bytes, 0 at the end."""
        data = await self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read(PIECE_BYTES)
        if not data:
            raise StopAsyncIteration
        return data

    # ── companions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def accompany(self, companion: Connection, *, idle_s: float) -> Accompanied:
        return Accompanied(self, companion, idle_s)

    def join(self, companion: Connection, idle_s: float) -> None:
        """Begin to share the life of this connection with another."""
        if Stream not in type(companion).__mro__:  # which isinstance asks in Python, as Stream is abstract
            raise TypeError(f"a companion is a connection of Portside's, not {companion!r}")
        stream = cast("Stream", companion)
        self._check_open()
        if self._company is None:
            self._company = Company()
        self._company.join(stream, idle_s)
        if self._tap is not None:
            self._tap.joined(stream)
        if self.ended_because is not None:  # by another thread, which had not seen the companion yet
            stream.end(self.ended_because)

    def part(self, companion: Connection) -> None:
        """End what ``join`` began."""
        if self._company is not None:
            self._company.leave(cast("Stream", companion))

    def companions(self) -> list[tuple[Stream, float]]:
        """Return the connections that share this one's life, each with the seconds it may be idle."""
        return [] if self._company is None else self._company.members()

    @property
    def all_bytes_in(self) -> int:
        """Bytes received, by companions too, those that are gone included."""
        return self.bytes_in if self._company is None else self.bytes_in + self._company.bytes_in

    @property
    def all_bytes_out(self) -> int:
        return self.bytes_out if self._company is None else self.bytes_out + self._company.bytes_out

    # ── writing, files, upgrade, end: the implementation's ───────────────────────────────────────────────────────────

    @abstractmethod
    async def write(self, *chunks: bytes | bytearray | memoryview) -> None: ...

    @abstractmethod
    async def write_eof(self) -> None: ...

    @abstractmethod
    async def send_file(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int: ...

    @abstractmethod
    async def receive_file(self, file: BinaryIO, count: int | None = None) -> int: ...

    @abstractmethod
    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_name: str | None = None,
        resume: Connection | None = None,
    ) -> None: ...

    @abstractmethod
    async def stop_tls(self) -> None: ...

    @abstractmethod
    async def close(self, *, linger: bool = True) -> None: ...

    @abstractmethod
    def abort(self) -> None: ...

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        """End the connection from outside its handler, saying ``farewell`` if it can be sent without waiting.

        The handler's pending call, or its next, raises ConnectionEnded(reason). On blocking streams any thread may
        call it, on event streams the loop's. The first reason counts. Its companions end with it, and after it:
        whoever is with one must not find that it can still speak here.
        """
        self._end(reason, farewell)
        for companion, _ in self.companions():
            companion.end(reason)

    @abstractmethod
    def _end(self, reason: EndReason, farewell: bytes) -> None:
        """End this one connection, if it is not over already."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ── taps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tap(self, listener: Listener) -> Callable[[], None]:
        """Have the listener told from now on what passes. Returns what ends that. Any thread may call either."""
        with changing:
            tap = self._tap
            if tap is None:
                tap = Tap()
                if self.at_end:
                    tap.ended("in")
                if self._shut:
                    tap.ended("out")
            tap.add(listener)
            if self.bytes_in == 0 and (early := self._came_early()):
                listener.moved("in", early, time_ns())
            self._set_tap(tap)
        return lambda: self._untap(listener)

    def _came_early(self) -> bytes:
        """Return the plain bytes that came together with the end of a TLS handshake, as long as nobody has read any."""
        holder = getattr(self, "_sealed", None) or self  # under blocking sockets, whoever opens them keeps them
        return bytes(getattr(holder, "_spare", b""))

    def _untap(self, listener: Listener) -> None:
        with changing:
            if self._tap is not None and not self._tap.remove(listener):
                self._set_tap(None)

    def _set_tap(self, tap: Tap | None) -> None:
        """Have what passes told to the tap from here on, or to nobody."""
        self._tap = tap
        if self._engine is not None:
            self._engine.tap = tap

    # ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def pace(self, bytes_in_per_s: float | None, bytes_out_per_s: float | None) -> None:
        """Bound the average rate each way, with a burst of one second's worth; None leaves a way unbounded."""
        now_s = self.network.now_s()
        self._pace_in = TokenBucket(bytes_in_per_s, now_s) if bytes_in_per_s else None
        self._pace_out = TokenBucket(bytes_out_per_s, now_s) if bytes_out_per_s else None

    async def _allowance(self, bucket: TokenBucket, wanted: int) -> int:
        """Return how many of the wanted bytes may pass, at least one, as soon as some may."""
        while not (allowed := bucket.allowance(wanted, self.network.now_s())):
            wait_s = bucket.wait_s(wanted, self.network.now_s())
            await self.network.sleep(min(max(wait_s, PAUSE_S_MIN), PAUSE_S_MAX))
            self._check_open()
        return allowed

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _record_end(self, reason: EndReason) -> bool:
        """Note why the connection is ended from outside; False if it was over already."""
        if self._failure is not None:
            return False
        self.ended_because = reason
        self._failure = ConnectionEnded(reason)
        return True
