"""All of a host's TCP: which connection a segment is of, who listens, and what is said to segments of none."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from portside.sim.addresses import ANY, ANY_V4, is_multicast, is_v4
from portside.sim.clock import SECOND
from portside.sim.frame import AnyIpFrame, TcpFrame
from portside.sim.ports import ephemeral
from portside.sim.seams import End, NetworkLayer, TcpUser, Trouble
from portside.sim.tcp import arrival, prediction
from portside.sim.tcp.connection import Connection
from portside.sim.tcp.listener import Listener
from portside.sim.tcp.numbers import ACK, FIN, HALF, RST, SYN, TIME_WAIT, WORD, os_error

UNSPECIFIED: Final = frozenset({ANY, ANY_V4})


class Tcp:
    """See ``seams.Tcp``."""

    def __init__(self, network: NetworkLayer) -> None:
        self.network = network
        self.counters: dict[str, int] = {}
        self.watch: Callable[[Connection, str], object] | None = None  # told of every connection made from now on
        self._connections: dict[tuple[int, int, int, int], Connection] = {}
        self._listeners: dict[int, list[Listener]] = {}
        self._ports: dict[int, int] = {}  # how many connections have each local port
        self._challenges = 0
        self._challenges_ns = 0

    def count(self, what: str) -> None:
        """Count something that seldom happens."""
        self.counters[what] = self.counters.get(what, 0) + 1

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, user: TcpUser, remote: End, local: End | None = None) -> Connection:
        """Begin to connect: see ``seams.Tcp``."""
        address, port = local or (ANY, 0)
        if remote[0] in UNSPECIFIED:
            remote = (self.network.source_for(1 if remote[0] == ANY else ANY_V4 | 0x7F00_0001), remote[1])
        if remote[1] == 0 or is_multicast(remote[0]):
            raise os_error(errno.ECONNREFUSED if remote[1] == 0 else errno.ENETUNREACH)
        source = self.network.source_for(remote[0])
        if address in UNSPECIFIED:
            address = source
        elif not self.network.is_ours(address):
            raise os_error(errno.EADDRNOTAVAIL)
        if is_v4(address) != is_v4(remote[0]):
            raise os_error(errno.ENETUNREACH)
        if port == 0:
            port = self._free_port(address, remote)
        elif (address, port, *remote) in self._connections:
            raise os_error(errno.EADDRNOTAVAIL)
        connection = self.new_connection((address, port), remote, user)
        connection.open()
        return connection

    def _free_port(self, address: int, remote: End) -> int:
        def is_taken(port: int) -> bool:
            return (address, port, *remote) in self._connections or port in self._listeners

        try:
            return ephemeral(self.network.chance, is_taken)
        except OSError:
            raise os_error(errno.EADDRNOTAVAIL) from None

    def new_connection(self, local: End, remote: End, user: TcpUser) -> Connection:
        """Return a connection that segments find from now on."""
        connection = Connection(self, local, remote, user)
        connection.watch = self.watch
        self._connections[*local, *remote] = connection
        self._ports[local[1]] = self._ports.get(local[1], 0) + 1
        return connection

    def forget(self, connection: Connection) -> None:
        """Let segments of this connection find nothing."""
        key = (*connection.local, *connection.remote)
        if self._connections.get(key) is connection:
            del self._connections[key]
            left = self._ports[connection.local[1]] - 1
            if left:
                self._ports[connection.local[1]] = left
            else:
                del self._ports[connection.local[1]]
        if connection.listener is not None:
            connection.listener.lost(connection)

    def listen(self, local: End, backlog: int, ready: Callable[[], object], *, only_v6: bool = False) -> Listener:
        """Listen: see ``seams.Tcp``."""
        address, port = local
        if address not in UNSPECIFIED and not self.network.is_ours(address):
            raise os_error(errno.EADDRNOTAVAIL)
        if port == 0:
            port = ephemeral(self.network.chance, lambda one: one in self._listeners or one in self._ports)
        listener = Listener(self, (address, port), backlog, ready, only_v6=only_v6)
        for other in self._listeners.get(port, ()):
            if _hear_the_same(listener, other):
                raise os_error(errno.EADDRINUSE)
        self._listeners.setdefault(port, []).append(listener)
        return listener

    def stop_listening(self, listener: Listener) -> None:
        """Let SYNs find this one no more."""
        same = self._listeners.get(listener.local[1], [])
        if listener in same:
            same.remove(listener)
            if not same:
                del self._listeners[listener.local[1]]

    def connections(self) -> list[Connection]:
        """Return every connection there is, in the order in which they began."""
        return list(self._connections.values())

    def listeners(self) -> list[Listener]:
        """Return every listener, in the order of their ports' first use."""
        return [listener for same in self._listeners.values() for listener in same]

    def halt(self) -> None:
        """Fall silent: the host has crashed."""
        for connection in self._connections.values():
            connection.halt()

    # ── segments ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, frame: AnyIpFrame) -> None:
        """Take a segment for this host."""
        assert isinstance(frame, TcpFrame)
        connection = self._connections.get((frame.target, frame.target_port, frame.source, frame.source_port))
        if connection is not None:
            if prediction.take(connection, frame):
                return
            if not self._makes_way(connection, frame):
                arrival.take(connection, frame)
                return
        listener = self._listener_for(frame)
        if listener is None:
            self.refuse(frame)
        elif frame.flags & RST:
            pass
        elif frame.flags & ACK:
            self.refuse(frame)
        elif frame.flags & SYN:
            listener.heard(frame)

    def is_connected(self, frame: TcpFrame) -> bool:
        """Return whether a segment is of a connection that there is."""
        return (frame.target, frame.target_port, frame.source, frame.source_port) in self._connections

    def is_heard(self, frame: TcpFrame) -> bool:
        """Return whether somebody listens where a segment goes to."""
        return self._listener_for(frame) is not None

    def _makes_way(self, connection: Connection, frame: TcpFrame) -> bool:
        """Return whether a new connection takes the place of one in TIME-WAIT: RFC 9293 section 3.10.7.4, RFC 6191."""
        if connection.state != TIME_WAIT or frame.flags & (SYN | ACK | RST) != SYN:
            return False
        into = connection.into
        is_later = 0 < (frame.sequence - into.queue.next) & WORD < HALF
        if connection.ts_on and frame.timestamp is not None:
            is_later = is_later or 0 < (frame.timestamp - into.ts_recent) & WORD < HALF
        if is_later and self._listener_for(frame) is not None:
            connection.is_abandoned = True
            connection.abort()
            return True
        return False

    def _listener_for(self, frame: TcpFrame) -> Listener | None:
        best, best_fitness = None, 0
        for listener in self._listeners.get(frame.target_port, ()):
            fitness = _fitness(listener, frame.target) if listener.hears else 0
            if fitness > best_fitness:
                best, best_fitness = listener, fitness
        return best

    def refuse(self, frame: TcpFrame) -> None:
        """Answer a segment of no connection with a reset: RFC 9293 section 3.5.2, group 1."""
        if frame.flags & RST or is_multicast(frame.target):
            return
        length = len(frame.payload) + (frame.flags & SYN > 0) + (frame.flags & FIN)
        if frame.flags & ACK:
            sequence, ack, flags = frame.ack, 0, RST
        else:
            sequence, ack, flags = 0, (frame.sequence + length) & WORD, RST | ACK
        reset = TcpFrame(frame.target, frame.target_port, frame.source, frame.source_port, sequence, ack, flags, 0)
        try:
            self.network.send(reset)
        except OSError:
            self.count("resets not sent")

    def may_challenge(self) -> bool:
        """Return whether a challenge may be sent now: RFC 5961 section 7."""
        second = self.network.scheduler.now // SECOND
        if second != self._challenges_ns:
            self._challenges_ns, self._challenges = second, 0
        self._challenges += 1
        return self._challenges <= self.network.profile.challenge_acks_per_s

    def troubled(self, local: End, remote: End, trouble: Trouble) -> None:
        """Hear that a segment did not arrive."""
        connection = self._connections.get((*local, *remote))
        if connection is not None:
            connection.troubled(trouble)


def _fitness(listener: Listener, target: int) -> int:
    """Return how exactly a listener is meant by an address, 0 if it is not."""
    address = listener.local[0]
    if address == target:
        return 3
    if address == ANY_V4:
        return 2 if is_v4(target) else 0
    if address == ANY:
        return 1 if not is_v4(target) or not listener.only_v6 else 0
    return 0


def _hear_the_same(one: Listener, other: Listener) -> bool:
    """Return whether two listeners at one port would be meant by the same segments."""
    here, there = one.local[0], other.local[0]
    return here == there or _fitness(one, there) > 0 or _fitness(other, here) > 0
