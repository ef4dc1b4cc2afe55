"""Captures in a worker: taps of its connections, and a thread for each capture that tells what they hear.

The service never waits for whoever captures. What is heard goes into a queue with a bound; behind a reader that is too
slow bytes are dropped and counted, and the record of how many stands where they are missing.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_network
from queue import Empty, SimpleQueue
from time import monotonic, time_ns
from typing import Final

from portside.address import Address, UnixAddress
from portside.errors import PortsideError
from portside.net.datagrams import UdpMessage
from portside.net.sockets import Socket, open_stream, sockaddr_of
from portside.net.stream import Stream
from portside.net.tap import Way
from portside.serve import channel as say
from portside.serve.limits import host_of, is_within
from portside.serve.tapped import TOKEN_BYTES, Flow, Kind, build_lost, build_opened, build_record

QUEUE_BYTES_MAX: Final = 32 * 1_024 * 1_024  # of one capture in one process; more is dropped
GATHER_BYTES: Final = 1 << 18  # sent at a time
LOOK_S: Final = 0.5  # how often an idle thread looks whether anybody still listens
LAST_WORDS_S: Final = 2.0  # what a process that ends waits for its captures at most

MOVED: Final[dict[Way, Kind]] = {"in": Kind.IN, "out": Kind.OUT}
ENDED: Final[dict[Way, Kind]] = {"in": Kind.IN_ENDED, "out": Kind.OUT_ENDED}
RESET: Final[dict[Way, Kind]] = {"in": Kind.IN_RESET, "out": Kind.OUT_RESET}
LOST: Final[dict[Way, Kind]] = {"in": Kind.IN_LOST, "out": Kind.OUT_LOST}
READY: Final = build_record(Kind.READY, 0, 0)


def call(wanted: say.Capture) -> Socket:
    """Return a connection to whoever captures, the token said. Raises: OSError, PortsideError when nobody is there."""
    address = UnixAddress(wanted.to)
    sock = open_stream(address)  # which does not block: where many wait to be accepted, nobody listens
    try:
        sock.connect(sockaddr_of(address))
        sock.sendall(wanted.token.encode()[:TOKEN_BYTES].ljust(TOKEN_BYTES))
    except OSError:
        sock.close()
        raise
    return sock


class Capture:
    """One capture in one process. ``over`` is called, by its thread, when nobody listens any more."""

    def __init__(self, wanted: say.Capture, service: str, over: Callable[[], None]) -> None:
        """Raises: OSError, PortsideError when nobody listens by now."""
        self._wanted = wanted
        self._peers = tuple(map(ip_network, wanted.peers))
        self._service = service
        self._over = over
        self._socket = call(wanted)
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._put_bytes = 0  # each counter has one lock, or one thread, that writes it
        self._sent_bytes = 0
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._untap: dict[str, Callable[[], None]] = {}  # by the connection's id
        self._is_over = False
        self._thread = threading.Thread(target=self._send, name="portside-capture", daemon=True)
        self._thread.start()

    def add(self, connection: Stream, *, has_stood: bool = False, of: str | None = None) -> None:
        """Listen to the connection, if it is one that is wanted, and to its companions."""
        if self._is_over or not self._wants(connection, of):
            return
        try:
            local, peer = connection.local, connection.peer
        except (PortsideError, OSError):
            return  # it is closed already
        number = next(self._numbers)
        if self._untap.setdefault(connection.id, claim := _Claim()) is not claim:
            return  # it was in the list of those that there are, and has just begun
        flow = Flow(
            connection.id,
            self._service,
            say.address_json(local),
            say.address_json(peer),
            has_stood=has_stood,
            tls=connection.tls.version if connection.tls is not None else None,
            of=of,
        )
        self._put(build_opened(number, time_ns(), flow))
        listener = _Listener(self, number, connection.id)
        self._untap[connection.id] = connection.tap(listener)
        if has_stood:
            for companion, _ in connection.companions():
                self.add(companion, has_stood=True, of=connection.id)

    def _wants(self, connection: Stream, of: str | None) -> bool:
        identity = self._wanted.connection
        if identity is not None and identity not in (connection.id, of):
            return False
        return of is not None or self._wants_peer(connection.peer)

    def _wants_peer(self, peer: Address) -> bool:
        return not self._peers or is_within(host_of(peer), self._peers)

    def add_message(self, message: UdpMessage) -> None:
        """Tell of a datagram and of the answers it gets."""
        if self._is_over or self._wanted.connection is not None or not self._wants_peer(message.peer):
            return
        number, at_ns = next(self._numbers), time_ns()
        local, peer = say.address_json(message.local), say.address_json(message.peer)
        flow = Flow(f"datagram-{number}", self._service, local, peer, is_datagram=True)
        self._put(build_opened(number, at_ns, flow) + build_record(Kind.IN, number, at_ns, message.data))
        message.tap(lambda answer: self._put(build_record(Kind.OUT, number, time_ns(), answer)))

    def ready(self) -> None:
        """Tell that nothing is missed from here on."""
        self._put(READY)

    def finish(self) -> None:
        """Tell what is still to be told, and nothing more; the thread ends with it."""
        self._queue.put(None)

    def wait(self, timeout_s: float) -> None:
        """Return when everything is told, or time is up."""
        self._thread.join(timeout_s)

    # ── for its listeners ────────────────────────────────────────────────────────────────────────────────────────────

    def _put(self, record: bytes) -> bool:
        """Have the record told; False if there is no room for it."""
        with self._lock:
            if self._put_bytes - self._sent_bytes > QUEUE_BYTES_MAX:
                return False
            self._put_bytes += len(record)
        self._queue.put(record)
        return True

    def _forget(self, identity: str) -> None:
        self._untap.pop(identity, None)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _send(self) -> None:
        try:
            self._socket.settimeout(None)
            while (records := self._gather()) is not None:
                if records:
                    self._socket.sendall(records)
                    self._sent_bytes += len(records)
                elif _is_gone(self._socket):
                    break
        except OSError:
            pass  # nobody listens any more
        finally:
            self._is_over = True
            for untap in list(self._untap.values()):
                untap()
            self._untap.clear()
            self._socket.close()
            self._over()

    def _gather(self) -> bytes | None:
        """Return the next records, none when nothing came for a while, None when there will be no more."""
        try:
            first = self._queue.get(timeout=LOOK_S)
        except Empty:
            return b""
        gathered, size = [], 0
        while first is not None:
            gathered.append(first)
            size += len(first)
            if size > GATHER_BYTES:
                break
            try:
                first = self._queue.get_nowait()
            except Empty:
                break
        if first is None:
            self._queue.put(None)  # for the next time, when there is nothing before it
        return b"".join(gathered) if gathered else None


def _is_gone(sock: Socket) -> bool:
    """Return whether the other end is closed: it never says anything."""
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    finally:
        sock.setblocking(True)


class _Claim:
    """Stands for a tap that is just being made."""

    def __call__(self) -> None:
        pass


class _Listener:
    """Listens to one connection for a capture."""

    __slots__ = ("_capture", "_identity", "_lost", "_number", "_open")

    def __init__(self, capture: Capture, number: int, identity: str) -> None:
        self._capture = capture
        self._number = number
        self._identity = identity
        self._lost: dict[Way, int] = {"in": 0, "out": 0}
        self._open = 2  # ways

    def moved(self, way: Way, data: bytes, at_ns: int) -> None:
        if not self._tell_lost(way, at_ns) or not self._capture._put(
            build_record(MOVED[way], self._number, at_ns, data)
        ):
            self._lost[way] += len(data)

    def _tell_lost(self, way: Way, at_ns: int) -> bool:
        """Tell how many bytes are missing, if any are; False if there is no room even for that."""
        lost_bytes = self._lost[way]
        if not lost_bytes:
            return True
        if not self._capture._put(build_lost(LOST[way], self._number, at_ns, lost_bytes)):
            return False
        self._lost[way] = 0
        return True

    def ended(self, way: Way, at_ns: int) -> None:
        self._tell_lost(way, at_ns)
        self._capture._put(build_record(ENDED[way], self._number, at_ns))
        self._open -= 1
        if not self._open:
            self._capture._forget(self._identity)

    def reset(self, way: Way, at_ns: int) -> None:
        self._capture._put(build_record(RESET[way], self._number, at_ns))
        self._capture._forget(self._identity)

    def joined(self, companion: Stream) -> None:
        self._capture.add(companion, of=self._identity)


class Captures:
    """All captures of one process."""

    def __init__(self, service: str, tell_over: Callable[[say.Capture], None]) -> None:
        self._service = service
        self._tell_over = tell_over
        self._under_way: dict[str, tuple[say.Capture, Capture | None]] = {}

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @property
    def wanted(self) -> list[say.Capture]:
        """What is asked for."""
        return [wanted for wanted, _ in self._under_way.values()]

    def begin(self, wanted: say.Capture, connections: Iterable[Stream]) -> None:
        """Listen to these connections, and to those that come."""
        if wanted.to in self._under_way:
            return
        try:
            capture = Capture(wanted, self._service, lambda: self._end(wanted))
        except (OSError, PortsideError):
            self._tell_over(wanted)
            return
        self._under_way[wanted.to] = wanted, capture
        for connection in connections:
            capture.add(connection, has_stood=True)
        capture.ready()

    def note(self, wanted: say.Capture) -> None:
        """Keep in mind that this is asked for, and say so: children of this process listen."""
        try:
            with call(wanted) as sock:
                self._under_way[wanted.to] = wanted, None
                sock.sendall(READY)
        except (OSError, PortsideError):
            self.forget(wanted.to)
            self._tell_over(wanted)

    def forget(self, to: str) -> None:
        """Note that nobody listens there any more."""
        if (known := self._under_way.pop(to, None)) is not None:
            self._tell_over(known[0])

    def add(self, connection: Stream) -> None:
        """Listen to a connection that begins."""
        for _, capture in list(self._under_way.values()):
            if capture is not None:
                capture.add(connection)

    def add_message(self, message: UdpMessage) -> None:
        for _, capture in list(self._under_way.values()):
            if capture is not None:
                capture.add_message(message)

    def finish(self) -> None:
        """Have everything told that was heard, for a process that ends."""
        captures = [capture for _, capture in list(self._under_way.values()) if capture is not None]
        for capture in captures:
            capture.finish()
        deadline_s = monotonic() + LAST_WORDS_S
        for capture in captures:
            capture.wait(max(0.0, deadline_s - monotonic()))

    def _end(self, wanted: say.Capture) -> None:
        self._under_way.pop(wanted.to, None)
        with suppress(PortsideError):
            self._tell_over(wanted)
