"""A service as one worker process knows it: what every model shares between accept and the handler."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, get_args

from portside import events
from portside.address import Address, Endpoint, UnixAddress, from_sockaddr
from portside.contracts import READ_BYTES, Battery
from portside.errors import (
    OutOfDescriptors,
    PeerError,
    PortsideError,
    UsageError,
)
from portside.events import EndReason, Limit
from portside.net.datagrams import UdpMessage, is_modest
from portside.net.drive import drive
from portside.net.plain import PlainStream, call_plain, is_plain
from portside.net.sockets import SHUT_WR, Bound, Socket
from portside.net.stream import Stream
from portside.serve.endings import how_it_ended
from portside.serve.handlers import awaitable, awaitable_message, awaiting, raising
from portside.serve.ledger import Ledger, LocalLedger
from portside.serve.limits import PLAIN_REASONS, Gate, host_of, is_within
from portside.serve.reserve import Reserve
from portside.serve.settings import ServiceSettings
from portside.serve.tally import TALLY_NAMES, Tally, place, place_of_lasted, place_of_moved

if TYPE_CHECKING:
    from portside.net.tls import ServerTls

log = logging.getLogger("portside")

HANDSHAKE_S: Final = 10.0  # how long a peer may take for its TLS handshake
PROXY_HEADER_S: Final = 5.0  # how long a trusted proxy may take for its header

# Where the counters stand in the ledger, looked up once.
OPEN: Final = place("open")
OPENED: Final = place("opened")
BYTES_IN: Final = place("bytes_in")
BYTES_OUT: Final = place("bytes_out")
DATAGRAMS: Final = place("datagrams")
HANDLER_FAILED: Final = place("handler_failed")
CUT_OFF: Final = place("cut_off")
_LASTED_US: Final = place("lasted_us")
_MOVED_BYTES: Final = place("moved_bytes")
_ENDED: Final[dict[EndReason, int]] = {reason: place(f"ended_{reason}") for reason in get_args(EndReason)}
_LIMITS: Final[dict[Limit, int]] = {limit: place(f"limit_{limit}") for limit in PLAIN_REASONS}


class Service:
    """One service in one worker: its gate, its handlers, its live connections.

    The way of a connection: ``admit`` its peer, then ``converse_blocking`` (or, in a model that runs handlers its own
    way, ``opened``, the handler that ``handle`` gives, ``closed``). One that fails between ``admit`` and ``opened`` is
    ``release``d.
    Under the models with threads every method may be called from any of them.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        battery: Battery,
        ledger: Ledger | None = None,
        *,
        tls: ServerTls | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Raises: UsageError for a battery that cannot be served under the model."""
        if battery.life is not None and settings.model != "event":
            raise UsageError(f"{settings.what} needs an event loop: use --model event, not {settings.model}")
        self.settings = settings
        self.battery = battery
        self.tls = tls
        self.name = settings.name
        self.ledger = LocalLedger() if ledger is None else ledger
        self.gate = Gate(settings.limits, self.ledger, allow=settings.allow, deny=settings.deny, clock=clock)
        self.live: dict[str, Stream] = {}
        self._lock = threading.Lock()
        self.places = 0  # what keeps a drain waiting: admitted connections until their release, other work
        self._clock = clock
        self._reserve = Reserve()
        self.on_open: Callable[[Stream], None] | None = None  # told of each connection, while somebody captures
        self.on_release: Callable[[], None] | None = None  # told when a place was given back, by a worker that drains
        limits = settings.limits
        self._line_bytes = limits.line_bytes
        self._paces = (limits.bytes_in_per_s, limits.bytes_out_per_s)
        self._is_paced = self._paces != (None, None)
        self._plain = battery.stream if battery.stream is not None and is_plain(battery.stream) else None
        self._stream = awaitable(battery.stream)
        self._plain_message = battery.datagram if battery.datagram is not None and is_plain(battery.datagram) else None
        self._message = awaitable_message(battery.datagram)

    @property
    def handler_name(self) -> str:
        """The handler as records name it: what was asked for on the command line."""
        return self.settings.what

    def is_tls(self, endpoint: Endpoint) -> bool:
        """Whether connections of the endpoint begin with a TLS handshake."""
        return endpoint.scheme == "tls"

    def is_proxy(self, peer: Address) -> bool:
        """Whether the peer is a trusted proxy, whose connections begin with a PROXY header."""
        networks = self.settings.proxy_from
        return bool(networks) and is_within(host_of(peer), networks)

    # ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def admit(self, peer: Address) -> Limit | None:
        """Take a place for the peer and return None, or count and return the limit that stands against it."""
        limit = self.gate.admit(peer)
        if limit is not None:
            self.refuse(peer, limit)
            return limit
        with self._lock:
            self.places += 1
        return None

    def release(self, peer: Address) -> None:
        """Give back the place of a peer that was admitted."""
        self.gate.release(peer)
        self._give_back()

    def _give_back(self) -> None:
        with self._lock:
            self.places -= 1
        if self.on_release is not None:
            self.on_release()

    def admit_datagram(self, peer: Address) -> bool:
        """Return whether one more datagram of the peer is welcome; counts it either way."""
        limit = self.gate.admit_datagram(peer)
        if limit is not None:
            self.refuse(peer, limit)
            return False
        self.ledger.count(DATAGRAMS)
        return True

    def refuse(self, peer: Address, limit: Limit) -> None:
        """Count that a peer was turned away, or its datagram dropped, and tell whoever listens."""
        self.ledger.count(_LIMITS[limit])
        if events.listening(events.LimitHit):
            events.emit(events.LimitHit(self.name, peer, limit))

    def refusal(self, limit: Limit) -> bytes:
        """Return what a peer is told in its protocol when it is turned away; nothing where there are no words."""
        return self._words(self.battery.refusal, PLAIN_REASONS[limit])

    def goodbye(self, why: str) -> bytes:
        """Return the battery's words for ending a connection that waits for its peer, nothing where it has none."""
        return self._words(self.battery.farewell or self.battery.refusal, why)

    def _words(self, say: Callable[[str], bytes] | None, why: str) -> bytes:
        if say is None:
            return b""
        try:
            return say(why)
        except Exception:
            log.exception("%s: the battery's refusal failed", self.name)
            return b""

    def turn_away(self, sock: Socket, endpoint: Endpoint, limit: Limit) -> None:
        """Close an accepted connection at once, with the battery's words where it has some and they can be said."""
        try:
            sock.setblocking(False)
            if words := b"" if endpoint.scheme == "tls" else self.refusal(limit):
                with suppress(BlockingIOError):
                    sock.recv(READ_BYTES)  # closing with bytes unread would reset, and destroy the words on their way
                sock.send(words)
                sock.shutdown(SHUT_WR)
        except OSError:
            pass  # it is gone already
        finally:
            sock.close()

    def may_complain(self) -> bool:
        """Return whether it is time for another record of what this machine lacks: a flood must not fill the log."""
        return self._reserve.may_complain(self._clock())

    def shed(self, bound: Bound, error: OutOfDescriptors) -> bool:
        """Turn away whoever waits, at once, when no descriptor is left to accept them with.

        False if not even that is possible: then the caller waits a little before it accepts again.
        """
        accepted = self._reserve.accept_with_it(bound.socket)
        if self.may_complain():
            log.error("%s: connections are turned away: %s; raise the limit of open files", self.name, error)
        if accepted is None:
            return False
        sock, sockaddr = accepted
        self.refuse(from_sockaddr(sockaddr), "connections")
        self.turn_away(sock, bound.endpoint, "connections")
        self._reserve.restock()
        return True

    # ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def answer_guard(self) -> Callable[[UdpMessage, bytes], bool] | None:
        """What is asked before each answer to a datagram; None with ``--amplify``."""
        return None if self.settings.amplify else self._is_modest

    def _is_modest(self, question: UdpMessage, answer: bytes) -> bool:
        if is_modest(question, answer):
            return True
        self.refuse(question.peer, "amplification")
        return False

    async def answer(self, message: UdpMessage) -> None:
        """Run the battery's handler for one admitted datagram under an event loop. Raises no Exception."""
        self.begin_work()
        error: BaseException | None = None
        try:
            await self._message(message)
        except BaseException as raised:
            error = raised
        self._finish(message, error)
        if error is not None and not isinstance(error, Exception | SystemExit):
            raise error

    def answer_blocking(self, message: UdpMessage, model: str | None = None) -> None:
        """The same without a loop. Raises nothing."""
        self.begin_work()
        error: BaseException | None = None
        try:
            if self._plain_message is not None:
                call_plain(self._plain_message, message)
            else:
                drive(self._message(message), handler=self.handler_name, model=model or self.settings.model)
        except BaseException as raised:
            error = raised
        self._finish(message, error)

    def begin_work(self) -> None:
        """Something is in work that a drain waits for: a datagram, a connection whose PROXY header has not come."""
        with self._lock:
            self.places += 1

    def _finish(self, message: UdpMessage, error: BaseException | None) -> None:
        try:
            # A peer's nonsense, or a time that ran out, costs its datagram; everything else is a bug.
            if error is not None and not isinstance(error, PeerError | TimeoutError):
                events.emit(events.HandlerFailed(self.name, "", message.peer, error))
        finally:
            self.end_work()

    def end_work(self) -> None:
        """It no longer is."""
        self._give_back()

    # ── children of the fork model ───────────────────────────────────────────────────────────────────────────────────

    def count_apart(self, peer: Address) -> LocalLedger:
        """In a forked child: count into a ledger of its own, which holds the one place the worker took for it."""
        ledger = LocalLedger()
        ledger.take(host_of(peer), 0.0, connections=1, per_ip=1, accept_rate=1.0)
        self.ledger = self.gate.ledger = ledger
        self.live.clear()
        self.places = 1
        return ledger

    def add_tally(self, tally: Tally) -> None:
        """Add what a child has counted."""
        for counter, name in enumerate(TALLY_NAMES):
            if amount := getattr(tally, name):
                self.ledger.count(counter, amount)

    # ── a connection's life ──────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, connection: Stream) -> None:
        """Take in an admitted connection, ready for its handler: set its limits, show it, tell whoever listens."""
        connection.line_limit = self._line_bytes
        if self._is_paced:
            connection.pace(*self._paces)
        self.live[connection.id] = connection
        self.ledger.count(OPENED)
        if self.on_open is not None:
            self.on_open(connection)
        if events.listening(events.ConnectionClosed):
            _ = connection.local  # asked now, and remembered: by the time it is told, the socket may be closed
        if events.listening(events.ConnectionOpened):
            events.emit(events.ConnectionOpened(self.name, connection.id, connection.local, connection.peer))

    def closed(self, connection: Stream, error: BaseException | None) -> None:
        """Let go of a connection that is over, whatever its handler raised: classify, count, tell, release."""
        self.live.pop(connection.id, None)
        reason, detail = how_it_ended(connection, error)
        self.count_moved(connection)
        lasted_s, moved_bytes = connection.age_s, connection.all_bytes_in + connection.all_bytes_out
        self.ledger.count_all(
            (_ENDED[reason], 1),
            (_LASTED_US, int(lasted_s * 1e6)),
            (place_of_lasted(lasted_s), 1),
            (_MOVED_BYTES, moved_bytes),
            (place_of_moved(moved_bytes), 1),
        )
        try:
            if reason == "handler" and error is not None:
                events.emit(events.HandlerFailed(self.name, connection.id, connection.peer, error))
            self._told_closed(connection, reason, detail)
        finally:
            self.release(connection.peer)

    def count_moved(self, connection: Stream) -> None:
        """Count the bytes that the connection has moved since they were last counted."""
        with self._lock:  # the sweeper and the handler's thread may both be at it
            counted = counted_in, counted_out = connection.counted_bytes
            # A companion that is just leaving may be missing from the sum for a moment: no counter goes back.
            now = now_in, now_out = max(connection.all_bytes_in, counted_in), max(connection.all_bytes_out, counted_out)
            if now != counted:
                connection.counted_bytes = now
                self.ledger.count_all((BYTES_IN, now_in - counted_in), (BYTES_OUT, now_out - counted_out))

    def _told_closed(self, connection: Stream, reason: EndReason, detail: str | None) -> None:
        if not events.listening(events.ConnectionClosed):
            return
        try:
            local = connection.local
        except (PortsideError, OSError):
            local = UnixAddress("")  # the socket was closed before anybody asked
        events.emit(
            events.ConnectionClosed(
                self.name,
                connection.id,
                local,
                connection.peer,
                connection.all_bytes_in,
                connection.all_bytes_out,
                connection.age_s,
                reason,
                detail,
            )
        )

    def failed_handshake(self, connection: Stream, error: BaseException) -> None:
        """Let go of an admitted connection whose handshake failed: it never came to its handler."""
        self.ledger.count(_ENDED["tls"])
        self._told_closed(connection, "tls", str(error))
        self.release(connection.peer)

    @property
    def has_plain_handler(self) -> bool:
        """Whether connections need a thread even under an event loop."""
        return self._plain is not None

    @property
    def has_plain_message_handler(self) -> bool:
        """Whether datagrams need a thread even under an event loop."""
        return self._plain_message is not None

    def handle(self, connection: Stream) -> Coroutine[Any, Any, None]:
        """Return the handler's coroutine for the connection; whatever is wrong with the handler, it raises."""
        try:
            work = self._stream(connection)
        except Exception as error:
            return raising(error)
        return work if isinstance(work, CoroutineType) else awaiting(work)

    def converse_blocking(self, connection: Stream, model: str | None = None) -> None:
        """The whole life of an admitted connection without a loop: opened, the handler from its first line to its last,
        close, closed. Raises nothing.
        """
        error: BaseException | None = None
        name, model = self.handler_name, model or self.settings.model
        try:
            self.opened(connection)
            if self._plain is not None:
                call_plain(self._plain, PlainStream(connection))
            else:
                drive(self._stream(connection), handler=name, model=model)
        except BaseException as raised:
            error = raised
        try:
            drive(connection.close(), handler=name, model=model)
        except BaseException as raised:
            error = error or raised
        self.closed(connection, error)
